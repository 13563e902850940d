"""What really leaves: smaller matrices that say the same as zeros did, and what is left of bytes and FLOPs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import InvalidInput
from workbench.theory.pruning.structured import Decoder, GatedMLP, Heads, block_influence

seeds = st.integers(0, 2**32 - 1)
LLAMA = Decoder(32, 4096, 14336, 32, 8, 128, 128256)


def mlp(seed: int) -> tuple[GatedMLP, np.ndarray]:
    generator = np.random.default_rng(seed)
    gate, up = generator.normal(size=(2, 10, 6))
    return GatedMLP(gate, up, generator.normal(size=(6, 10))), generator.normal(size=(7, 6))


def heads(seed: int) -> tuple[Heads, np.ndarray]:
    """Six query heads of width 4, three of each key-value head."""
    generator = np.random.default_rng(seed)
    query, key, value = (generator.normal(size=(rows, 8)) for rows in (24, 8, 8))
    return Heads(query, key, value, generator.normal(size=(8, 24)), width=4), generator.normal(size=(5, 8))


@given(seeds, st.sets(st.integers(0, 9), min_size=1))
def test_without_channels_is_with_their_zeros_and_smaller(seed, keep):
    whole, x = mlp(seed)
    at = sorted(keep)
    zeros = np.zeros((10, 1))
    zeros[at] = 1
    masked = GatedMLP(whole.gate * zeros, whole.up * zeros, whole.down * zeros.T)
    smaller = whole.with_channels(at)
    assert smaller(x) == pytest.approx(masked(x))
    assert smaller.gate.size == len(keep) * 6
    assert masked.gate.size == whole.gate.size  # a mask removes nothing


@given(seeds)
def test_a_channels_contribution_is_the_error_of_its_absence(seed):
    whole, x = mlp(seed)
    for at in (0, 9):
        others = [channel for channel in range(10) if channel != at]
        error = whole(x) - whole.with_channels(others)(x)
        assert whole.contributions(x)[at] == pytest.approx(np.sqrt(np.square(error).sum(axis=1).mean()))


@given(seeds, st.sampled_from([[0], [1], [1, 0]]))
def test_without_heads_is_without_what_they_add(seed, keep):
    whole, x = heads(seed)
    smaller = whole.with_groups(keep)
    silent = whole.output.copy()
    for group in {0, 1} - set(keep):
        silent[:, group * 12 : group * 12 + 12] = 0
    assert smaller(x) == pytest.approx(replace(whole, output=silent)(x))
    assert (len(smaller.key), smaller.output.shape[1], smaller.sharing) == (4 * len(keep), 12 * len(keep), 3)


def test_attention_is_causal_and_each_row_a_mean():
    whole, x = heads(0)
    later = x.copy()
    later[-1] += 1
    assert whole(later)[:-1] == pytest.approx(whole(x)[:-1])
    one = replace(whole, output=np.eye(24)[:8])
    assert one(x[:1])[0, :4] == pytest.approx(whole.value[:4] @ x[0])  # the first token sees itself alone


def test_the_guides_removed_channel_still_speaks():
    """Document 003 masks half of a layer's output channels and calls them removed.

    The mask covers the weight alone: shapes stay, and each channel still gives its bias.
    """
    generator = np.random.default_rng(0)
    weight, bias = generator.normal(size=(256, 784)), generator.normal(size=256)
    gone = np.argsort(np.linalg.norm(weight, axis=1))[:128]
    masked = weight.copy()
    masked[gone] = 0
    assert masked.nbytes == weight.nbytes
    after = np.maximum(generator.normal(size=(1, 784)) @ masked.T + bias, 0)
    assert np.array_equal(after[0, gone], np.maximum(bias[gone], 0))
    assert (after[0, gone] > 0).sum() > 50


def test_the_count_is_the_planners():
    """Parameters of whole models, by the planner's own reader of configurations."""
    assert wb.Model.from_config("meta-llama/Llama-3.1-8B").parameters == LLAMA.parameters
    builtin = Decoder(4, 256, 768, 4, 2, 64, 10240, tied=True)
    assert wb.Model.from_config("builtin").parameters == builtin.parameters
    per_token = wb.Model.from_config("meta-llama/Llama-3.1-8B").kv_bytes_per_token("auto")
    assert LLAMA.kv_values_per_token() * 2 == per_token


def test_c003_038_a_quarter_of_the_layers_is_less_than_a_quarter_of_the_work():
    """The guide: 32 / 24 = 1.33. Of the layers, yes; embedding and output projection stay."""
    fewer = replace(LLAMA, layers=24)
    assert round(32 / 24, 3) == 1.333
    assert LLAMA.speedup(fewer) == pytest.approx(1.303, abs=1e-3)
    assert fewer.parameters / LLAMA.parameters == pytest.approx(0.783, abs=1e-3)
    small = Decoder(16, 2048, 8192, 32, 8, 64, 128256, tied=True)  # Llama-3.2-1B: a fifth of it is the embedding
    assert small.speedup(replace(small, layers=12)) == pytest.approx(1.245, abs=1e-3)


def test_half_of_the_channels_is_not_twice_as_fast():
    """Document 004: the real speed-up is the theoretical one. Attention and the output projection stay as they are."""
    half = replace(LLAMA, channels=7168)
    assert LLAMA.speedup(half) == pytest.approx(1.6, abs=0.01)
    assert LLAMA.speedup(half, context=32768) < 1.4
    assert half.kv_values_per_token() == LLAMA.kv_values_per_token()


@given(st.integers(1, 32), st.integers(1, 14336), st.integers(1, 8))
def test_nothing_removed_makes_it_larger(layers, channels, groups):
    smaller = replace(LLAMA, layers=layers, channels=channels, heads=4 * groups, key_value_heads=groups)
    assert smaller.parameters <= LLAMA.parameters
    assert LLAMA.speedup(smaller) >= 1
    assert smaller.kv_values_per_token() * 32 * 8 == LLAMA.kv_values_per_token() * layers * groups


def test_a_layer_that_only_makes_longer_has_no_influence():
    x = np.random.default_rng(0).normal(size=(9, 4))
    assert block_influence(x, 3 * x) == pytest.approx(0)
    assert block_influence(x, -x) == pytest.approx(2)


def test_what_does_not_fit_is_refused():
    whole, x = mlp(0)
    attention, _ = heads(0)
    for keep in ([], [0, 0], [10], [-1], [[0]]):
        with pytest.raises(InvalidInput, match="keep at least one channel"):
            whole.with_channels(keep)
    with pytest.raises(InvalidInput, match="keep at least one key-value head"):
        attention.with_groups([2])
    with pytest.raises(InvalidInput, match="gate and up are"):
        GatedMLP(whole.gate, whole.up, whole.gate)
    with pytest.raises(InvalidInput, match="do not fit heads of 5"):
        replace(attention, width=5)
    with pytest.raises(InvalidInput, match="cannot share"):
        replace(attention, key=np.ones((16, 8)), value=np.ones((16, 8)))
    with pytest.raises(InvalidInput, match="one shape"):
        block_influence(x, x[:1])
    with pytest.raises(InvalidInput, match="no direction"):
        block_influence(np.zeros((1, 2)), np.ones((1, 2)))
