"""A monitor follows an engine over HTTP: through restarts and silence, and ends with its owner."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from browser import free_port
from standin_engine import Numbers, StandInEngine
from standin_nvml import Card, FakeNVML
from visiting import wait_until

import workbench as wb
from workbench.errors import InvalidInput
from workbench.monitoring import Monitor, watch
from workbench.serving import Server

EVERY = 0.05


@pytest.fixture
def engine() -> Iterator[StandInEngine]:
    with StandInEngine() as running:
        yield running


def watching(engine: StandInEngine | Server | str, **options: Any) -> Monitor:
    source = engine.url if isinstance(engine, StandInEngine) else engine
    return wb.monitor(source, every=EVERY, nvml=options.pop("nvml", FakeNVML()), **options)


def until_state(monitor: Monitor, state: str) -> None:
    wait_until(lambda: monitor.latest is not None and monitor.latest.state == state, 10, f"the monitor says {state}")


def test_an_engine_is_followed_and_its_numbers_are_kept(engine: StandInEngine) -> None:
    with watching(engine) as monitor:
        for _ in range(10):
            engine.numbers.work(tokens=40)
            time.sleep(0.1)
        monitor.wait(monitor._sampler.taken + 2, 10)
        table = monitor.frame()
    assert table["time"].is_monotonic_increasing
    assert set(table["state"]) == {"ready"}
    # What was said between the first reading and the last, by the rates and the times between them.
    said = (table["generation_tokens_per_s"] * table["time"].diff().dt.total_seconds()).sum()
    counted = engine.numbers.said._value.get()
    assert 0.6 * counted <= said <= 1.25 * counted
    assert table["running"].iloc[-1] == 3
    assert table["kv_usage"].dtype == float
    assert table["ttft_p50"].notna().any()
    assert (table["memory_available"] > 0).all()
    assert not monitor.running


def test_a_card_comes_into_the_table_and_into_the_diagnosis(engine: StandInEngine) -> None:
    engine.numbers.work()
    nvml = FakeNVML(Card("NVIDIA L40S", 46068, used_mib=45_900))
    with watching(engine, nvml=nvml) as monitor:
        monitor.wait(3, 10)
        assert monitor.frame()["gpu0_memory_used"].iloc[-1] == 45_900 * 2**20
        assert "card_full" in [finding.kind for finding in monitor.diagnosis.findings]
    assert nvml.open == 0


def test_a_restart_begins_anew_and_makes_no_rate_of_two_engines(engine: StandInEngine) -> None:
    engine.numbers.said.inc(1e6)
    with watching(engine) as monitor:
        monitor.wait(3, 10)
        engine.down()
        until_state(monitor, "unreachable")
        assert monitor.latest is not None
        assert "is the server running?" in monitor.latest.words
        assert monitor.diagnosis.verdict == "not known"
        engine.up(Numbers())
        until_state(monitor, "ready")
        engine.numbers.work(tokens=10)
        monitor.wait(monitor._sampler.taken + 3, 10)
        table = monitor.frame()
    assert monitor.latest.restarts == 1
    assert table["generation_tokens_per_s"].max() < 1000
    assert table["generation_tokens_per_s"].min() >= 0
    assert table["restarts"].is_monotonic_increasing


@pytest.mark.parametrize("dated", [True, False])
def test_an_engine_that_was_busier_when_it_came_back_is_not_taken_for_the_old_one(dated: bool) -> None:
    with StandInEngine(Numbers(dated=dated)) as engine, watching(engine) as monitor:
        engine.numbers.said.inc(10)
        monitor.wait(3, 10)
        engine.down()
        until_state(monitor, "unreachable")
        time.sleep(0.6)
        numbers = Numbers(dated=dated)
        numbers.said.inc(1e9)
        engine.up(numbers)
        until_state(monitor, "ready")
        monitor.wait(monitor._sampler.taken + 3, 10)
        assert monitor.frame()["generation_tokens_per_s"].max() < 1000
        assert monitor.latest is not None
        assert monitor.latest.restarts == (1 if dated else 0)


def test_an_engine_that_is_only_slow_for_a_while_has_not_restarted(engine: StandInEngine, monkeypatch: Any) -> None:
    monkeypatch.setattr(watch, "PATIENCE", 0.3)
    with watching(engine) as monitor:
        engine.numbers.work()
        monitor.wait(2, 10)
        engine.hold.clear()
        until_state(monitor, "unreachable")
        engine.numbers.said.inc(500)
        engine.hold.set()
        until_state(monitor, "ready")
        assert monitor.latest is not None
        assert monitor.latest.restarts == 0
        assert monitor.frame()["generation_tokens_per_s"].max() > 0, "what was said meanwhile is counted"


def test_old_names(engine: StandInEngine) -> None:
    with StandInEngine(Numbers(old=True)) as old, watching(old) as monitor:
        for _ in range(4):
            old.numbers.work()
            time.sleep(0.1)
        monitor.wait(monitor._sampler.taken + 1, 10)
        assert monitor.latest is not None
        assert monitor.latest.recent is not None
        assert monitor.latest.engine is not None
        assert monitor.latest.engine.kv_usage == 0.2
        assert monitor.latest.recent.itl is not None
        assert monitor.latest.recent.cached_tokens is not None


def test_a_dead_address_is_followed_until_something_is_there() -> None:
    port = free_port()
    with watching(f"http://127.0.0.1:{port}") as monitor:
        until_state(monitor, "unreachable")
        assert monitor.diagnosis.verdict == "not known"
        assert monitor.latest is not None
        assert monitor.latest.machine is not None, "the machine is watched all the same"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"status": 404}, "llama.cpp's server"),
        ({"text": "<html>not numbers</html>\n"}, "not the text of a /metrics page"),
        ({"text": "# TYPE llamacpp:tokens counter\nllamacpp:tokens_total 3.0\n"}, "nothing of vLLM's"),
    ],
)
def test_a_server_without_numbers_is_called_so(options: dict[str, Any], words: str) -> None:
    with StandInEngine(**options) as engine, watching(engine) as monitor:
        until_state(monitor, "silent")
        assert monitor.latest is not None
        assert words in monitor.latest.words
        assert words in monitor.diagnosis.text
        assert monitor.latest.machine is not None
    with StandInEngine(status=503) as engine, watching(engine) as monitor:
        until_state(monitor, "unreachable")


def test_another_machines_engine_is_not_set_beside_this_machines_memory(engine: StandInEngine) -> None:
    # A name that resolves to this machine and is not known to be it.
    monitor = watching(engine.url.replace("127.0.0.1", "127.0.0.2"))
    with monitor:
        monitor.wait(2, 10)
        assert monitor.latest is not None
        assert monitor.latest.machine is None
        assert monitor.frame()["cpu"].isna().all()


def test_history_is_bounded_and_what_follows_is_told_of_each_reading(engine: StandInEngine) -> None:
    told: list[float] = []
    with watching(engine, history=5) as monitor:
        forget = monitor.observe(lambda point, _diagnosis: told.append(point.time))
        broken = monitor.observe(lambda *_: 1 / 0)
        monitor.wait(9, 10)
        forget()
        broken()
        count = len(told)
        monitor.wait(monitor._sampler.taken + 2, 10)
        assert len(monitor.history) == 5
        assert len(monitor._sampler._readings) <= 3 + watch.WINDOW / EVERY
    assert count >= 7
    assert len(told) == count
    assert told == sorted(told)


def test_it_ends_with_its_owner(engine: StandInEngine) -> None:
    monitor: Monitor | None = watching(engine)
    assert monitor is not None
    monitor.wait(2, 10)
    gone, thread = weakref.ref(monitor), monitor._thread
    monitor = None
    gc.collect()
    assert gone() is None, "its own thread must not keep it"
    thread.join(5)
    assert not thread.is_alive()
    asked = engine.asked
    time.sleep(3 * EVERY)
    assert engine.asked == asked


def test_it_ends_with_its_server(engine: StandInEngine) -> None:
    server: Server | None = wb.serve(engine.url)
    monitor = watching(server)  # type: ignore[arg-type]
    monitor.wait(2, 10)
    gone = weakref.ref(server)
    server = None
    # A reading that is under way may hold it for a moment; the monitor must not keep it running.
    wait_until(lambda: gc.collect() >= 0 and gone() is None, 5, "nobody holds the server")
    wait_until(lambda: not monitor.running, 10, "the monitor ends")
    assert monitor.latest is not None
    assert monitor.latest.state == "stopped"
    with pytest.raises(TimeoutError):
        monitor.wait(10_000, 1)


def test_python_ends_although_a_monitor_runs(engine: StandInEngine) -> None:
    code = f"import workbench as wb; m = wb.monitor({engine.url!r}, every=0.1).wait(2, 10); print(m.latest.state)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "ready", "")


def test_many_monitors_leave_neither_threads_nor_files(engine: StandInEngine) -> None:
    wb.monitor(engine.url, every=EVERY).wait(1, 10).stop()
    threads, files = threading.active_count(), psutil.Process().num_fds()
    for _ in range(10):
        wb.monitor(engine.url, every=EVERY).wait(1, 10).stop()
    assert threading.active_count() <= threads + 1  # the stand-in's own, for a connection that closes
    wait_until(lambda: psutil.Process().num_fds() <= files + 2, 5, "connections are closed")


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("nonsense", {}),
        ("ftp://127.0.0.1:9", {}),
        (None, {}),
        ("http://127.0.0.1:9", {"every": 0}),
        ("http://127.0.0.1:9", {"every": float("nan")}),
        ("http://127.0.0.1:9", {"history": 0}),
    ],
)
def test_what_cannot_be_followed_is_refused(source: Any, options: dict[str, Any]) -> None:
    before = threading.active_count()
    with pytest.raises(InvalidInput):
        wb.monitor(source, **options)
    assert threading.active_count() == before


def test_a_queue_is_not_diagnosed_from_one_reading_nor_forgotten_by_a_short_history(engine: StandInEngine) -> None:
    engine.numbers.running.set(3)
    engine.numbers.waiting.set(4)
    engine.numbers.kv_usage.set(0.3)
    said: list[tuple[int, str]] = []
    with watching(engine, history=2) as monitor:
        monitor.observe(lambda _, diagnosis: said.append((monitor._sampler.taken, diagnosis.verdict)))
        wait_until(lambda: monitor.diagnosis.verdict == "limited", 10, "the queue is seen")
        assert all(taken >= 3 for taken, verdict in said if verdict == "limited")
        assert any(finding.kind == "max_num_seqs" for finding in monitor.diagnosis.findings)
