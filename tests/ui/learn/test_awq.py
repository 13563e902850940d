"""The picture of AWQ: what is said is what the theory gives."""

from __future__ import annotations

import pytest

from workbench.theory.quantisation.awq import awq, reversed_as_often_told
from workbench.ui.learn.pictures import awq as pictures


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("outlier_factor", [1, 100])
@pytest.mark.parametrize("group", [None, 32])
def test_errors_by_exponent(bits, outlier_factor, group):
    picture = pictures.by_exponent(bits, outlier_factor, group)
    shape = [(trace.type, trace.name, len(trace.x)) for trace in picture.figure.data]
    assert shape == [(trace.type, trace.name, len(trace.x)) for trace in pictures.by_exponent().figure.data]
    layer = pictures._layer(outlier_factor)
    best = awq(*layer, bits, group=group, exponents=pictures.RIGHT)
    told = reversed_as_often_told(*layer, bits, group=group)
    assert f"is {best.exponent:.1f} and leaves {best.error:.3%}" in picture.said
    assert f"direction costs {told.error:.3%}." in picture.said
    assert (tuple(picture.figure.data[3].x), tuple(picture.figure.data[3].y)) == ((best.exponent,), (best.error,))
