"""The deploy panel without a browser: what it writes, what it refuses, what it hands over."""

from __future__ import annotations

import io
import zipfile

import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.ui import DeployPanel, PlannerPages
from workbench.ui.highlight import pieces

PLAN = wb.plan("Qwen/Qwen3-8B", "L40S", max_model_len=8192)


@pytest.fixture
def panel() -> DeployPanel:
    return DeployPanel(PLAN)


def test_by_default_it_writes_the_engines_own_words(panel: DeployPanel) -> None:
    assert "vllm" in panel.written
    assert "llama.cpp" not in " ".join(panel.written)
    assert {file["outcome"] for file in panel.files} <= {"pass", "unchecked"}
    assert panel.shown["path"] == "README.md"
    assert eval(panel.python, {"wb": _Exporter, "plan": PLAN}) == panel.written


class _Exporter:
    @staticmethod
    def export(plan: wb.Plan, targets: list[str], out: str, **wishes: object) -> list[str]:
        made = wb.export(plan, targets, **wishes)
        assert out == f"{made.subject.name}.zip"
        return [target.id for target in made.targets]


def test_wishes_go_into_the_files(panel: DeployPanel) -> None:
    panel.choice = {"port": 9123.0, "name": "mine", "targets": ["vllm"], "file": "vllm/serve.sh"}
    text = "".join(piece for _, piece in panel.shown["pieces"])
    assert "--port 9123" in text
    assert panel.python == "wb.export(plan, ['vllm'], 'mine.zip', name='mine', port=9123)"
    panel.choice = {"name": "", "port": None}
    assert panel.python == "wb.export(plan, ['vllm'], 'qwen3-8b.zip')"


@pytest.mark.parametrize(
    ("choice", "field"),
    [({"port": 0}, "port"), ({"name": "A b"}, "name"), ({"host": "x/y"}, "host"), ({"targets": ["none"]}, "targets"),
     ({"targets": "vllm"}, "targets"), ({"file": 3}, "file"), ({"beside": []}, "beside"),
     ({"storage": "tape"}, "storage"),
     ({"replicas": 3, "most_replicas": 2}, "most_replicas")],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_its_field(panel: DeployPanel, choice: dict[str, object], field: str) -> None:
    before, files = dict(panel.choice), list(panel.files)
    with pytest.raises(traitlets.TraitError) as refused:
        panel.choice = choice
    assert refused.value.field == field
    assert panel.choice == before
    assert panel.files == files


def test_a_plan_that_does_not_fit_is_a_sentence(panel: DeployPanel) -> None:
    panel.plan = wb.plan("meta-llama/Llama-3.3-70B-Instruct", "L4")
    assert panel.verdict["state"] == "no"
    assert "does not fit" in panel.verdict["summary"]
    assert panel.files == []
    assert panel.shown == {}
    panel.set_state({"choice": {"port": 8001}})
    assert panel.choice["port"] == 8001
    panel.plan = PLAN
    assert panel.verdict["state"] == "yes"


def test_the_zip_is_the_bundle(panel: DeployPanel) -> None:
    sent: list[tuple[dict[str, str], list[bytes]]] = []
    panel.send = lambda content, buffers=None: sent.append((content, buffers))  # type: ignore[method-assign]
    panel._asked(panel, {"action": "zip"}, [])
    (content, buffers) = sent[-1]
    assert content == {"zip": "qwen3-8b.zip"}
    with zipfile.ZipFile(io.BytesIO(buffers[0])) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == len(panel.files)


def test_the_planners_plan_is_what_is_deployed() -> None:
    pages = PlannerPages(gpu="H100 SXM")
    pages.planner.choice = {"model": "Qwen/Qwen3-8B"}
    pages.selected = "Deploy"
    assert "Qwen/Qwen3-8B" in pages.deploy.verdict["summary"]
    assert "H100" in pages.deploy.verdict["summary"]


@given(
    st.text(),
    st.sampled_from(["shell", "yaml", "python", "json", "nginx", "kubernetes", "pbtxt", "no such", "markdown"]),
)
def test_colours_never_change_a_text(text: str, language: str) -> None:
    assert "".join(piece for _, piece in pieces(text, language)) == text
