"""The translating panel: what it says, what it refuses, what it never reads; and in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import traitlets
from playwright.sync_api import BrowserContext, expect
from visiting import App, Visit, ask, page_of

from workbench.ui import TranslatePanel

OLD = "vllm serve meta-llama/Llama-3.1-8B-Instruct --swap-space 8 --max-model-len 8192"


def test_what_is_pasted_is_translated_and_planned() -> None:
    panel = TranslatePanel(OLD, version="0.33.0")
    (part,) = panel.answer["parts"]
    assert {c["given"]: c["status"] for c in part["changes"]}["--swap-space"] == "removed"
    assert "--swap-space" not in part["command"]
    assert part["plan"]["state"] == "yes"
    panel.choice = {"gpu": "T4"}
    assert panel.answer["parts"][0]["plan"]["state"] == "no"
    panel.choice = {"version": "0.16.0"}
    assert "--swap-space 8" in panel.answer["parts"][0]["command"]
    json.dumps(panel.answer)


def test_a_text_that_is_nothing_of_ours_is_a_sentence_and_empties_the_answer() -> None:
    panel = TranslatePanel(OLD)
    panel.choice = {"text": "once upon a time"}
    assert panel.answer["parts"] == []
    assert panel.problems["text"].endswith(".")
    panel.choice = {"text": OLD}
    assert panel.problems == {}
    assert panel.answer["parts"]


@pytest.mark.parametrize(
    ("choice", "field"),
    [({"text": "x" * 100_001}, "text"), ({"text": 3}, "text"), ({"version": "9.9"}, "version"),
     ({"gpu": "none"}, "gpu"), ({"model": "/etc"}, "model"), ({"other": "x"}, "other"), ({"gpu": None}, "gpu")],
)  # fmt: skip
def test_what_cannot_be_is_refused(choice: dict[str, object], field: str) -> None:
    panel = TranslatePanel(OLD)
    with pytest.raises(traitlets.TraitError) as refused:
        panel.choice = choice
    assert refused.value.field == field
    assert panel.choice["text"] == OLD


def test_no_folder_of_this_machine_is_read(tmp_path: Path) -> None:
    """A visitor must not learn what lies on the machine that serves the page."""
    config = {"model_type": "llama", "hidden_size": 512, "architectures": ["a-secret"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    told = TranslatePanel(f"vllm serve {tmp_path} --max-model-len 512").answer["parts"][0]["plan"]
    assert told["state"] == "unknown"
    assert "not bundled" in told["text"]
    draft = json.dumps({"model": str(tmp_path), "num_speculative_tokens": 3})
    told = TranslatePanel(f"{OLD} --speculative-config '{draft}'").answer["parts"][0]["plan"]
    assert told["state"] == "unknown"
    assert "draft" in told["text"]


def test_another_model_is_planned_where_its_own_is_not_known() -> None:
    panel = TranslatePanel("vllm serve somebody/finetune --max-model-len 8192")
    assert panel.answer["parts"][0]["plan"]["state"] == "unknown"
    panel.choice = {"model": "meta-llama/Llama-3.1-8B-Instruct"}
    assert panel.answer["parts"][0]["plan"]["state"] == "yes"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    cell = "from workbench.ui import TranslatePanel\n\nTranslatePanel()"
    with page_of(cell, tmp_path_factory.mktemp("translate")) as app:
        yield app


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (420, "dark")])
def test_on_the_page(served: App, chromium: BrowserContext, width: int, scheme: str) -> None:
    page = chromium.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    visit = Visit(page).watch()
    page.goto(served.url)
    expect(page.get_by_text("It would start")).to_be_visible(timeout=60_000)
    expect(page.locator(".wb-fates").first).to_contain_text("There is only one block manager")
    box = page.get_by_label("An old command")
    box.fill("vllm serve Qwen/Qwen3-8B --disable-log-requests --typo-in-it 3")
    expect(page.locator(".wb-fates").first).to_contain_text("--typo-in-it", timeout=20_000)
    expect(page.locator(".wb-code")).to_contain_text("vllm serve Qwen/Qwen3-8B")
    box.fill("nothing")
    expect(page.get_by_text("paste one as it stands")).to_be_visible(timeout=20_000)
    for check in ("nameless", "dangling", "doubled", "wide"):
        assert ask(page, check) == []
    assert visit.errors == []
    assert visit.elsewhere() == []
    page.close()
