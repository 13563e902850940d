"""A real llama.cpp on the built-in model: started, asked everything, refused what it cannot load, left by its owner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import workbench as wb
from workbench.cli import main
from workbench.engines.llama_cpp.failures import read_failure
from workbench.engines.llama_cpp.launch import process_command, process_environment
from workbench.engines.llama_cpp.logs import STAGES
from workbench.errors import InvalidInput, WorkbenchError
from workbench.planner import Plan
from workbench.serving import Server, offline
from workbench.serving.ports import Reservation

LONG = 120.0  # seconds, for a shared machine


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The built-in model as GGUF, by file type; made by the command line."""
    place = tmp_path_factory.mktemp("gguf")
    for kind in ("Q8_0", "Q4_K_M"):
        words = ["quantize", "builtin", "--method", "gguf", "--set", f"type={kind}", "--evaluate-tokens", "0"]
        assert main([*words, "--out", str(place / kind)]) == 0
    return {kind: place / kind for kind in ("Q8_0", "Q4_K_M")}


@pytest.fixture(scope="module")
def plan(made: dict[str, Path]) -> Plan:
    return wb.plan(made["Q8_0"], engine="llama.cpp", gpu="cpu", quantization="q8_0", max_model_len=512, max_num_seqs=3)


@pytest.fixture(scope="module")
def started(made: dict[str, Path], plan: Plan) -> Iterator[tuple[Server, list[str]]]:
    """A server of that plan, and the stages it came up through."""
    os.environ |= {"PORT": "1", "N_CTX": "7", "API_KEY": "secret"}  # each would be taken for a setting of the server
    stages: list[str] = []
    try:
        server = wb.serve(plan, checkpoint=made["Q8_0"])
    finally:
        for name in ("PORT", "N_CTX", "API_KEY"):
            del os.environ[name]
    server.observe(lambda s: stages.append(s.progress.stage))
    with server:
        yield server.wait_ready(LONG), stages


@pytest.mark.environment
def test_a_plan_starts_it_with_its_own_context(started: tuple[Server, list[str]], plan: Plan) -> None:
    server, stages = started
    assert (server.status, server.error, server.engine) == ("ready", None, "llama.cpp")
    names = list(STAGES.values())
    seen = [names.index(stage) for stage in stages]
    assert seen == sorted(seen)
    assert stages[-1] == "ready"
    assert server.command[:2] == ("llama-server", "--model")
    assert list(server.command[3:]) == plan.words[3:]
    words = psutil.Process(server.pid).cmdline()
    assert words[words.index("--n_ctx") + 1] == "1536"
    table = wb.compare(plan, server).set_index("quantity")
    assert {"weights_bytes", "kv_cache_bytes", "kv_cache_tokens", "activation_peak_bytes"} <= set(table.index)
    assert table["inside"].all(), table
    port = int(server.url.rsplit(":", 1)[1])
    listening = {c.laddr.ip for c in psutil.Process(server.pid).net_connections("tcp") if c.laddr.port == port}
    assert listening == {"127.0.0.1"}


@pytest.mark.environment
def test_smoke_passes_on_a_plan_and_on_a_folder(started: tuple[Server, list[str]], made: dict[str, Path]) -> None:
    assert all(step.ok for step in started[0].smoke(temperature=0).steps)
    with wb.serve(made["Q4_K_M"]) as server:
        result = server.wait_ready(LONG).smoke(temperature=0, max_tokens=16)
        assert result.ok, str(result)
        assert {step.name for step in result.steps if step.status == "skipped"} == {"version", "metrics"}
        assert result.model == "builtin-llama-Q4_K_M"
        assert (result.completion_tokens, bool(result.answer)) == (16, True)
        assert result.tokens_per_s
        assert server.version == "0.3.36"
        assert server.plan is not None
        assert server.plan.deployment.quantization == "q4_k_m"
        pid = server.pid
    assert pid is not None
    assert not psutil.pid_exists(pid)


