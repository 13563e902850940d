"""The engine chooser shows what the decision says, with a source to follow, and a sentence for what goes wrong."""

from __future__ import annotations

import pytest

from workbench.engines.choice import choose_engine
from workbench.engines.facts import TITLES
from workbench.ui.learn.engines import FORMATS, PLACES, PLATFORMS, EngineChooser, told


@pytest.fixture
def chooser():
    return EngineChooser()


def test_it_begins_with_a_server_of_nvidia_cards(chooser):
    assert chooser.verdicts.said == told(choose_engine(on="H100 SXM"))
    assert [row["engine"] for row in chooser.verdicts.rows] == [one.engine for one in choose_engine(on="H100 SXM")]
    assert repr(chooser).startswith("EngineChooser: vLLM")


@pytest.mark.parametrize(
    ("moved", "first"),
    [
        ({"on": "browser", "place": "app", "concurrency": 1}, "mlc"),
        ({"on": "apple", "place": "desktop", "concurrency": 1}, "ollama"),
        ({"on": "B200 SXM", "tune": True}, "tensorrt-llm"),
        ({"shared_prefixes": True}, "sglang"),
        ({"already": "tgi", "new_models": False}, "tgi"),
        ({"on": "cpu", "concurrency": 1}, "llama.cpp"),
        ({"quantization": "awq", "nodes": 2, "lora": 4}, "vllm"),
    ],
)
def test_controls_move_the_first(chooser, moved, first):
    for name, value in moved.items():
        chooser.controls[name].value = value
    top = chooser.verdicts.rows[0]
    assert (top["engine"], top["suits"]) == (first, True)
    assert chooser.verdicts.said.startswith(TITLES[first])


def test_every_control_is_a_need_and_every_choice_is_taken(chooser):
    for name, options in (("on", PLATFORMS), ("place", PLACES), ("quantization", FORMATS)):
        for value in options.values():
            chooser.controls[name].value = value
            assert chooser.verdicts.problem == ""
            assert len(chooser.verdicts.rows) == len(TITLES)


def test_reasons_lead_to_their_sources(chooser):
    reasons = [reason for row in chooser.verdicts.rows for reason in (*row["why"], *row["against"], *row["out"])]
    public = [reason for reason in reasons if reason["source"].startswith(("https:", "github:", "arXiv:"))]
    assert public
    assert all(reason["address"].startswith("https://") for reason in public)


def test_nothing_that_can_is_said():
    found = choose_engine(on="phone", place="server", nodes=4, quantization="nvfp4")
    assert not any(one.suits for one in found)
    assert told(found).startswith("No engine does all of this")


def test_a_failure_is_a_sentence_and_passes(chooser, monkeypatch):
    def broken(**_):
        raise ZeroDivisionError

    before = chooser.verdicts.said
    monkeypatch.setattr("workbench.ui.learn.engines.choose_engine", broken)
    chooser.controls["tune"].value = True
    assert "ZeroDivisionError" in chooser.verdicts.problem
    assert chooser.verdicts.said == before
    monkeypatch.undo()
    chooser.controls["tune"].value = False
    assert chooser.verdicts.problem == ""
