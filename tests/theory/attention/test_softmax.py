"""Online softmax against SciPy's, whatever the order and the size of its pieces."""

import doctest

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.errors import InvalidInput
from workbench.theory.attention import softmax as subject
from workbench.theory.attention.softmax import Seen, online_softmax, softmax, trace

SCORES = arrays(
    float, st.tuples(st.integers(1, 4), st.integers(1, 20)), elements=st.floats(-1e4, 1e4) | st.just(-np.inf)
)


def test_the_examples_hold():
    assert doctest.testmod(subject).failed == 0


@settings(deadline=None)
@given(SCORES, st.integers(1, 25))
def test_it_is_scipys_softmax(scores, block):
    visible = ~np.isneginf(scores).all(axis=1)
    expected = scipy.special.softmax(scores[visible], axis=1)
    np.testing.assert_allclose(softmax(scores)[visible], expected, atol=1e-12)
    np.testing.assert_allclose(online_softmax(scores, block)[visible], expected, atol=1e-12)
    assert not online_softmax(scores, block)[~visible].any(), "a row hidden whole weighs nothing"


@settings(deadline=None)
@given(SCORES, st.integers(1, 25))
def test_what_is_kept_at_the_end_is_the_row(scores, block):
    last = trace(scores, block)[-1]
    np.testing.assert_allclose(last.logsumexp, scipy.special.logsumexp(scores, axis=1), rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(last.largest, scores.max(axis=1))


@settings(deadline=None)
@given(st.data())
def test_pieces_may_be_joined_in_any_order_and_grouping(data):
    scores = data.draw(arrays(float, (3, 12), elements=st.floats(-700, 700) | st.just(-np.inf)))
    values = data.draw(arrays(float, (12, 2), elements=st.floats(-10, 10)))
    cuts = sorted(data.draw(st.sets(st.integers(1, 11), max_size=5)))
    pieces = [Seen.nothing(3, 2).and_then(scores[:, part], values[part]) for part in np.split(np.arange(12), cuts)]
    joined = pieces.pop(0)
    for piece in data.draw(st.permutations(pieces)):
        joined = piece.joined(joined) if data.draw(st.booleans()) else joined.joined(piece)
    np.testing.assert_allclose(joined.mean, softmax(scores) @ values, atol=1e-9)


def test_scores_beyond_what_exp_can_hold():
    scores = np.array([[-1e5, 1e5, 0.0, 1e5]])
    np.testing.assert_array_equal(online_softmax(scores, 1), [[0, 0.5, 0, 0.5]])
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isnan(np.exp(scores) / np.exp(scores).sum()).any(), "without the largest score taken off it overflows"


def test_c004_030_the_guides_update_of_the_output_is_right():
    """O_new = (l_old / l_new) exp(m_old − m_new) O_old + (1 / l_new) Σ exp(x − m_new) V: divided at every block."""
    rng = np.random.default_rng(0)
    scores, values = 5 * rng.normal(size=(4, 24)), rng.normal(size=(24, 3))
    largest, total, output = np.full(4, -np.inf), np.zeros(4), np.zeros((4, 3))
    for start, kept in zip(range(0, 24, 8), trace(scores, 8, values), strict=True):
        block = scores[:, start : start + 8]
        after = np.maximum(largest, block.max(axis=1))
        weights, shrunk = np.exp(block - after[:, None]), np.exp(largest - after)
        new_total = shrunk * total + weights.sum(axis=1)
        output = (total / new_total * shrunk)[:, None] * output + weights @ values[start : start + 8] / new_total[
            :, None
        ]
        largest, total = after, new_total
        np.testing.assert_allclose(kept.total, total)
        np.testing.assert_allclose(kept.mean, output)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: online_softmax([[1.0]], 0),
        lambda: softmax([1.0, 2.0]),
        lambda: softmax(np.empty((0, 3))),
        lambda: softmax([[np.nan]]),
        lambda: softmax([[np.inf, 0.0]]),
        lambda: trace([[1.0, 2.0]], 1, np.ones((3, 2))),
    ],
)
def test_bad_input_is_refused(wrong):
    with pytest.raises(InvalidInput):
        wrong()
