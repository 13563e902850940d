"""Temperature, top-p and the draw, against brute force and SciPy."""

import doctest

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.errors import InvalidInput
from workbench.theory.serving import sampling
from workbench.theory.serving.sampling import distribution, draw, truncated

LOGITS = arrays(float, st.integers(1, 8), elements=st.floats(-20, 20))


def test_the_examples_hold():
    assert doctest.testmod(sampling).failed == 0


@settings(deadline=None)
@given(LOGITS, st.floats(0.05, 5))
def test_temperature_is_scipys_softmax_of_what_it_divides(logits, temperature):
    np.testing.assert_allclose(
        distribution(logits, temperature), scipy.special.softmax(logits / temperature), atol=1e-12
    )


@settings(deadline=None)
@given(LOGITS, st.floats(0.05, 0.99))
def test_top_p_is_the_smallest_set_that_is_likely_enough(logits, top_p):
    whole = distribution(logits)
    kept = distribution(logits, top_p=top_p)
    staying = kept > 0
    assume(np.abs(np.sort(whole)[::-1].cumsum() - top_p).min() > 1e-9)
    assert kept.sum() == pytest.approx(1)
    np.testing.assert_allclose(kept[staying], whole[staying] / whole[staying].sum())
    assert whole[staying].sum() >= top_p - 1e-12
    assert whole[staying].sum() - whole[staying].min() < top_p, "one word fewer would not be enough"
    assert whole[staying].min() >= whole[~staying].max(initial=0)


def test_a_low_temperature_becomes_greedy():
    logits = np.array([[0.3, 0.1, 0.2], [-1.0, 5.0, 5.0]])
    np.testing.assert_array_equal(distribution(logits, 0), [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(distribution(logits[0], 1e-3), [1, 0, 0], atol=1e-12)
    np.testing.assert_array_equal(distribution(logits, 0, top_p=0.5), distribution(logits, 0))


def test_rows_of_a_table_are_each_cut_by_themselves():
    table = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]))
    np.testing.assert_allclose(distribution(table, top_p=0.6), [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(truncated(np.exp(table), 0.85), [[7 / 9, 2 / 9, 0], [1 / 9, 0, 8 / 9]])


def test_draws_follow_the_row():
    p = np.array([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    drawn = np.bincount(draw(np.tile(p, (100_000, 1)), np.random.default_rng(0)), minlength=6)
    assert not drawn[p == 0].any()
    assert scipy.stats.chisquare(drawn[p > 0], 1e5 * p[p > 0]).pvalue > 1e-3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: distribution([1.0], -0.1),
        lambda: distribution([1.0], np.inf),
        lambda: distribution([1.0], np.nan),
        lambda: distribution([1.0], 1.0, 0.0),
        lambda: distribution([1.0], 1.0, 1.1),
        lambda: distribution([np.nan, 1.0]),
        lambda: distribution([]),
        lambda: distribution(3.0),
    ],
)
def test_bad_input_is_refused(wrong):
    with pytest.raises(InvalidInput):
        wrong()
