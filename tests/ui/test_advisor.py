"""The Advisor without a page: choices checked, answers, what is handed on."""

from __future__ import annotations

import json
from typing import Any

import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.planner.needs import Need
from workbench.ui import advising, choices
from workbench.ui.advisor import AdvisorPanel

SMALL = {"model": "meta-llama/Llama-3.1-8B-Instruct", "gpu": "L40S", "users": 100}


@pytest.fixture(scope="module")
def panel() -> AdvisorPanel:
    return AdvisorPanel(**SMALL)


@pytest.fixture(autouse=True)
def reset(panel: AdvisorPanel) -> None:
    panel.choice = {**advising.DEFAULTS, **SMALL}


def test_the_default_answers_the_issues_question():
    need = advising.need(advising.DEFAULTS)
    assert need.users == 500
    assert need.ttft == 1.0
    assert need.tpot == pytest.approx(1 / 30)
    assert need.usd_per_month == 20_000
    assert "70B" in advising.DEFAULTS["model"]


def test_an_answer_is_json_and_follows_the_choice(panel: AdvisorPanel):
    assert panel.answer["verdict"] == "yes"
    first = panel.answer["plans"][0]["usd_per_month"]["value"]
    panel.choice = {"users": 5000}
    assert panel.answer["plans"][0]["usd_per_month"]["value"] > first
    json.dumps(panel.answer, allow_nan=False)
    panel.choice = {"usd_per_month": 100}
    assert panel.answer["verdict"] == "over budget"
    assert panel.answer["headline"].startswith("Not for $100 a month")


def test_a_rate_may_be_given_instead_of_users(panel: AdvisorPanel):
    panel.choice = {"load": "rate", "requests_per_s": 12}
    assert panel.answer["need"]["users"] is None
    assert panel.answer["plans"][0]["requests_per_s"] == 12
    panel.pick(0)
    assert panel.picked["concurrency"] >= 1


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"users": 0}, "users", "The number of users is 0"),
        ({"users": None}, "users", "The number of users is empty"),
        ({"users": 2.5}, "users", "The number of users is 2.5"),
        ({"active_share": 2}, "active_share", "The share of active users"),
        ({"load": "rate", "requests_per_s": 0}, "requests_per_s", "The number of requests a second"),
        ({"tokens_per_s": -3}, "tokens_per_s", "The speed asked is -3"),
        ({"ttft": 0}, "ttft", "The time asked to the first token is 0"),
        ({"usd_per_month": 0}, "usd_per_month", "The budget is 0"),
        ({"gpus": 0}, "gpus", "The number of GPUs is 0"),
        ({"percentile": 42}, "percentile", "must be one of 50, 90, 95, 99"),
        ({"floor": "best"}, "floor", "unknown floor"),
        ({"price": "gift"}, "price", "unknown kind of price"),
        ({"gpu": "H1000"}, "gpu", "unknown GPU"),
        ({"model": "../secrets"}, "model", "choose one from the list"),
        ({"spare": "yes"}, "spare", "spare must be on or off"),
        ({"isl": 0}, "isl", "The number of input tokens is 0"),
        ({"max_model_len": 0}, "max_model_len", "The context length is 0"),
    ],
)
def test_what_cannot_be_is_a_sentence_at_its_control(
    panel: AdvisorPanel, fields: dict[str, Any], field: str, words: str
):
    before = panel.answer
    panel.set_state({"choice": {**panel.choice, **fields}, "request": 7})
    assert words.casefold() in panel.problems[field].casefold()
    assert panel.problems[field].endswith(".")
    assert panel.answer == before
    panel.set_state({"choice": {**panel.choice}, "request": 8})
    assert panel.problems == {}


def test_an_unknown_field_is_refused(panel: AdvisorPanel):
    with pytest.raises(traitlets.TraitError, match="Unknown field 'usres'"):
        panel.choice = {"usres": 3}


def test_more_is_worked_out_when_asked(panel: AdvisorPanel):
    panel.work_out_more(3)
    assert panel.more["number"] == 3
    assert panel.more["rules"]
    for change in panel.more["changes"]:
        assert set(change["fields"]) <= set(advising.DEFAULTS)
        advising.checked({**panel.choice, **change["fields"]})


def test_a_plan_is_handed_to_the_planner(panel: AdvisorPanel):
    panel.pick(0)
    taken = choices.checked(panel.picked)
    plan = panel.answer["plans"][0]
    assert taken["gpu"] == plan["gpu"]
    assert taken["quantization"] == plan["deployment"]["quantization"]
    assert taken["concurrency"] == plan["workload"]["concurrency"]
    panel._asked(panel, {"action": "pick", "arguments": {"plan": 17}}, [])
    assert panel.problems[""].startswith("That plan is not there")


def test_an_advice_that_fails_leaves_the_plans(panel: AdvisorPanel, monkeypatch: pytest.MonkeyPatch):
    from workbench.planner import changes

    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(changes, "changes", fails)
    panel.work_out_more(9)
    assert panel.more == {"failed": True, "number": 9}
    assert panel.answer["plans"]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(advising.DEFAULTS)),
        st.none()
        | st.booleans()
        | st.integers(-5, 10**7)
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers()),
        max_size=4,
    )
)
def test_whatever_a_page_sends_is_a_choice_or_a_sentence(fields: dict[str, Any]):
    try:
        whole = advising.checked(fields)
    except WorkbenchError:
        return  # any other error fails the test
    assert set(whole) == set(advising.DEFAULTS)
    assert isinstance(advising.need(whole), Need)
