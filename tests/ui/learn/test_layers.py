"""Pictures of layers in eight bits: what is said is what the theory gives, or what was measured."""

from __future__ import annotations

import pytest

from workbench.theory.quantisation.linear import WholeTensor, int8_linear, relative_error
from workbench.theory.quantisation.uniform import quantise
from workbench.theory.quantisation.whole_model import measured
from workbench.ui.learn.pictures import layers as pictures


def shape(picture):
    return [(trace.type, trace.name, tuple(trace.x)) for trace in picture.figure.data]


@pytest.mark.parametrize("outlier_factor", [1, 100])
@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_errors_by_who_shares_a_scale(outlier_factor, smoothing):
    picture = pictures.by_sharing(outlier_factor, smoothing)
    assert shape(picture) == shape(pictures.by_sharing())
    x, w = pictures._layer(outlier_factor)
    found = relative_error(x @ w.T, int8_linear(x, quantise(w, 8, axis=0), None, WholeTensor()))
    assert f"INT8 loses {found:.3%}" in picture.said
    low, high = (10**end for end in picture.figure.layout.yaxis.range)
    assert all(low < value for trace in picture.figure.data for value in trace.y)
    assert all(value < high for trace in picture.figure.data for value in trace.y)


@pytest.mark.parametrize("outliers", [1, 64])
def test_what_was_measured_is_drawn(outliers):
    picture = pictures.whole_model(outliers)
    assert shape(picture) == shape(pictures.whole_model())
    rows = measured()
    rows = rows[(rows["outliers"] == outliers) & rows["number"].eq("fp8") & rows["inputs"].eq("token")]
    assert picture.said.endswith(f"and {rows['kl_divergence'].item():.4f}.")
    assert "Measured" in picture.said
