"""A quantised cache: who shares a scale, and how keys' and values' errors reach the output."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import InvalidInput
from workbench.kv_formats import KV_FORMATS
from workbench.theory.attention.naive import attention
from workbench.theory.quantisation import kv_cache as subject
from workbench.theory.quantisation.float8 import E4M3FN, E5M2
from workbench.theory.quantisation.kv_cache import (
    bits_per_value,
    decode_attention,
    effect,
    example_cache,
    stored,
)


def example(outlier=10.0, seed=0, **sizes):
    return example_cache(np.random.default_rng(seed), outlier=outlier, **sizes)


# ------------------------------------------------------------------------------------- independent references


@pytest.mark.parametrize("number", [8, 4, E4M3FN])
@pytest.mark.parametrize(
    ("sharing", "pieces"),
    [
        ("layer", [np.s_[:, :, :]]),
        ("head", [np.s_[h] for h in range(2)]),
        ("token", [np.s_[h, t] for h in range(2) for t in range(5)]),
        ("channel", [np.s_[h, :, c] for h in range(2) for c in range(6)]),
    ],
)
def test_each_piece_is_rounded_by_its_own_largest(number, sharing, pieces):
    cache = np.random.default_rng(0).standard_normal((2, 5, 6)) * np.arange(1, 7)
    expected = np.empty_like(cache)
    for piece in pieces:
        most = np.abs(cache[piece]).max()
        if number is E4M3FN:
            expected[piece] = number.round(cache[piece] / (most / 448)) * (most / 448)
        else:
            step = most / (2 ** (number - 1) - 1)
            expected[piece] = np.round(cache[piece] / step) * step
    assert stored(cache, number, sharing) == pytest.approx(expected)


def test_attention_of_one_token_is_attention():
    queries, keys, values = example(heads=3, tokens=20, dimension=16)
    for head in range(3):
        whole = attention(queries[head : head + 1], keys[head], values[head])
        assert decode_attention(queries, keys, values)[head] == pytest.approx(whole[0])


def test_a_small_change_of_keys_does_what_the_derivative_says():
    """∂o/∂k_t = p_t (v_t - o) qᵀ / √d, in each head."""
    queries, keys, values = example(outlier=1.0, heads=1, tokens=12, dimension=8)
    change = 1e-6 * np.random.default_rng(1).standard_normal(keys.shape)
    out = decode_attention(queries, keys, values)[0]
    scores = keys[0] @ queries[0] / np.sqrt(8)
    p = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    expected = sum(p[t] * (change[0, t] @ queries[0]) / np.sqrt(8) * (values[0, t] - out) for t in range(12))
    assert decode_attention(queries, keys + change, values)[0] - out == pytest.approx(expected, rel=1e-3)


# ------------------------------------------------------------------------------------------- what must hold


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000), bits=st.integers(2, 8), sharing=st.sampled_from(["layer", "head", "token", "channel"])
)
def test_no_value_moves_further_than_half_a_step(seed, bits, sharing):
    cache = np.random.default_rng(seed).standard_normal((2, 6, 4))
    step = np.abs(cache).max() / (2 ** (bits - 1) - 1)
    assert np.abs(stored(cache, bits, sharing) - cache).max() <= step / 2 * (1 + 1e-9)


def test_what_was_stored_is_stored_again_unchanged():
    _, keys, _ = example()
    for number in (8, E4M3FN):
        once = stored(keys, number, "token")
        assert stored(once, number, "token") == pytest.approx(once)


def test_an_exact_cache_has_no_effect():
    queries, keys, values = example()
    assert vars(effect(queries, keys, values, keys, values)) == {"scores": 0, "keys": 0, "values": 0, "both": 0}


def test_keys_suffer_from_their_loud_channels_and_values_do_not():
    found = {}
    for outlier in (1.0, 40.0):
        queries, keys, values = example(outlier)
        found[outlier] = effect(queries, keys, values, stored(keys, 8, "token"), stored(values, 8, "token"))
    assert found[40.0].keys > 50 * found[1.0].keys
    assert found[40.0].values == pytest.approx(found[1.0].values, rel=0.3)
    queries, keys, values = example(40.0)
    by_channel = effect(queries, keys, values, stored(keys, 8, "channel"), values)
    assert by_channel.keys < 0.3 * found[40.0].keys


def test_a_scale_for_each_token_is_finer_than_one_for_the_layer():
    queries, keys, values = example()
    keys *= np.exp(np.random.default_rng(2).standard_normal((1, keys.shape[1], 1)))  # tokens differ in size
    errors = [effect(queries, keys, values, stored(keys, 8, s), values).scores for s in ("layer", "head", "token")]
    assert errors == sorted(errors, reverse=True)


def test_fp8_without_a_scale_clips_and_with_one_does_not():
    """vLLM takes a scale of 1 where a checkpoint brings none: what exceeds 448 is cut, what is small is subnormal."""
    loud = np.full((1, 1, 4), 1000.0)
    assert stored(loud, E4M3FN, "none").max() == 448
    assert stored(loud, E4M3FN, "layer") == pytest.approx(loud)
    small = np.random.default_rng(0).standard_normal((1, 64, 64)) * 1e-3
    assert np.mean(stored(small, E4M3FN, "none") == 0) > 0.5
    assert np.mean(stored(small, E4M3FN, "layer") == 0) < 0.01


def test_e4m3_keeps_a_bit_more_than_e5m2():
    queries, keys, values = example(1.0)
    four, five = (effect(queries, keys, values, keys, stored(values, each, "token")).values for each in (E4M3FN, E5M2))
    assert five == pytest.approx(4 * four, rel=0.25)


@pytest.mark.parametrize(
    ("number", "sharing", "id"),
    [
        (8, "token", "int8_per_token_head"),
        (E4M3FN, "token", "fp8_per_token_head"),
        (4, "token", "int4_per_token_head"),
        (E4M3FN, "layer", "fp8"),
    ],
)
def test_bits_are_those_the_planner_counts(number, sharing, id):
    assert bits_per_value(number, sharing, 128) == 8 * KV_FORMATS[id].vector_bytes(128) / 128


def test_fp8_halves_the_cache():
    """C002-036: 65,536 instead of 131,072 bytes a token for Llama 3 8B."""
    model = wb.Model.from_config("meta-llama/Meta-Llama-3-8B-Instruct")
    assert model.kv_bytes_per_token("bfloat16") == 131072
    assert model.kv_bytes_per_token("fp8") == 65536


@pytest.mark.parametrize(
    ("cache", "number", "sharing", "said"),
    [
        (np.ones((2, 3)), 8, "head", "dimension"),
        (np.full((1, 2, 3), np.nan), 8, "head", "NaN"),
        (np.ones((1, 2, 3)), 8, "none", "need a scale"),
        (np.ones((1, 2, 3)), 8, "row", "sharing"),
        (np.ones((1, 2, 3)), 1, "head", "bits"),
    ],
)
def test_what_cannot_be_used_is_said(cache, number, sharing, said):
    with pytest.raises(InvalidInput, match=said):
        stored(cache, number, sharing)


def test_shapes_must_go_together():
    queries, keys, values = example()
    with pytest.raises(InvalidInput, match="one shape"):
        effect(queries, keys, values, keys[:, 1:], values)
    with pytest.raises(InvalidInput, match="each head"):
        effect(queries[1:], keys, values, keys, values)


def test_examples():
    assert doctest.testmod(subject).failed == 0
