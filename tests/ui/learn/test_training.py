"""Pictures of training with rounding: what is said is what the theory gives."""

from __future__ import annotations

import pytest

from workbench.theory.quantisation.training import loss, train
from workbench.ui.learn.pictures import training as pictures


def shape(picture):
    return [(trace.type, trace.name, len(trace.x)) for trace in picture.figure.data]


@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("steps", [0, 200])
def test_curves(bits, steps):
    picture = pictures.curves(bits, steps)
    assert shape(picture) == shape(pictures.curves())
    aware = train(pictures._whole(), pictures.X, pictures.Y, bits=bits, steps=steps).network
    assert f"{loss(aware, pictures.X, pictures.Y, bits):.4f} when the last {steps} steps" in picture.said
    assert all(abs(value) < 3 for trace in picture.figure.data for value in trace.y)


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_losses(bits):
    picture = pictures.losses(bits)
    assert shape(picture) == shape(pictures.losses())
    afterwards, aware, _ = (trace.y for trace in picture.figure.data)
    assert f"to {aware[-1]:.4f}" in picture.said
    assert aware[-1] < afterwards[-1] or bits == 8  # with eight bits there is nothing to gain
