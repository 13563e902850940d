"""Tiled attention against the whole matrix, against finite differences, and against torch's autograd."""

import doctest
import json
import subprocess

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import environments
from workbench.errors import InvalidInput
from workbench.theory.attention import memory, naive, tiled
from workbench.theory.attention.naive import attention, gradients
from workbench.theory.attention.tiled import Tile, backward, forward, forward_keys_outside


@pytest.mark.parametrize("module", [memory, naive, tiled])
def test_the_examples_hold(module):
    assert doctest.testmod(module).failed == 0


def head(seed, tokens, width, scale=1.0):
    """Queries, keys, values and how a loss changes with the output."""
    return scale * np.random.default_rng(seed).normal(size=(4, tokens, width))


def by_scipy(q, k, v, causal):
    scores = q @ k.T / np.sqrt(q.shape[1])
    if causal:
        scores[np.triu_indices(len(q), 1)] = -np.inf
    return scipy.special.softmax(scores, axis=1) @ v, scipy.special.logsumexp(scores, axis=1)


TILES = st.builds(Tile, st.integers(1, 40), st.integers(1, 40))


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 33), st.integers(1, 9), TILES, st.booleans(), st.sampled_from([0.1, 1, 30]))
def test_any_tile_gives_the_same_output(seed, tokens, width, tile, causal, scale):
    q, k, v, _ = head(seed, tokens, width, scale)
    output, logsumexp = by_scipy(q, k, v, causal)
    found = forward(q, k, v, tile, causal=causal)
    np.testing.assert_allclose(attention(q, k, v, causal=causal), output, atol=1e-9 * scale)
    np.testing.assert_allclose(found.output, output, atol=1e-9 * scale)
    np.testing.assert_allclose(found.logsumexp, logsumexp, atol=1e-8 * scale**2)
    if not causal:
        other = forward_keys_outside(q, k, v, tile)
        np.testing.assert_allclose(other.output, output, atol=1e-9 * scale)
        np.testing.assert_allclose(other.logsumexp, logsumexp, atol=1e-8 * scale**2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.integers(1, 20), st.integers(1, 6), TILES, TILES, st.booleans())
def test_any_tile_gives_the_same_gradients(seed, tokens, width, tile, other, causal):
    q, k, v, of_output = head(seed, tokens, width)
    expected = gradients(q, k, v, of_output, causal=causal)
    found = backward(q, k, v, forward(q, k, v, tile, causal=causal), of_output, other, causal=causal)
    for name in ("queries", "keys", "values"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-10)


def test_more_keys_than_queries_as_in_decoding():
    q, k, v, of_output = head(3, 12, 4)
    last = q[-1:]
    np.testing.assert_allclose(forward(last, k, v, Tile(1, 5)).output, attention(q, k, v, causal=True)[-1:])
    found = backward(last, k, v, forward(last, k, v, Tile(1, 5)), of_output[-1:], Tile(1, 5))
    np.testing.assert_allclose(found.keys, gradients(last, k, v, of_output[-1:]).keys)


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_are_what_finite_differences_say(causal):
    q, k, v, of_output = head(5, 7, 3)

    def loss(flat):
        return float((attention(*flat.reshape(3, 7, 3), causal=causal) * of_output).sum())

    inputs = np.stack([q, k, v])
    expected = scipy.optimize.approx_fprime(inputs.ravel(), loss, 1e-7).reshape(3, 7, 3)
    found = backward(q, k, v, forward(q, k, v, Tile(2, 3), causal=causal), of_output, Tile(3, 2), causal=causal)
    np.testing.assert_allclose(np.stack([found.queries, found.keys, found.values]), expected, atol=1e-5)


AUTOGRAD = """
import json, sys
import torch
from torch.nn.functional import scaled_dot_product_attention as attention

for line in sys.stdin:
    question = json.loads(line)
    q, k, v = (torch.tensor(question[name], dtype=torch.float64, requires_grad=True) for name in "qkv")
    output = attention(q[None], k[None], v[None], is_causal=question["causal"])[0]
    output.backward(torch.tensor(question["of_output"], dtype=torch.float64))
    print(json.dumps([each.tolist() for each in (output, q.grad, k.grad, v.grad)]))
"""


@pytest.mark.environment
def test_output_and_gradients_are_torchs():
    environments.ensure("quantize")
    questions, ours = [], []
    for seed, (tokens, width, tile) in enumerate([(5, 4, Tile(2, 3)), (33, 8, Tile(16, 8)), (64, 16, Tile(64, 64))]):
        for causal in (False, True):
            q, k, v, of_output = head(seed, tokens, width)
            kept = forward(q, k, v, tile, causal=causal)
            found = backward(q, k, v, kept, of_output, tile, causal=causal)
            ours.append([kept.output, found.queries, found.keys, found.values])
            values = {"q": q, "k": k, "v": v, "of_output": of_output}
            questions.append({name: array.tolist() for name, array in values.items()} | {"causal": causal})
    environment = environments.get("quantize")
    done = subprocess.run(
        [environment.python, "-c", AUTOGRAD],
        input="\n".join(map(json.dumps, questions)),
        capture_output=True,
        text=True,
        check=True,
        env=environment.environ(),
    )
    for answer, found in zip(done.stdout.splitlines(), ours, strict=True):
        for theirs, mine in zip(json.loads(answer), found, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-10)


def test_c004_031_the_guides_gradient_does_not_even_multiply():
    """dL/dQ = dL/dO P Vᵀ: (N × d) times (N × N) is no product; with the factors turned about it is still not dQ."""
    q, k, v, of_output = head(0, 6, 3)
    weights = scipy.special.softmax(q @ k.T / np.sqrt(3), axis=1)
    with pytest.raises(ValueError, match="mismatch"):
        of_output @ weights @ v.T
    expected = gradients(q, k, v, of_output).queries
    turned = (weights * (of_output @ v.T)) @ k / np.sqrt(3)  # what is left out: rowsum(dO ∘ O)
    assert np.abs(turned - expected).max() > 0.1


def test_equal_scores_shifted_together_change_nothing():
    """Softmax does not see a number added to a whole row, so each row of dS sums to 0."""
    q, k, v, of_output = head(1, 9, 4)
    k = np.ones_like(k)
    assert np.abs(gradients(q, k, v, of_output).queries).max() < 1e-12


@pytest.mark.parametrize(
    "wrong",
    [
        lambda q, k, v, o: Tile(0, 4),
        lambda q, k, v, o: forward(q, k[:, :2], v, Tile(2, 2)),
        lambda q, k, v, o: forward(q, k[:3], v, Tile(2, 2)),
        lambda q, k, v, o: attention(q[0], k, v),
        lambda q, k, v, o: attention(q, k[:0], v[:0]),
        lambda q, k, v, o: gradients(q, k, v, o[:3]),
        lambda q, k, v, o: backward(q, k, v, forward(q, k, v, Tile(2, 2)), o[:3], Tile(2, 2)),
    ],
)
def test_bad_input_is_refused(wrong):
    with pytest.raises(InvalidInput):
        wrong(*head(0, 6, 3))
