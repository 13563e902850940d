"""Pictures of attention in tiles: what is said is what the theory gives."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.theory.attention.traffic import queries_outside, standard, tile_for, turned
from workbench.ui.learn.pictures import attention


def shape(picture):
    return [(trace.type, trace.name) for trace in picture.figure.data]


@pytest.mark.parametrize("seen", [1, 8])
@pytest.mark.parametrize("block", [8, 32])
@pytest.mark.parametrize("peak", [0, 63])
def test_a_row_block_by_block(seen, block, peak):
    picture = attention.blocks(seen, block, peak)
    assert shape(picture) == shape(attention.blocks())
    now, whole = (np.asarray(trace.y) for trace in picture.figure.data)
    read = min(seen * block, attention.COLUMNS)
    assert now.sum() == pytest.approx(1)
    assert whole.argmax() == peak
    assert not now[read:].any()
    # What was read differs from the end by one factor, the share that the sentence names.
    assert now[:read] * whole[:read].sum() == pytest.approx(whole[:read])
    assert f"{whole[:read].sum():.1%} of the row" in picture.said


@pytest.mark.parametrize("head_dim", [32, 128])
@pytest.mark.parametrize("kilobytes", [64, 228])
@pytest.mark.parametrize("tokens", [1024, 131072])
def test_what_is_moved(head_dim, kilobytes, tokens):
    picture = attention.moved(head_dim, kilobytes, tokens)
    assert shape(picture) == shape(attention.moved())
    tile = turned(tile_for(kilobytes * 512, head_dim))
    gain = standard(tokens, head_dim) / queries_outside(tokens, head_dim, tile)
    assert f"{gain:.1f} times less" in picture.said
    low, high = picture.figure.layout.yaxis.range
    for trace in picture.figure.data:
        assert 10**low < min(trace.y) < max(trace.y) < 10**high, f"{trace.name} leaves the picture"
