"""Perplexity, divergence and agreement of models whose distributions are known."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from workbench.quality import resampling
from workbench.quality.measure import COMPARED, Original, divergence, facts, measure, relative_error

WORDS = 32


class Table:
    """A model whose next word depends on the last one alone: rows of a matrix of probabilities."""

    longest, runs_in = 4096, ""

    def __init__(self, seed: int, sharpness: float = 1.0) -> None:
        logits = np.random.default_rng(seed).normal(size=(WORDS, WORDS)) * sharpness
        self.table = logits - np.log(np.exp(logits).sum(1, keepdims=True))

    def log_probs(self, ids, first):
        return self.table[np.asarray(ids)[first - 1 : -1]].astype(np.float32)

    def layers(self, ids):
        return [self.table[np.asarray(ids)].astype(np.float32), np.ones((len(ids), 4), np.float32)]

    def say(self, ids, tokens):
        said = list(ids)
        for _ in range(tokens):
            said.append(int(self.table[said[-1]].argmax()))
        return said[len(ids) :]


def texts(lengths, seed=1):
    drawn = np.random.default_rng(seed)
    return [drawn.integers(0, WORDS, length).tolist() for length in lengths]


def test_perplexity_is_that_of_the_tokens_one_by_one(tmp_path):
    model, passages = Table(0), texts([700, 2, 513, 40])
    found = measure(model, passages)
    nll = [-model.table[a, b] for ids in passages for a, b in itertools.pairwise(ids)]
    assert found.tokens == len(nll)
    assert found.perplexity == pytest.approx(math.exp(np.mean(nll)), rel=1e-6)
    assert found.divergence is None
    assert found.layers == []


def test_distance_from_the_original_is_that_of_the_rows(tmp_path):
    one, other, passages = Table(0), Table(1, 0.9), texts([1500, 1000, 200])
    kept = Original(tmp_path / "kept")
    first = measure(one, passages, keep=kept)
    second = measure(other, passages, against=kept)
    pairs = [a for ids in passages for a in ids[:-1]][:COMPARED]
    apart = [entropy(np.exp(one.table[a]), np.exp(other.table[a])) for a in pairs]
    assert second.compared == COMPARED
    assert second.divergence == pytest.approx(np.mean(apart), rel=1e-5)
    same = np.mean([one.table[a].argmax() == other.table[a].argmax() for a in pairs])
    assert second.agreement == pytest.approx(same)
    rows = passages[0][:128]
    assert second.layers == pytest.approx([relative_error(one.table[rows], other.table[rows]), 0.0], rel=1e-5)
    told = facts(first, second, lambda ids: " ".join(map(str, ids)), passages)
    assert len(told["generations"]) == 3
    assert told["generations"][0]["before"] != told["generations"][0]["after"]
    assert sum(tokens for tokens, _, _ in told["blocks"]) == first.tokens


def test_a_model_is_no_way_from_itself(tmp_path):
    kept, passages = Original(tmp_path / "kept"), texts([600])
    measure(Table(3), passages, keep=kept)
    again = measure(Table(3), passages, against=kept)
    assert (again.divergence, again.agreement, again.layers) == (0.0, 1.0, [0.0, 0.0])


def test_words_the_original_never_says_count_for_nothing():
    never = np.array([[0.0, -np.inf]], np.float32)
    assert divergence(never, np.log([[0.5, 0.5]]).astype(np.float32))[0] == pytest.approx(math.log(2))


@given(st.integers(0, 10_000))
def test_divergence_is_never_negative(seed):
    assert divergence(Table(seed).table, Table(seed + 1).table).min() > 0


def test_the_bootstrap_covers_the_true_difference():
    """Blocks of known mean difference: 90 % intervals hold it in about nine of ten draws."""
    drawn = np.random.default_rng(5)
    held = 0
    for seed in range(200):
        tokens = drawn.integers(100, 300, 32)
        one = drawn.normal(5, 1, 32) * tokens
        other = one + drawn.normal(0.02, 0.05, 32) * tokens
        value, low, high = resampling.log_ratio(tokens, one, other, seed=seed)
        assert low <= value <= high
        held += low <= 0.02 <= high
    assert 160 <= held <= 195


def test_blocks_must_match():
    for tokens, one, other in ([[1], [1.0], [1.0]], [[1, 2], [1.0], [1.0, 2.0]]):
        with pytest.raises(ValueError, match="same blocks"):
            resampling.log_ratio(tokens, one, other)