@pytest.mark.environment
def test_what_cannot_be_served_is_said_at_once(made: dict[str, Path], tmp_path: Path, plan: Plan) -> None:
    whole = next(made["Q8_0"].glob("*.gguf"))
    with pytest.raises(InvalidInput, match=r"there is no file .*gone\.gguf"):
        wb.serve(tmp_path / "gone.gguf")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(InvalidInput, match="truncated or damaged"):
        wb.serve(cut)
    (tmp_path / "other.gguf").write_bytes(whole.read_bytes())
    with pytest.raises(InvalidInput, match=r"holds several GGUF models"):
        wb.serve(tmp_path)
    with pytest.raises(InvalidInput, match=r"which llama\.cpp loads; leave engine out"):
        wb.serve(whole, engine="vllm")
    with pytest.raises(InvalidInput, match=r"computes on the processor and the plan is for L40S"):
        wb.serve(whole, gpu="L40S")
    with pytest.raises(InvalidInput, match=r"q8_0 is none: make one"):
        wb.serve(plan)
    with pytest.raises(InvalidInput, match=r"builtin\S* is none: make one"):
        wb.serve("builtin", engine="llama.cpp")
    with pytest.raises(InvalidInput, match=r"without a server need vLLM"):
        offline(whole, ["a"])
    with pytest.raises(InvalidInput, match=r"plan for SGLang is started with its own command"):
        wb.serve(wb.plan("builtin", gpu="L40S", engine="sglang"))
    held = Reservation()
    with pytest.raises(InvalidInput, match="taken by another program"):
        wb.serve(whole, port=held.port)
    held.release()


@pytest.mark.environment
def test_a_file_that_llama_cpp_refuses_is_one_sentence(made: dict[str, Path], tmp_path: Path) -> None:
    whole = next(made["Q8_0"].glob("*.gguf")).read_bytes()
    (tmp_path / "odd.gguf").write_bytes(whole.replace(b"llama", b"alpac"))
    with wb.serve(tmp_path / "odd.gguf") as server, pytest.raises(WorkbenchError) as caught:
        server.wait_ready(LONG)
    assert server.failure_kind == "unsupported_model"
    assert "This release of llama.cpp does not know the model" in str(caught.value)
    assert "unknown model architecture: 'alpac'" in str(caught.value)
    assert "Traceback" in server.log()
    assert "Traceback" not in str(caught.value)


@pytest.mark.environment
def test_no_server_survives_an_owner_that_is_killed(made: dict[str, Path]) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-m", "workbench", "serve", str(made["Q8_0"]), "--json"], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        line = owner.stdout.readline()
        assert line, "it never became ready"
        text += line
    facts = json.loads(text)
    engine = psutil.Process(facts["pid"])
    assert "llama_cpp.server" in engine.cmdline()
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    deadline = time.monotonic() + 30
    while engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_plans_words_become_the_servers_own() -> None:
    line = "llama-server --model a/m.gguf --ctx-size 4096 --parallel 2 --n-gpu-layers 0 --split-mode layer"
    more = ["--cache-type-k", "q8_0", "--cache-type-v", "f16", "--ubatch-size", "1024", "--n_threads", "3"]
    words = process_command([*line.split(), *more], Path("python"), "127.0.0.1", 80)
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert {name: given[name] for name in ("--model", "--model_alias", "--n_ctx", "--n_gpu_layers")} == {
        "--model": "a/m.gguf", "--model_alias": "m", "--n_ctx": "4096", "--n_gpu_layers": "0",
    }  # fmt: skip
    assert (given["--type_k"], given["--type_v"], given["--flash_attn"]) == ("8", "1", "true")
    assert (given["--n_ubatch"], given["--n_batch"], given["--n_threads"]) == ("1024", "1024", "3")
    assert given["--interrupt_requests"] == "false"
    assert (given["--host"], given["--port"]) == ("127.0.0.1", "80")
    assert not any("parallel" in word or "split" in word for word in words)
    for wrong in (["vllm", "serve"], ["llama-server", "--port", "1"], ["llama-server", "--swa-full"]):
        with pytest.raises(InvalidInput):
            process_command(wrong, Path("python"), "127.0.0.1", 80)
    assert process_environment({"Host": "0.0.0.0", "SEED": "1", "PATH": "p"}, offline=True, more={"X": "1"}) == {
        "PATH": "p", "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "X": "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("log", "code", "kind", "words"),
    [
        (
            "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 1): address already in use",
            1, "port_busy", "taken by another program",
        ),
        (
            "llama_model_load: error loading model: tensor 'blk.0.x' data is not within the file bounds, model is "
            "corrupted or incomplete\nValueError: Failed to load model from file: m.gguf",
            1, "bad_weights", "truncated or damaged",
        ),
        ("ValueError: Model path does not exist: m.gguf", 1, "not_found", "no such GGUF file"),
        ("ValueError: Failed to create llama_context", 1, "oom_loading", "Lower max_model_len"),
        ("__main__.py: error: unrecognized arguments: --nope", 2, "flags", "does not take a flag"),
        ("", -9, "killed", "ran out of memory"),
        ("Traceback …\nKeyError: 'x'", 1, "unknown", "ended by itself (exit code 1)"),
    ],
)  # fmt: skip
def test_why_it_did_not_start(log: str, code: int, kind: str, words: str) -> None:
    failure = read_failure(log.splitlines(), code)
    assert failure.kind == kind
    assert words in str(failure)
    assert "vLLM" not in str(failure)
