"""Panels without a page: real widgets whose every value is checked in Python."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import playwright
import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from ipywidgets import VBox, link
from visiting import wait_until

import workbench as wb
from workbench import environments, hardware
from workbench.deployment import ENGINES
from workbench.engines.vllm.logs import MemoryReport
from workbench.progress import Progress
from workbench.ui import ComparisonPanel, EnvironmentsPanel, GpuTable, PlannerPanel, QuantizePanel, ServePanel
from workbench.ui import choices as offered
from workbench.ui.panel import STATIC, Panel, Throttle, joined_module

#: Playwright brings one.
NODE = str(Path(playwright.__file__).parent / "driver" / ("node.exe" if sys.platform == "win32" else "node"))
SCRIPTS = sorted(path.name for path in STATIC.glob("*.js") if path.name != "shared.js")
#: What several panels import, besides the shared module.
PARTS = sorted(f"parts/{path.name}" for path in STATIC.glob("parts/*.js"))
STANDING_ALONE = {"parts/address.js", "parts/asking.js", "parts/draft.js"}


def sent_by(panel: Panel) -> list[dict[str, Any]]:
    """What the panel tells its page from now on, besides traits."""
    messages: list[dict[str, Any]] = []
    panel.send = lambda content, buffers=None: messages.append(content)  # type: ignore[method-assign]
    return messages


@pytest.fixture
def planner() -> PlannerPanel:
    return PlannerPanel()


# ---- the shared module


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_panel_is_one_module_that_parses(script: str, tmp_path: Path) -> None:
    text = joined_module(script)
    assert not re.search(r"^import ", text, re.MULTILINE)
    assert text.count("export default") == 1
    # A part that several others import is there once.
    assert len(re.findall(r"^const _\w+ = \(\(\) => \{$", text, re.MULTILINE)) == text.count("\n})();\n")
    assert text.count("const _shared = ") == 1
    file = tmp_path / "panel.mjs"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run([NODE, "--check", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", [*SCRIPTS, *PARTS])
def test_a_script_imports_what_it_uses_and_nothing_else(script: str) -> None:
    path = STATIC / script
    text = path.read_text(encoding="utf-8")
    imports = re.findall(r'^import \{([^}]*)\} from "([\w./]+)";$', text, re.MULTILINE)
    body = re.sub(r'^import \{[^}]*\} from "[\w./]+";$', "", text, flags=re.MULTILINE)
    assert imports or script in STANDING_ALONE
    for names, target in imports:
        exported = (path.parent / target).read_text(encoding="utf-8")
        for name in filter(None, (name.strip() for name in names.split(","))):
            assert re.search(rf"^export (const|function|async function) {name}\b", exported, re.MULTILINE), name
            assert re.search(rf"(?<!\w)(?<!\w\.){name}\b", body), f"{name} is imported in vain"


def test_numbers_are_written_as_people_read_them(tmp_path: Path) -> None:
    script = tmp_path / "numbers.mjs"
    calls = (
        "gib(16060522496), number(0.0123), number(1234.5), tokens(131072), tokens(6000), tokens(2**20), "
        "duration(0.0269), duration(75), usd(0.457), short(198880), short(1240000), percent(0.004), "
        "interval({low: 1, high: 1}, number), interval({low: 1, high: 2}, number), gib(null), number(Infinity)"
    )
    shared = json.dumps((STATIC / "shared.js").as_uri())
    names = "gib, number, tokens, duration, usd, short, percent, interval"
    lines = f"import {{{names}}} from {shared};\nconsole.log(JSON.stringify([{calls}]));"
    script.write_text(lines, encoding="utf-8")
    done = subprocess.run([NODE, str(script)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        "14.96", "0.012", "1,235", "128K", "6,000", "1M", "26.9 ms", "75.0 s", "$0.46", "199k", "1.24M", "<1%",
        "exact", "1.00 – 2.00", "–", "–",
    ]  # fmt: skip


# ---- the planner


def test_the_answer_is_the_plan(planner: PlannerPanel) -> None:
    planner.choice = {"gpu": "H100 SXM", "tensor_parallel_size": 2, "quantization": "fp8", "isl": 2048}
    plan = wb.plan(
        offered.MODEL, gpu="H100 SXM", tensor_parallel_size=2, quantization="fp8", max_model_len=8192,
        workload=wb.Workload(isl=2048),
    )  # fmt: skip
    expected = plan.to_dict()
    del expected["config"]
    assert planner.answer["plan"] == json.loads(json.dumps(expected))
    assert planner.plan.to_dict() == plan.to_dict()


def test_the_python_shown_gives_the_same_plan(planner: PlannerPanel) -> None:
    planner.choice = {
        "model": "meta-llama/Llama-3.1-70B-Instruct",
        "quantization": "awq",
        "enforce_eager": True,
        "osl": 99,
    }
    scope: dict[str, Any] = {"wb": wb}
    exec(planner.answer["python"], scope)
    assert scope["plan"].to_dict() == planner.plan.to_dict()


def test_every_engine_is_offered_with_what_it_loads(planner: PlannerPanel) -> None:
    engines = {engine["value"]: engine for engine in planner.options["engines"]}
    assert set(engines) == set(ENGINES)
    assert engines["llama.cpp"]["scheme"] == "q4_k_m"
    assert "gpu_memory_utilization" in engines["llama.cpp"]["lacks"]
    assert "n_gpu_layers" in engines["vllm"]["lacks"]
    for name, engine in engines.items():
        fresh = {field: offered.DEFAULTS[field] for field in engine["lacks"]}
        for scheme in engine["schemes"]:
            planner.choice = {**fresh, "engine": name, "quantization": scheme["value"], "gpu": "H100 SXM"}
            assert planner.answer["plan"]["verdict"] != "unsupported", (name, scheme, planner.answer["summary"])
        for kind in engine["kv_dtypes"]:
            planner.choice = {"kv_cache_dtype": kind["value"], "quantization": engine["scheme"]}
            assert planner.answer["plan"]["memory"], (name, kind)
        planner.choice = {"kv_cache_dtype": "auto"}
        assert planner.answer["engine"] == engine["label"]
        assert planner.answer["plan"]["command"]


def test_a_change_only_another_engine_knows_can_be_taken(planner: PlannerPanel) -> None:
    planner.choice = {
        "model": "meta-llama/Llama-3.1-70B-Instruct", "gpu": "RTX 4090", "engine": "llama.cpp", "quantization": "q4_k_m"
    }  # fmt: skip
    assert not planner.plan.fits
    for fix in planner.answer["plan"]["fixes"]:
        planner.choice = {**planner.choice, **fix["change"]}
        assert planner.plan.fits
        planner.choice = {name: offered.DEFAULTS[name] for name in fix["change"]} | {"gpu": "RTX 4090"}


def test_every_model_and_every_gpu_offered_can_be_planned(planner: PlannerPanel) -> None:
    for option in planner.options["models"]:
        planner.choice = {"model": option["value"], "max_model_len": 512}
        assert planner.answer["summary"]
    for option in planner.options["gpus"]:
        planner.choice = {"gpu": option["value"], "model": offered.MODEL}
        assert planner.answer["plan"]["deployment"]["gpu"]


def test_it_is_an_ordinary_widget(planner: PlannerPanel) -> None:
    seen: list[str] = []
    planner.observe(lambda change: seen.append(change.new["plan"]["verdict"]), "answer")
    planner.choice = {"model": "meta-llama/Llama-3.1-70B-Instruct"}
    assert seen == ["oom_loading"]
    other = PlannerPanel()
    link((planner, "choice"), (other, "choice"))
    planner.choice = {"gpu": "B200 SXM (HGX)"}
    assert other.plan.to_dict() == planner.plan.to_dict()
    assert VBox([planner, other]).children == (planner, other)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"gpu": "L40T"}, "gpu", "did you mean"),
        ({"gpu": 5}, "gpu", "name from the list"),
        ({"model": "nonsense/none"}, "model", "Unknown model"),
        ({"isl": 0}, "isl", "number of input tokens is 0"),
        ({"concurrency": None}, "concurrency", "is empty"),
        ({"max_model_len": -4}, "max_model_len", "context length is -4"),
        ({"gpu_memory_utilization": 1.5}, "gpu_memory_utilization", "at most 1"),
        ({"tensor_parallel_size": True}, "tensor_parallel_size", "whole number"),
        ({"quantization": "q4"}, "quantization", "Unknown quantization"),
        ({"own_gpu": {"memory_gib": 0}}, "own_gpu", "Memory is missing"),
        ({"own_gpu": {"colour": "red"}}, "own_gpu", "Unknown field of a GPU"),
        ({"own_gpu": "mine"}, "own_gpu", "fields and values"),
        ({"config": {"model_type": "no-such-thing"}}, "config", "no-such-thing"),
        ({"config": []}, "config", "fields and values"),
        ({"colour": "red"}, "colour", "Unknown field"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    planner: PlannerPanel, change: dict[str, Any], field: str, words: str
) -> None:
    before = dict(planner.answer)
    # From Python it is an error …
    with pytest.raises(traitlets.TraitError, match=words):
        planner.choice = change
    # … and from the page a message at the control, with the last good answer left as it was.
    messages = sent_by(planner)
    planner.set_state({"choice": {**planner.choice, **change}, "request": 7})
    assert list(planner.problems) == [field]
    assert words in planner.problems[field]
    assert planner.answer == before
    assert messages == [{"refused": 7}]
    # The next good choice clears it.
    planner.set_state({"choice": {**planner.choice, "isl": 64}, "request": 8})
    assert planner.problems == {}
    assert planner.answer["plan"]["workload"]["isl"] == 64
    assert messages[-1] == {"answered": 8}


def test_a_failing_planner_shows_a_sentence(planner: PlannerPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("workbench.planner.plan", broken)
    planner.set_state({"choice": {**planner.choice, "isl": 3}, "request": 1})
    assert "unexpected" in planner.problems[""]
    assert "secret detail" not in planner.problems[""]


def test_the_page_reads_no_file(planner: PlannerPanel, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(dict(wb.Model.from_config(offered.MODEL).config)))
    planner.set_state({"choice": {**planner.choice, "model": str(tmp_path)}, "request": 1})
    assert "choose one from the list" in planner.problems["model"]
    planner.choice = {"model": str(tmp_path)}  # the notebook's own user may
    assert planner.plan.fits
    # The page may keep what Python chose.
    planner.set_state({"choice": {**planner.choice, "isl": 99}, "request": 2})
    assert planner.problems == {}


def test_the_page_writes_only_what_it_may(planner: PlannerPanel) -> None:
    before = dict(planner.answer)
    planner.set_state({"answer": {"plan": {}}, "options": {}, "problems": {"": "x"}, "url": True})
    assert planner.answer == before
    assert planner.options["gpus"]
    assert planner.problems == {}
    assert not planner.url
    with pytest.raises(traitlets.TraitError):
        planner.answer = {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from([*offered.DEFAULTS, "colour"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(fields, json_values, max_size=4))
def test_nothing_a_page_sends_escapes(change: dict[str, Any]) -> None:
    planner = _shared_planner()
    planner.set_state({"choice": {**offered.DEFAULTS, **change}, "request": 1})
    # Either answered or refused in words that are no traceback, and never "unexpected".
    assert all("unexpected" not in words for words in planner.problems.values()), planner.problems
    assert planner.plan is not None


def _shared_planner(cache: list[PlannerPanel] = []) -> PlannerPanel:  # noqa: B006
    if not cache:
        cache.append(PlannerPanel())
    return cache[0]


def test_own_gpu_is_planned_with(planner: PlannerPanel) -> None:
    mine = {"name": "Mine", "memory_gib": 64, "bandwidth_gb_s": 2000, "fp16_tflops": 300}
    planner.choice = {"own_gpu": mine}
    assert planner.answer["card"] == "Mine"
    assert planner.plan.memory.capacity == pytest.approx(64 * 2**30)
    scope: dict[str, Any] = {"wb": wb}
    exec(planner.answer["python"], scope)
    assert scope["plan"].memory == planner.plan.memory
    planner.choice = {"own_gpu": None}
    assert planner.answer["card"] == "L40S"


def test_the_notebook_of_the_app_is_light() -> None:
    code = (
        "import json, sys; nb = json.load(open(sys.argv[1]));"
        "[exec(''.join(c['source'])) for c in nb['cells'] if c['cell_type'] == 'code'];"
        # plotly is being loaded meanwhile, beside the page.
        "print([m for m in ('pandas', 'torch', 'httpx', 'huggingface_hub') if m in sys.modules])"
    )
    notebook = Path(__file__).parents[2] / "notebooks" / "planner.ipynb"
    done = subprocess.run([sys.executable, "-c", code, str(notebook)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- the other panels


def test_all_gpus_are_on_the_page_with_their_doubts() -> None:
    table = GpuTable()
    assert [row["name"] for row in table.gpus] == hardware.names()
    for row in table.gpus:
        card = hardware.gpu(row["name"])
        assert row["capacity"] == pytest.approx(card.capacity.value / 2**30)
        assert row["details"]["Source"]
        if row["doubtful"]:
            assert card.doubtful
            assert row["details"]["In doubt"]
    assert sum(bool(row["doubtful"]) for row in table.gpus) > 10
    with pytest.raises(traitlets.TraitError, match="no GPU is called"):
        table.selected = "L40T"


def test_a_comparison_is_shown_as_it_is() -> None:
    plan = wb.plan("builtin", gpu="cpu", max_model_len=512)
    memory = plan.memory
    report = MemoryReport(kv_cache=int(memory.kv_cache.value), kv_cache_tokens=2 * int(memory.kv_cache_tokens.value))
    rows = {row["quantity"]: row for row in ComparisonPanel(plan, report).rows}
    assert rows["kv_cache_bytes"]["inside"]
    assert not rows["kv_cache_tokens"]["inside"]
    assert rows["kv_cache_tokens"]["error"] == pytest.approx(-0.5)


def test_quantize_offers_each_method_with_its_own_parameters() -> None:
    panel = QuantizePanel("builtin", method="awq", q_group_size=64)
    assert {option["id"] for option in panel.options} >= {"awq", "gptq", "fp8_dynamic"}
    assert 'wb.quantize("builtin", method="awq", q_group_size=64)' in panel.python
    panel.set_state({"choice": {**panel.choice, "parameters": {"q_group_size": 65}}, "request": 1})
    assert "q_group_size is 65" in panel.problems["parameters.q_group_size"]
    panel.choice = {"method": "gptq"}
    assert panel.choice["parameters"] == {}
    with pytest.raises(traitlets.TraitError, match="Unknown method"):
        panel.choice = {"method": "magic"}


def test_quantize_says_why_it_cannot_start(tmp_path: Path) -> None:
    panel = QuantizePanel(str(tmp_path / "nothing"), out=str(tmp_path / "out"))
    panel._asked(panel, {"action": "start", "arguments": {}}, None)
    assert "nothing" in panel.problems[""]
    assert panel.job is None
    assert not (tmp_path / "out").exists()


def test_serve_checks_its_sampling_parameters() -> None:
    panel = ServePanel("builtin", enforce_eager=True)
    assert panel.python.startswith('server = wb.serve("builtin", enforce_eager=True)')
    panel.set_state({"prompt": {**panel.prompt, "temperature": 9}, "request": 1})
    assert panel.problems == {"temperature": "Temperature is a number from 0 to 2."}
    panel.set_state({"prompt": {**panel.prompt, "max_tokens": 5}, "request": 2})
    assert panel.problems == {}
    panel._asked(panel, {"action": "ask", "arguments": {}}, None)
    assert panel.problems == {"": "The server is not ready; start it and wait until it is."}


def test_serve_shows_a_server_that_is_not_there() -> None:
    panel = ServePanel("http://127.0.0.1:9")
    panel._asked(panel, {"action": "start", "arguments": {}}, None)
    end = time.monotonic() + 10
    while panel.state["status"] != "failed" and time.monotonic() < end:
        time.sleep(0.05)
    assert "cannot be reached" in panel.state["error"]


def test_a_page_cannot_call_what_is_no_button() -> None:
    panel = QuantizePanel()
    for action in ("close", "_call", "__init__", "set_state"):
        panel._asked(panel, {"action": action, "arguments": {}}, None)
        panel._asked(panel, "nonsense", None)
    assert panel.comm is not None


def test_environments_are_shown_as_they_are() -> None:
    rows = {row["name"]: row for row in EnvironmentsPanel().rows}
    assert list(rows) == environments.names()
    for name, row in rows.items():
        assert (row["state"] == "built") == environments.get(name).built


def test_a_build_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKBENCH_QUANTIZE_PYTHON", str(tmp_path / "no" / "python"))
    panel = EnvironmentsPanel(build=["quantize"])
    panel.wait(30)
    panel.refresh()
    row = next(row for row in panel.rows if row["name"] == "quantize")
    assert "there is no Python at" in row["error"].lower() or "There is no Python at" in row["error"]


def test_a_build_begun_elsewhere_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SimpleNamespace(
        name="quantize", purpose="", note="", unsuited="", own=False, disk_bytes=1, built=False, building=False,
        size_bytes=lambda: 0,
    )  # fmt: skip
    told = threading.Event()

    def ensure(name: str, tell: Callable[[Progress], None], cancel: threading.Event) -> None:
        tell(Progress(0.5, "downloading", "torch"))
        told.wait(10)
        environment.built = True

    monkeypatch.setattr(environments, "names", lambda: ["quantize"])
    monkeypatch.setattr(environments, "get", lambda name: environment)
    monkeypatch.setattr(environments, "ensure", ensure)
    monkeypatch.setattr("workbench.ui.environments.POLL_SECONDS", 0.05)
    panel = EnvironmentsPanel()
    assert panel.rows[0]["state"] == "missing"
    environment.building = True  # another process begins
    wait_until(lambda: panel.rows[0]["progress"] is not None, 10, "its progress is shown")
    assert panel.rows[0]["state"] == "building"
    assert panel.rows[0]["progress"]["detail"] == "torch"
    told.set()
    wait_until(lambda: panel.rows[0]["state"] == "built", 10, "its end is shown")


def test_a_throttle_keeps_the_last_call() -> None:
    seen: list[int] = []
    value = 0
    done = threading.Event()

    def show() -> None:
        seen.append(value)
        if value == 99:
            done.set()

    throttle = Throttle(show, every=0.02)
    for n in range(100):
        value = n
        throttle()
    assert done.wait(5)
    assert len(seen) < 20
