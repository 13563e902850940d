"""The claims panel without a browser: what a choice leaves, what is refused, when is computed."""

from __future__ import annotations

import pytest
from waiting import until

from workbench.audit import Found, claims, computable
from workbench.audit.sources import address
from workbench.errors import InvalidInput
from workbench.ui import ClaimsPanel
from workbench.ui import claims as module


def test_a_choice_filters() -> None:
    panel = ClaimsPanel()
    assert panel.shown == claims()
    panel.choice = {"verdict": "wrong", "words": "AWQ"}
    assert panel.shown == claims(verdict="wrong", words="awq")
    panel.choice = {"words": "", "checked": "cited", "guide": "compression course"}
    assert {one.id[:4] for one in panel.shown} == {"C004"}
    assert not {one.id for one in panel.shown} & set(computable())
    assert panel.choice["verdict"] == "wrong", "what is not said stays"


@pytest.mark.parametrize(
    "choice", [{"topic": "cooking"}, {"verdict": "true"}, {"words": 3}, {"words": "x" * 201}, {"colour": "red"}]
)
def test_what_cannot_be_chosen_is_said_at_its_control(choice: dict[str, object]) -> None:
    panel = ClaimsPanel(topic="memory")
    assert panel.set_state({"choice": choice, "request": 1})
    assert set(panel.problems) == set(choice)
    assert panel.choice["topic"] == "memory"
    assert not panel.set_state({"choice": {"topic": "serving"}, "request": 2})
    assert panel.problems == {}


def test_the_page_may_write_the_choice_alone() -> None:
    panel = ClaimsPanel()
    before = panel.claims
    panel.set_state({"claims": [], "found": {"C000-001": "nonsense"}, "request": 1})
    assert panel.claims == before
    assert panel.found == {}


def test_nothing_is_computed_before_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "computable", lambda: {"C000-001": None, "C000-002": None})
    monkeypatch.setattr(module, "found", lambda id: asked.append(id) or Found("value", None, "correct"))
    panel = ClaimsPanel()
    assert asked == []
    panel._asked(None, {"action": "compute"}, [])
    panel._asked(None, {"action": "compute"}, [])  # a second look computes nothing anew
    assert panel._work is not None
    panel._work.join(30)
    assert asked == ["C000-001", "C000-002"]
    assert panel.found == {"C000-001": "value", "C000-002": "value"}


def test_a_claim_that_cannot_be_computed_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(id: str) -> Found:
        if id == "C000-001":
            raise InvalidInput("no GPU is called L40S")
        return Found("value", None, "correct")

    monkeypatch.setattr(module, "computable", lambda: {"C000-001": None, "C000-002": None})
    monkeypatch.setattr(module, "found", found)
    assert ClaimsPanel().compute() == {
        "C000-001": "cannot be computed here: no GPU is called L40S",
        "C000-002": "value",
    }


def test_a_failure_of_ours_becomes_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(id: str) -> Found:
        raise RuntimeError("a secret path")

    monkeypatch.setattr(module, "found", broken)
    panel = ClaimsPanel()
    panel.begin()
    until(lambda: panel.problems, 30)
    assert "RuntimeError" in panel.problems[""]
    assert "secret" not in panel.problems[""]


def test_sources_become_links() -> None:
    rows = {row["id"]: row for row in ClaimsPanel().claims}
    assert rows["C003-007"]["sources"] == [{"text": "arXiv 2210.17323", "url": "https://arxiv.org/abs/2210.17323"}]
    assert rows["C003-045"]["sources"] == [{"text": "the guide's own text", "url": None}]
    for one in claims():
        for source in one.sources:
            found = address(source)
            assert found is None or found.startswith("https://")
            assert (found is None) == source.startswith(("workbench.", "data/", "guide"))
