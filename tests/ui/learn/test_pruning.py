"""Pictures of pruning: shapes that stay the same, and sentences that hold the theory's numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from workbench import hardware
from workbench.theory.pruning import patterns
from workbench.ui.learn.pictures import pruning


def shape(picture):
    return [(trace.type, trace.name) for trace in picture.figure.data]


@pytest.mark.parametrize("gone", [1, 6, 18])
def test_worth_says_both_losses(gone):
    picture = pruning.worth(gone)
    assert shape(picture) == shape(pruning.worth())
    by_size, by_curvature, here = picture.figure.data
    assert list(here.y) == [by_size.y[gone], by_curvature.y[gone]]
    assert f"{by_curvature.y[gone]:.4f} by curvature and {by_size.y[gone]:.4f} by size" in picture.said
    low, high = picture.figure.layout.yaxis.range
    assert np.all((np.log10(by_size.y) > low) & (np.log10(by_size.y) < high))


@pytest.mark.parametrize(
    ("choice", "loud", "alike"), list(itertools.product(pruning.CHOICES.values(), [1, 20], [0.0, 0.9])), ids=str
)
def test_spared_compares_three_methods(choice, loud, alike):
    picture = pruning.spared(choice, loud, alike)
    assert shape(picture) == shape(pruning.spared())
    by_size, wanda, sparsegpt = picture.figure.data[0].y
    assert max(by_size, wanda, sparsegpt) < picture.figure.layout.yaxis.range[1]
    assert f"{by_size:.1f} % of the output lost by size, {wanda:.1f} % by Wanda, {sparsegpt:.1f} %" in picture.said
    if loud == 20:
        assert wanda < by_size / 4
    if alike == 0.9:
        assert sparsegpt < wanda


@pytest.mark.parametrize(("gpu", "tokens"), list(itertools.product(pruning.GPUS, [1, 4096])))
def test_faster_is_bound_by_bytes_and_then_by_products(gpu, tokens):
    picture = pruning.faster(tokens, gpu)
    assert shape(picture) == shape(pruning.faster())
    card = hardware.gpu(gpu)
    assert "sparsity_2_4" in card.supports
    most = patterns.gain(tokens, 4096, 14336, 16, card.flops["bf16"], card.bandwidth)
    assert f"At most {most:.2f} times as fast with 16-bit" in picture.said
    assert list(picture.figure.data[-1].y) == pytest.approx(
        [2, 2, 2] if tokens > 1 else [16 / 9, 8 / 5, 4 / 3], rel=0.01
    )


@pytest.mark.parametrize(
    ("layers", "channels", "groups", "context"), [(24, 100, 8, 0), (8, 10, 1, 32768), (32, 50, 8, 0), (32, 100, 4, 0)]
)
def test_smaller_says_what_is_left(layers, channels, groups, context):
    picture = pruning.smaller(layers, channels, groups, context)
    assert shape(picture) == shape(pruning.smaller())
    left = replace(
        pruning.LLAMA, layers=layers, channels=14336 * channels // 100, heads=4 * groups, key_value_heads=groups
    )
    assert f"At most {pruning.LLAMA.speedup(left, context):.2f} times as fast" in picture.said
    assert f"{left.parameters / 1e9:.2f} of 8.03" in picture.said
    parameters, flops, cache = picture.figure.data[0].y
    assert picture.figure.data[1].y[0] == pytest.approx(layers / 32 * channels)
    assert cache == pytest.approx(100 * layers / 32 * groups / 8)
    assert flops == pytest.approx(100 / pruning.LLAMA.speedup(left, context))
    assert parameters == pytest.approx(100 * left.parameters / pruning.LLAMA.parameters)
