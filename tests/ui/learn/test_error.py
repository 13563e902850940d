"""Pictures of signal to noise: what is said is what the theory gives."""

from __future__ import annotations

import pytest

from workbench.theory.quantisation.error import overload_error, sqnr_of
from workbench.ui.learn.pictures import error


def shape(picture):
    return [(trace.type, trace.name) for trace in picture.figure.data]


@pytest.mark.parametrize("clip", [1.0, 4.0, 8.0])
@pytest.mark.parametrize("tails", error.TAILS.values())
def test_decibels_by_bits(clip, tails):
    picture = error.by_bits(clip, tails)
    assert shape(picture) == shape(error.by_bits())
    assert f"{sqnr_of(tails, 8, clip):.1f} dB" in picture.said
    lines = {trace.name: trace.y for trace in picture.figure.data}
    best, here, told = (
        lines[each] for each in ("clipped at its best", "clipped where you say", "6.02 b + 1.76, a sine")
    )
    assert all(best >= here - 0.05 for best, here in zip(best, here, strict=True))
    assert all(best < told for best, told in zip(best, told, strict=True))


@pytest.mark.parametrize("clip", [1.0, 8.0])
@pytest.mark.parametrize("bits", [2, 8])
def test_parts_of_an_error(bits, clip):
    picture = error.by_clip(bits, clip)
    assert shape(picture) == shape(error.by_clip())
    assert f"clipping {float(overload_error(clip)):.2g} σ²" in picture.said


def test_more_bits_clip_later():
    assert [error.by_clip(bits).said.split("least at ")[1] for bits in (4, 8)] == ["2.5 σ.", "3.9 σ."]
