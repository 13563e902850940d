"""The charts: the same numbers as the plans they are drawn from, changed in place, and nothing lost on the way."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.planner.curve import Curve, curve
from workbench.planner.matrix import Grid
from workbench.planner.roofline_points import roofline
from workbench.ui import chart
from workbench.ui.pareto_chart import ParetoChart
from workbench.ui.pareto_chart import traces as points_of
from workbench.ui.plan_chart import PlanChart, figure, traces

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
SLO = wb.ServiceLevel(tpot=0.05, ttft=1.0)


def planned(**fields: Any) -> Any:
    return wb.plan(MODEL, **{"gpu": "L40S", "max_model_len": 8192, **fields})


def drawn(plan: Any, slo: wb.ServiceLevel = SLO) -> tuple[Any, ...]:
    return curve(plan, slo), slo, roofline(plan)


def shown(widget: Any) -> list[dict[str, Any]]:
    """The data of each trace as plain values."""
    names = ("x", "y", "text", "marker", "error_x", "error_y")
    made = []
    for trace in widget.data:
        values = {name: trace[name] for name in names if trace[name] is not None}
        made.append({k: list(v) if isinstance(v, tuple) else str(v) for k, v in values.items()})
    return made


# ---- a plan's pictures


def test_the_curve_is_drawn_with_the_chosen_point_and_what_is_asked() -> None:
    found, slo, roof = drawn(planned())
    per_token, first, chosen, most_per_token, most_first, _, best, *_ = traces(found, slo, roof)
    assert per_token["x"] == [point.speed.output_tokens_per_s.value for point in found.points]
    assert per_token["y"] == [point.speed.tpot.value for point in found.points]
    assert first["y"] == [point.speed.ttft.value for point in found.points]
    assert per_token["marker"]["symbol"] == ["circle" if point.speed.meets else "circle-open" for point in found.points]
    speed = found.chosen.speed
    assert chosen["y"] == [speed.tpot.value, speed.ttft.value]
    assert chosen["error_y"]["array"][0] == pytest.approx(speed.tpot.high - speed.tpot.value)
    assert set(most_per_token["y"]) == {0.05}
    assert set(most_first["y"]) == {1.0}
    assert best["x"] == [found.best.speed.output_tokens_per_s.value]


def test_nothing_is_asked_and_nothing_is_drawn_of_it() -> None:
    found = traces(*drawn(planned(), wb.ServiceLevel()))
    assert [trace["x"] for trace in found[3:7]] == [[], [], [], []]


def test_the_roofline_is_that_of_the_card() -> None:
    plan = planned()
    roof, _, points = traces(*drawn(plan))[-3:]
    found = roofline(plan)
    assert roof["y"][1:] == [found.rate, found.rate]
    assert roof["x"][1] == found.ridge
    assert roof["y"][0] == pytest.approx(roof["x"][0] * found.bandwidth)
    assert points["text"] == ["prefill", "decode"]
    assert points["x"] == [point.intensity for point in found.points]


def test_everything_drawn_lies_inside_the_axes() -> None:
    for fields in ({}, {"gpu": "H100 SXM", "quantization": "fp8"}, {"workload": wb.Workload(4000, 20, 300)}):
        layout = figure(*drawn(planned(**fields))).layout
        found = traces(*drawn(planned(**fields)))
        for trace in found[:2]:
            assert max(trace["x"]) <= layout.xaxis.range[1]
            assert layout.yaxis.range[0] <= math.log10(min(trace["y"]))
            assert math.log10(max(trace["y"])) <= layout.yaxis.range[1]
        points = found[-1]
        assert layout.xaxis2.range[0] <= math.log10(min(points["x"]))
        assert math.log10(max(points["y"])) <= layout.yaxis2.range[1]


def test_a_changed_chart_is_the_same_as_a_new_one() -> None:
    changed = PlanChart(*drawn(planned()))
    other = drawn(planned(gpu="B200 SXM (HGX)", workload=wb.Workload(2000, 100, 64)), wb.ServiceLevel(percentile=95))
    changed.show(*other)
    new = PlanChart(*other)
    assert shown(changed.widget) == shown(new.widget)
    assert changed.widget.layout.to_plotly_json() == new.widget.layout.to_plotly_json()
    assert "95 % of requests" in changed.widget.layout.annotations[0].text


def test_it_stands_on_end_where_there_is_no_room() -> None:
    found = PlanChart(*drawn(planned()))
    wide = found.widget.layout.to_plotly_json()
    found.turn(True)
    assert found.widget.layout.xaxis.domain == (0, 1)
    assert found.widget.layout.yaxis2.domain[1] < found.widget.layout.yaxis.domain[0]
    found.turn(False)
    assert found.widget.layout.to_plotly_json() == wide


def test_a_chart_of_nothing_can_be_made() -> None:
    assert len(figure(Curve((), None, None), wb.ServiceLevel(), None).data) == len(
        traces(Curve((), None, None), wb.ServiceLevel(), None)
    )


# ---- a matrix's picture


@pytest.fixture(scope="module")
def grid() -> Grid:
    return Grid(MODEL, ["L40S", "H100 SXM"], [None, "awq"], max_model_len=8192)


def test_every_option_that_fits_is_a_point(grid: Grid) -> None:
    options = grid.options(wb.Workload())
    front, *cards = points_of(options, {None: "BF16", "awq": "AWQ"})
    assert len(cards) == 12
    for number, card in enumerate(("L40S", "H100 SXM5")):
        own = [option for option in options if option.gpu == card and option.fits]
        assert cards[number]["x"] == [option.speed.tpot.value for option in own]
        assert cards[number]["y"] == [option.usd_per_million_tokens for option in own]
    assert cards[2]["x"] == []
    best = sorted((option.speed.tpot.value, option.usd_per_million_tokens) for option in options if option.pareto)
    assert list(zip(front["x"], front["y"], strict=True)) == best
    assert front["y"] == sorted(front["y"], reverse=True)
    assert front["text"][0]


def test_what_misses_the_service_level_is_faint(grid: Grid) -> None:
    times = sorted(option.speed.tpot.value for option in grid.options(wb.Workload()) if option.gpu == "L40S")
    options = grid.options(wb.Workload(), wb.ServiceLevel(tpot=times[len(times) // 2]))
    _, card, *_ = points_of(options, {None: "BF16", "awq": "AWQ"})
    own = [option for option in options if option.gpu == "L40S" and option.fits]
    assert {option.meets for option in own} == {True, False}
    assert [value > 0.5 for value in card["marker"]["opacity"]] == [option.meets for option in own]


def test_a_changed_matrix_chart_is_the_same_as_a_new_one(grid: Grid) -> None:
    names = {None: "BF16", "awq": "AWQ", "fp8": "FP8"}
    changed = ParetoChart(grid.options(wb.Workload()), names)
    other = Grid(MODEL, ["L4", "L40S", "H200 SXM"], ["fp8"], max_model_len=4096).options(wb.Workload(100, 900, 5))
    changed.show(other, names)
    new = ParetoChart(other, names)
    assert shown(changed.widget) == shown(new.widget)
    assert changed.widget.layout.to_plotly_json() == new.widget.layout.to_plotly_json()


def test_without_prices_gpus_stand_for_money() -> None:
    card = wb.custom_gpu("Mine", memory_gib=79, bandwidth_gb_s=3000, fp16_tflops=900)
    found = ParetoChart(Grid(MODEL, [card], [None]).options(wb.Workload()), {None: "BF16"})
    assert "GPU seconds" in found.widget.layout.yaxis.title.text
    assert len(found.widget.data[1].x) == 4


# ---- axes


@given(st.lists(st.floats(1e-9, 1e18), min_size=1, max_size=8))
def test_a_logarithmic_range_holds_its_values(values: list[float]) -> None:
    low, high = chart.logarithmic(values)
    assert low < math.log10(min(values)) <= math.log10(max(values)) < high
    assert high - low < math.log10(max(values) / min(values)) + 1


@given(st.floats(1e-6, 1e12))
def test_a_linear_range_holds_its_value_and_not_much_more(most: float) -> None:
    low, high = chart.linear(most)
    assert low == 0
    assert most <= high <= 1.7 * most


@given(st.floats(-9, 15), st.floats(0.2, 6))
def test_ticks_lie_inside_and_rise(low: float, span: float) -> None:
    found = chart.ticks([low, low + span], 1, [(1e-3, "ms"), (1.0, "s")])
    assert found["tickvals"] == sorted(found["tickvals"])
    assert all(low <= math.log10(value) <= low + span + 1e-6 for value in found["tickvals"])
    assert len(found["tickvals"]) == len(found["ticktext"]) == len(set(found["ticktext"]))


def test_names_from_elsewhere_are_text() -> None:
    assert chart.text("<b>x</b>", "a & b") == "&lt;b>x&lt;/b><br>a &amp; b"


def test_a_page_is_told_of_a_figure_once_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """plotly's own widget opens empty and is filled after that, which a page that draws in between never sees."""
    from comm.base_comm import BaseComm
    from ipywidgets.widgets import widget as widgets
    from plotly.graph_objects import Figure

    opened: list[dict[str, Any]] = []

    class Silent(BaseComm):
        def publish_msg(self, *args: Any, **fields: Any) -> None:
            pass

    def create(**fields: Any) -> Any:
        opened.append(fields)
        return Silent(**fields)

    monkeypatch.setattr(widgets.comm, "create_comm", create)
    made = chart.widget(Figure(data=[{"x": [1, 2], "y": [3, 4]}], layout={"height": 300}))
    told = [fields["data"]["state"] for fields in opened if "_widget_data" in fields["data"]["state"]]
    assert len(told) == 1
    assert [trace["y"] for trace in told[0]["_widget_data"]] == [[3, 4]]
    assert told[0]["_widget_layout"]["height"] == 300
    made.close()
