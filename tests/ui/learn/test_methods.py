"""The picture of the methods says the map's numbers, whatever its controls say."""

from __future__ import annotations

import pytest

from workbench.trials import losses, methods_map
from workbench.ui.learn import Explorer
from workbench.ui.learn.pictures.methods import GPUS, MODELS, NAMES, STEPS, trade

MODEL = next(iter(MODELS.values()))


@pytest.mark.parametrize("gpu", GPUS)
@pytest.mark.parametrize("step", STEPS.values())
@pytest.mark.parametrize("concurrency", [1, 256])
def test_the_sentence_and_the_points_are_the_maps(step, gpu, concurrency):
    picture = trade(step, gpu, concurrency)
    found = methods_map(MODEL, gpu, concurrency=concurrency, choices=["awq", "fp8_dynamic"])
    assert f"AWQ at most {found.at['awq', step]:.1f} times" in picture.said
    assert f"FP8 at most {found.at['fp8_dynamic', step]:.1f} times" in picture.said
    assert "not measured" in picture.said
    (eight, four, _) = picture.figure.data
    assert eight.x[list(NAMES["8 bits"]).index("fp8_dynamic")] == found.at["fp8_dynamic", step]
    assert four.x[list(NAMES["4 to 6 bits"]).index("awq")] == found.at["awq", step]


def test_every_point_is_inside_fixed_axes_and_has_a_name():
    for gpu in GPUS:
        for step in STEPS.values():
            figure = trade(step, gpu, 1, list(MODELS.values())[-1]).figure
            low, high = figure.layout.xaxis.range
            bottom, top = (10**end for end in figure.layout.yaxis.range)
            for trace in figure.data:
                assert len(trace.x) == len(trace.y) == len(trace.text)
                assert all(low <= x <= high for x in trace.x)
                assert all(bottom <= y <= top for y in trace.y)


def test_every_point_was_measured():
    assert {word for names in NAMES.values() for word in names} <= set(losses.measured())


def test_controls_move_it():
    explorer = Explorer(trade, step=STEPS, gpu=GPUS, concurrency=[1, 32, 256], model=MODELS)
    before = explorer.said
    explorer.controls["step"].value = "prefill"
    assert "AWQ at most 1.0 times" in explorer.said != before
