"""Several servers at once, each on a port of its own; what is known of a start from those before it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil
import pytest
import stub_engine

from workbench.errors import WorkbenchError
from workbench.progress import Progress
from workbench.serving import Server, pace
from workbench.serving.ports import Reservation


@pytest.fixture(autouse=True)
def this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The stand-in runs with this Python; the cache folder is the test's own."""
    monkeypatch.setenv("WORKBENCH_VLLM_CPU_PYTHON", sys.executable)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


def test_two_at_once_have_ports_of_their_own_and_one_outlives_the_other() -> None:
    with (
        Server(stub_engine.order("several", "first")) as first,
        Server(stub_engine.order("several", "second")) as second,
    ):
        assert first.url != second.url  # before either process holds its port
        for server, name in ((first, "first"), (second, "second")):
            server.wait_ready(30)
            assert server.generate("x").text == f"{name} says x"
        assert first.pid is not None
        psutil.Process(first.pid).kill()
        deadline = time.monotonic() + 20
        while first.status != "failed":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert first.failure_kind == "killed"
        assert "died while it was serving" in str(first.error)
        assert second.generate("y").text == "second says y"
        second.stop()
        assert second.status == "stopped"
    for server in (first, second):
        Reservation(int(server.url.rsplit(":", 1)[1])).release()  # free again


def test_a_named_port_is_used_and_cannot_be_had_twice() -> None:
    free = Reservation()
    free.release()
    from dataclasses import replace

    with Server(replace(stub_engine.order("named"), port=free.port)) as server:
        assert server.url == f"http://127.0.0.1:{free.port}"
        with pytest.raises(WorkbenchError, match="taken by another program"):
            Server(replace(stub_engine.order("named"), port=free.port))
        server.wait_ready(30)


def test_a_process_that_the_kernel_killed_is_told_from_one_that_somebody_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kills = iter(range(100))
    monkeypatch.setattr("workbench.processes._out_of_memory_kills", lambda: next(kills))
    lines = "ERROR 11-21 09:00:00 [a.py:1] Worker proc w died unexpectedly (exit code: -9), shutting down executor."
    with Server(stub_engine.order("memory", fails=lines)) as server, pytest.raises(WorkbenchError) as failed:
        server.wait_ready(30)
    assert server.failure_kind == "killed_for_memory"
    assert "The system ran out of memory and killed vLLM" in str(failed.value)
    kills = iter(range(100))
    with Server(stub_engine.order("port", fails="OSError: [Errno 28] No space left on device")) as server:
        with pytest.raises(WorkbenchError):
            server.wait_ready(30)
        assert server.failure_kind == "disk_full"  # what the log explains is not put down to the kernel


def test_the_second_start_knows_how_long_it_takes() -> None:
    seen: list[Progress] = []

    def start() -> Server:
        server = Server(stub_engine.order("pace", "paced", seconds=2.0))
        server.observe(lambda it: seen.append(it.progress))
        return server

    with start() as server:
        server.wait_ready(30)
        assert server.ready_seconds is not None
        took = server.ready_seconds
    assert all(progress.seconds_left is None for progress in seen)
    seen.clear()
    with start() as server:
        server.wait_ready(30)
    left = [progress.seconds_left for progress in seen if progress.seconds_left is not None]
    assert left == sorted(left, reverse=True)
    assert left[0] == pytest.approx(took, abs=1.1)  # shown in whole seconds
    assert left[-1] <= 1
    fractions = [progress.fraction for progress in seen if progress.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_what_is_known_of_a_start_is_of_the_same_engine_and_model() -> None:
    stages = ("environment", "starting", "loading", "compiling", "ready")
    line = ("vllm", "serve", "m")
    assert pace.like("vLLM", line, stages).left("starting", 1.0) is None
    pace.keep("vLLM", (*line, "--enforce-eager"), {"starting": 10.0, "loading": 4.0})
    pace.keep("vLLM", line, {"starting": 11.0, "loading": 4.0, "compiling": 30.0})
    # With the same flags as it was; with flags that no start had, the middle of the model's starts.
    assert pace.like("vLLM", line, stages).left("starting", 1.0) == 44.0
    assert pace.like("vLLM", (*line, "--enforce-eager"), stages).left("starting", 1.0) == 13.0
    assert pace.like("vLLM", (*line, "--dtype", "half"), stages).seconds == {
        "starting": 10.5, "loading": 4.0, "compiling": 15.0,
    }  # fmt: skip
    for engine, words in (("llama.cpp", line), ("vLLM", ("vllm", "serve", "other"))):
        assert not pace.like(engine, words, stages).seconds
    gguf = ("llama-server", "--ctx-size", "9", "--model", "a.gguf")
    pace.keep("llama.cpp", gguf, {"loading": 1.0})
    assert pace.like("llama.cpp", ("llama-server", "--model", "a.gguf"), stages).seconds == {"loading": 1.0}


def test_a_damaged_file_of_starts_is_no_reason_to_fail(tmp_path: Path) -> None:
    pace.keep("vLLM", ("vllm", "serve", "m"), {"starting": 1.0})
    file = tmp_path / "cache" / "starts.jsonl"
    good = json.loads(file.read_text())
    assert "m" in good.values()
    bad = [{**good, "stages": None}, {**good, "stages": {"starting": "x"}}, [], 7, {"engine": "vLLM"}]
    file.write_text("\n".join(["{half", "\x00", *map(json.dumps, bad), json.dumps(good)]) + "\n")
    assert pace.like("vLLM", ("vllm", "serve", "m"), ("starting",)).seconds == {"starting": 1.0}
    for _ in range(450):
        pace.keep("vLLM", ("vllm", "serve", "m"), {"starting": 2.0})
    assert len(file.read_text().splitlines()) <= 400
    file.unlink()
    file.mkdir()
    pace.keep("vLLM", ("vllm", "serve", "m"), {"starting": 1.0})
    assert not pace.like("vLLM", ("vllm", "serve", "m"), ("starting",)).seconds
