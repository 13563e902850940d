"""Pictures of GPTQ: what is said is what the theory gives."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.theory.quantisation.gptq import gptq, output_error
from workbench.ui.learn.pictures import gptq as pictures


def shape(picture):
    return [(trace.type, trace.name, len(trace.x)) for trace in picture.figure.data]


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("order", pictures.ORDERS.values())
@pytest.mark.parametrize("damping", [0.001, 1.0])
def test_errors_by_correlation(bits, order, damping):
    picture = pictures.by_correlation(bits, order, damping)
    assert shape(picture) == shape(pictures.by_correlation())
    weight, hessian = pictures._layer(0.8)
    found = output_error(weight, gptq(weight, hessian, bits, order=order, damping=damping).values(), hessian)
    assert f"GPTQ {found:.3%}" in picture.said
    lines = {trace.name: np.array(trace.y) for trace in picture.figure.data}
    assert np.all(lines["GPTQ"][2:] < lines["nearest code"][2:])
    assert np.all(lines[pictures.TOLD][1:] > lines["nearest code"][1:])


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("damping", [0.001, 1.0])
def test_errors_by_tokens(bits, damping):
    picture = pictures.by_tokens(bits, damping)
    assert shape(picture) == shape(pictures.by_tokens())
    found = np.array(picture.figure.data[1].y)
    assert f"{found[-1]:.2f} with 1024" in picture.said
    assert found[-1] < 0.8
    assert found[-1] < found[1]
