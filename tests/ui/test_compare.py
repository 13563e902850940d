"""The Compare panel and the tabs, without a page: what is compared, kept, picked and handed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.planner.matrix import matrix
from workbench.ui import ComparePanel, GpuTable, PlannerPages, PlannerPanel, Tabs, choices, comparing
from workbench.ui.kept import MOST_PLANS
from workbench.ui.plan_chart import preload


def sent_by(panel: Any) -> list[dict[str, Any]]:
    """What the panel tells its page from now on, besides traits."""
    messages: list[dict[str, Any]] = []
    panel.send = lambda content, buffers=None: messages.append(content)
    return messages


@pytest.fixture
def compare() -> ComparePanel:
    return ComparePanel(gpus=["L40S", "H100 SXM"], schemes=[None, "fp8", "awq"], most_gpus=2)


# ---- the matrix


def test_each_cell_is_the_plan_of_its_fields(compare: ComparePanel) -> None:
    compare.choice = {"model": "meta-llama/Llama-3.1-70B-Instruct", "concurrency": 8, "figure": "tpot"}
    rows = compare.answer["matrix"]["rows"]
    assert [row["scheme"] for row in rows] == [None, "fp8", "awq"]
    for row in rows:
        for cell in row["cells"]:
            plan = wb.plan(
                compare.choice["model"], cell["gpu"], quantization=row["scheme"], tensor_parallel_size=cell["gpus"],
                max_model_len=8192, workload=wb.Workload(concurrency=8),
            )  # fmt: skip
            assert cell["fits"] == plan.fits
            if plan.fits:
                assert cell["value"] == pytest.approx(plan.performance().tpot.value)
            else:
                assert cell["value"] is None
                assert cell["reason"] == plan.reasons[0]


@pytest.mark.parametrize("figure", list(comparing.FIGURES))
def test_the_best_cell_is_the_best_by_the_figure_shown(compare: ComparePanel, figure: str) -> None:
    compare.choice = {"figure": figure}
    cells = [cell for row in compare.answer["matrix"]["rows"] for cell in row["cells"]]
    (best,) = [cell for cell in cells if cell["best"]]
    pick = min if comparing.FIGURES[figure][2] == "less" else max
    assert best["value"] == pick(cell["value"] for cell in cells)
    assert best["shade"] == 1
    assert all(0 <= cell["shade"] <= 1 for cell in cells)


def test_a_cell_that_misses_the_service_level_is_never_the_best(compare: ComparePanel) -> None:
    fastest = min(cell.speed.tpot.value for cell in matrix(compare.cells).values())
    compare.choice = {"tpot": 1.2 * fastest, "figure": "usd_per_hour"}
    cells = [cell for row in compare.answer["matrix"]["rows"] for cell in row["cells"]]
    assert any(not cell["meets"] for cell in cells)
    assert [cell["meets"] for cell in cells if cell["best"]] == [True]
    assert compare.answer["asked"]


def test_what_a_moved_slider_does_not_change_is_not_made_again(compare: ComparePanel) -> None:
    grid = compare._made["grid"][1]
    compare.choice = {"concurrency": 99, "tpot": 0.1, "figure": "tpot"}
    assert compare._made["grid"][1] is grid
    compare.choice = {"max_model_len": 4096}
    assert compare._made["grid"][1] is not grid


def test_the_table_to_take_along_has_every_deployment(compare: ComparePanel) -> None:
    preload().join()
    compare.draw()
    header, *rows = compare.table
    assert len(rows) == len(compare.cells) == 2 * 3 * 2
    assert all(len(row) == len(header) for row in rows)
    first = dict(zip(header, rows[0], strict=True))
    assert first["tpot [s]"] == compare.cells[0].speed.tpot.value
    assert compare.chart.startswith("anywidget:")
    json.dumps(compare.table, allow_nan=False)
    json.dumps(compare.answer, allow_nan=False)


def test_two_gpus_are_compared_for_what_is_chosen(compare: ComparePanel) -> None:
    compare.choice = {"left": "A100 80GB SXM", "right": "H100 SXM", "cards": 4, "isl": 4000}
    found = compare.answer["cards"]
    assert (found["a"], found["b"]) == ("A100 80GB SXM4", "H100 SXM5")
    lines = {(line["group"], line["name"]): line for line in found["lines"]}
    assert lines["Card", "FP8 rate, dense"]["a"] is None
    plan = wb.plan(
        choices.MODEL, "H100 SXM", tensor_parallel_size=4, max_model_len=8192, workload=wb.Workload(isl=4000)
    )
    assert lines["As planned", "Time to first token"]["b"]["value"] == pytest.approx(plan.performance().ttft.value)
    assert any("bandwidth" in words for words in found["words"])


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"gpus": ["L40T"]}, "gpus", "did you mean"),
        ({"gpus": []}, "gpus", "1 to 12"),
        ({"gpus": "L40S"}, "gpus", "list of names"),
        ({"gpus": ["cpu"]}, "gpus", "GPU from the list"),
        ({"schemes": ["magic"]}, "schemes", "magic"),
        ({"schemes": [3]}, "schemes", "list of names"),
        ({"most_gpus": 3}, "most_gpus", "one of 1, 2"),
        ({"cards": True}, "cards", "one of 1, 2"),
        ({"left": 5}, "left", "GPU from the list"),
        ({"figure": "beauty"}, "figure", "one of"),
        ({"one": 5}, "one", "name of a plan"),
        ({"isl": 0}, "isl", "number of input tokens is 0"),
        ({"model": "nonsense/none"}, "model", "Unknown model"),
        ({"colour": "red"}, "colour", "Unknown field"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    compare: ComparePanel, change: dict[str, Any], field: str, words: str
) -> None:
    before = dict(compare.answer)
    with pytest.raises(traitlets.TraitError, match=words):
        compare.choice = change
    messages = sent_by(compare)
    compare.set_state({"choice": {**compare.choice, **change}, "request": 4})
    assert list(compare.problems) == [field]
    assert compare.answer == before
    assert messages == [{"refused": 4}]
    compare.set_state({"choice": {**compare.choice, "isl": 64}, "request": 5})
    assert compare.problems == {}
    assert messages[-1] == {"answered": 5}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*comparing.DEFAULTS, "colour"]), json_values, max_size=3))
def test_nothing_a_page_sends_escapes(change: dict[str, Any]) -> None:
    compare = _shared()
    compare.set_state({"choice": {**comparing.DEFAULTS, "gpus": ["L4"], "schemes": [None], **change}, "request": 1})
    assert all("unexpected" not in words for words in compare.problems.values()), compare.problems
    assert compare.answer["matrix"]["rows"]


def _shared(cache: list[ComparePanel] = []) -> ComparePanel:  # noqa: B006
    if not cache:
        cache.append(ComparePanel(gpus=["L4"], schemes=[None]))
    return cache[0]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=8), json_values, max_size=3))
def test_no_plan_that_a_page_keeps_escapes(plans: dict[str, Any]) -> None:
    compare = _shared()
    compare.set_state({"plans": plans})
    assert all("unexpected" not in words for words in compare.problems.values()), compare.problems
    for choice in compare.plans.values():
        assert choices.checked(choice)


def test_the_page_reads_no_file(compare: ComparePanel, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(dict(wb.Model.from_config(choices.MODEL).config)))
    compare.set_state({"choice": {**compare.choice, "model": str(tmp_path)}, "request": 1})
    assert "choose one from the list" in compare.problems["model"]
    compare.set_state({"plans": {"mine": {"model": str(tmp_path)}}})
    assert "choose one from the list" in compare.problems["model"]
    assert compare.plans == {}


def test_a_failing_chart_leaves_the_answer(compare: ComparePanel, monkeypatch: pytest.MonkeyPatch) -> None:
    preload().join()

    def broken() -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(compare, "_draw", broken)
    messages = sent_by(compare)
    before = dict(compare.answer)
    compare._asked(compare, {"action": "draw", "arguments": {"number": 3}}, None)
    assert messages == [{"drawn": 3, "well": False}]
    assert compare.problems == {}
    assert compare.answer == before


# ---- plans kept by name


def test_two_kept_plans_stand_side_by_side(compare: ComparePanel) -> None:
    assert compare.answer["plans"]["lines"] == []
    compare.plans = {"small": {"gpu": "L40S"}, "large": {"gpu": "H100 SXM5", "tensor_parallel_size": 2}}
    found = compare.answer["plans"]
    assert (found["a"], found["b"]) == ("small", "large")
    tpot = next(line for line in found["lines"] if line["name"] == "Time per output token")
    plan = wb.plan(choices.MODEL, "H100 SXM5", tensor_parallel_size=2, max_model_len=8192)
    assert tpot["b"]["value"] == pytest.approx(plan.performance().tpot.value)
    compare.choice = {"one": "large", "two": "small"}
    assert compare.answer["plans"]["a"] == "large"
    compare.plans = {"small": {"gpu": "L40S"}}
    assert compare.answer["plans"]["names"] == ["small"]


def test_a_plan_is_kept_as_it_was_chosen() -> None:
    planner = PlannerPanel(gpu="H100 SXM5", quantization="fp8", tpot=0.05)
    planner.keep("  two   words ")
    kept = planner.plans["two words"]
    assert choices.checked(kept) == planner.choice
    assert "isl" not in kept


@pytest.mark.parametrize(
    ("plans", "words"),
    [
        ({"": {}}, "a name of 1 to 60"),
        ({"x" * 61: {}}, "a name of 1 to 60"),
        ({"a": {"gpu": 5}}, "name from the list"),
        ({"a": {"colour": "red"}}, "Unknown field"),
        ({str(n): {} for n in range(MOST_PLANS + 1)}, "kept at most"),
    ],
)
def test_plans_that_cannot_be_kept_are_refused(plans: dict[str, Any], words: str) -> None:
    planner = PlannerPanel()
    with pytest.raises(traitlets.TraitError, match=words):
        planner.plans = plans
    planner.set_state({"plans": plans})
    assert list(planner.problems) == ["plans"]
    assert planner.plans == {}


# ---- tabs


def test_tabs_hold_what_they_are_given() -> None:
    one, two = GpuTable(), GpuTable()
    tabs = Tabs({"One": [one], "Two": [two, one]})
    assert tabs.pages[1] == {"title": "Two", "widgets": [f"anywidget:{two.model_id}", f"anywidget:{one.model_id}"]}
    tabs.selected = "Two"
    with pytest.raises(traitlets.TraitError, match="no tab is called 'Three'"):
        tabs.selected = "Three"
    tabs.set_state({"selected": "Three"})
    assert tabs.selected == "Two"
    tabs.set_state({"pages": []})
    assert len(tabs.pages) == 2


def test_what_both_choose_goes_along_with_the_tab() -> None:
    pages = PlannerPages()
    pages.planner.choice = {"isl": 3000, "gpu": "H20", "tensor_parallel_size": 4, "tpot": 0.05, "max_model_len": 16384}
    pages.selected = "Compare"
    assert pages.compare.choice["isl"] == 3000
    assert pages.compare.choice["max_model_len"] == 16384
    assert pages.compare.choice["left"] == "H20"
    assert pages.compare.choice["gpus"][0] == "H20"
    assert pages.compare.choice["cards"] == 4
    pages.compare.choice = {"isl": 500, "model": "Qwen/Qwen3-8B"}
    pages.selected = "Plan"
    assert pages.planner.choice["isl"] == 500
    assert pages.planner.choice["model"] == "Qwen/Qwen3-8B"
    assert pages.planner.choice["gpu"] == "H20"
    assert pages.planner.choice["tensor_parallel_size"] == 4


def test_another_engine_brings_its_own_formats() -> None:
    pages = PlannerPages()
    pages.planner.choice = {"engine": "llama.cpp", "quantization": "q4_k_m", "gpu": "RTX 4090"}
    pages.selected = "Compare"
    engine = next(each for each in choices.options()["engines"] if each["value"] == "llama.cpp")
    offered = {scheme["value"] for scheme in engine["schemes"]}
    assert set(pages.compare.choice["schemes"]) <= offered
    assert pages.compare.answer["matrix"]["rows"][0]["title"]


def test_a_picked_cell_is_planned() -> None:
    pages = PlannerPages()
    pages.selected = "Compare"
    pages.compare.choice = {"model": "meta-llama/Llama-3.1-70B-Instruct", "schemes": ["awq"], "gpus": ["H200 SXM"]}
    for _ in range(2):  # the same cell may be picked again
        pages.compare._asked(
            pages.compare, {"action": "pick", "arguments": {"gpu": "H200 SXM", "quantization": "awq"}}, None
        )
        assert pages.selected == "Plan"
        plan = pages.planner.plan
        assert (plan.deployment.gpu, plan.deployment.quantization) == ("H200 SXM", "awq")
        assert plan.deployment.tensor_parallel_size == pages.compare.cells[0].tensor_parallel_size
        assert plan.model.id == "meta-llama/Llama-3.1-70B-Instruct"
        pages.planner.choice = {"gpu": "L4"}
        pages.selected = "Compare"
    messages = sent_by(pages.compare)
    pages.compare._asked(pages.compare, {"action": "pick", "arguments": {"gpu": "L40T"}}, None)
    assert messages == [{"refused": 0}]


def test_plans_kept_in_one_tab_are_known_to_the_other() -> None:
    pages = PlannerPages()
    pages.planner.keep("mine")
    assert pages.compare.plans == pages.planner.plans
    pages.compare.plans = {}
    assert pages.planner.plans == {}


def test_a_card_of_the_table_is_planned_with() -> None:
    pages = PlannerPages()
    pages.gpus.selected = "H100 SXM5"
    assert pages.planner.plan.card.name == "H100 SXM5"
