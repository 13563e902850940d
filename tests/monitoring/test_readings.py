"""One reading of the machine: real processes, and cards through a stand-in for NVML."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml  # type: ignore[import-untyped]
import pytest
from browser import free_port
from standin_nvml import Card, FakeNVML, error
from visiting import wait_until

from workbench.monitoring.readings import Meter, engine_behind, members
from workbench.quantities import GIB, MIB

#: Takes 200 MiB and works, in two processes of one group.
WORKS = (
    "import subprocess, sys\n"
    "held = bytearray(b'x') * (200 * 2**20)\n"
    "if len(sys.argv) == 1: subprocess.Popen([sys.executable, sys.argv[0], 'child'])\n"
    "print('ready', flush=True)\n"
    "while True: pass\n"
)


def card(**answers: Any) -> Card:
    return Card("NVIDIA L40S", 46068, used_mib=42_000, nvmlDeviceGetPowerUsage=287_500, **answers)


# ---- cards


def test_a_card_at_work_is_read_and_nvml_is_left_at_the_end() -> None:
    slow = pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonHwThermalSlowdown
    nvml = FakeNVML(
        card(nvmlDeviceGetCurrentClocksEventReasons=slow, nvmlDeviceGetPowerManagementDefaultLimit=350_000), card()
    )
    meter = Meter(nvml)
    for _ in range(3):
        first, second = meter.read().cards
    assert nvml.open == 1, "NVML is opened once, not at each reading"
    meter.close()
    meter.close()
    assert nvml.open == 0
    assert (first.memory_total, first.memory_used) == (46068 * MIB, 42_000 * MIB)
    assert (first.utilization, first.power, first.power_limit, first.power_default) == (0.07, 287.5, 350.0, 350.0)
    assert (first.temperature, first.slowed) == (41, ("thermal", "power"))
    assert second.slowed is None, "a card that does not tell is not called cool"
    assert second.power_default is None
    assert first.card().name == "L40S"  # type: ignore[union-attr]


def test_an_old_driver_knows_the_query_of_clocks_by_its_older_name() -> None:
    idle = card(nvmlDeviceGetCurrentClocksThrottleReasons=pynvml.nvmlClocksEventReasonGpuIdle)
    assert Meter(FakeNVML(idle)).read().cards[0].slowed == ()
    hot = card(nvmlDeviceGetCurrentClocksThrottleReasons=pynvml.nvmlClocksEventReasonSwThermalSlowdown)
    assert Meter(FakeNVML(hot)).read().cards[0].slowed == ("thermal",)


def test_a_card_that_falls_off_the_bus_does_not_hide_the_other() -> None:
    lost = Card("NVIDIA L4", 23034, handle=error(pynvml.NVML_ERROR_GPU_IS_LOST))
    reading = Meter(FakeNVML(lost, card())).read()
    assert "bus" in reading.cards[0].lost
    assert [c.index for c in reading.engines_cards] == [1]


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_without_a_driver_there_are_no_cards_and_it_is_not_asked_each_second(code: int) -> None:
    nvml = FakeNVML(card(), nvmlInit=error(code))
    meter = Meter(nvml)
    assert meter.read().cards == ()
    nvml.answers.pop("nvmlInit")
    assert meter.read().cards == (), "asked again at once"
    meter._next_try = 0.0
    assert len(meter.read().cards) == 1


def test_a_driver_that_goes_away_between_two_readings() -> None:
    nvml = FakeNVML(card())
    meter = Meter(nvml)
    assert meter.read().cards
    nvml.answers["nvmlDeviceGetCount"] = error(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    assert meter.read().cards == ()
    assert nvml.open == 0


def test_the_engines_cards_are_those_its_processes_hold() -> None:
    mine = [SimpleNamespace(pid=os.getpid(), usedGpuMemory=30 * GIB)]
    reading = Meter(FakeNVML(card(), card(nvmlDeviceGetComputeRunningProcesses=mine))).read(os.getpid())
    assert [c.ours for c in reading.cards] == [False, True]
    assert [c.index for c in reading.engines_cards] == [1]
    # In a container the driver's process ids are the host's: then all cards count.
    elsewhere = Meter(FakeNVML(card(), card())).read(os.getpid())
    assert [c.ours for c in elsewhere.cards] == [False, False]
    assert len(elsewhere.engines_cards) == 2


# ---- processor and processes


def test_memory_and_processor_of_the_engines_whole_group(tmp_path: Path) -> None:
    script = tmp_path / "works.py"
    script.write_text(WORKS)
    leader = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert leader.stdout is not None
        leader.stdout.readline()
        leader.stdout.readline()
        meter = Meter(FakeNVML())
        first = meter.read(leader.pid)
        assert first.engine_rss is not None
        assert 400 * MIB <= first.engine_rss < 600 * MIB
        assert first.engine_cores is first.engine_busiest is first.cpu is None, "there is nothing to compare with yet"
        begin = [psutil.Process(p.pid).cpu_times().user for p in members(leader.pid)]
        time.sleep(1.0)
        second = meter.read(leader.pid)
        spent = sum(psutil.Process(p.pid).cpu_times().user for p in members(leader.pid)) - sum(begin)
        assert second.engine_cores == pytest.approx(spent, rel=0.25, abs=0.1)
        assert second.engine_busiest <= second.engine_cores  # type: ignore[operator]
        assert 0 < second.cpu <= 1  # type: ignore[operator]
        assert second.memory_available < second.memory_total
    finally:
        os.killpg(leader.pid, 9)
        leader.wait()
    gone = meter.read(leader.pid)
    assert (gone.engine_rss, gone.engine_cores, gone.pid) == (None, None, None)


def test_a_process_that_leads_no_group_is_taken_with_its_descendants() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        found = {p.pid for p in members(os.getpid())}
        assert {os.getpid(), child.pid} <= found
        assert {p.pid for p in members(child.pid)} == {child.pid}
    finally:
        child.communicate(b"\n")
    assert members(child.pid) == []


def test_the_process_behind_a_port_is_an_engine_or_nobody(tmp_path: Path) -> None:
    """Whatever else listens, a tunnel say, must not have its memory shown as the engine's."""
    for name, is_one in (("vllm_server.py", True), ("tunnel.py", False)):
        script, port = tmp_path / name, free_port()
        listens = f"s = socket.create_server(('127.0.0.1', {port}))"
        script.write_text(f"import socket\n{listens}\nprint('on', flush=True)\ninput()")
        process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert engine_behind(port) == (process.pid if is_one else None)
        finally:
            process.communicate(b"\n")
        wait_until(lambda port=port: engine_behind(port) is None, 5, "the port is free")


def test_reading_takes_no_lasting_resources() -> None:
    meter = Meter()
    meter.read(os.getpid())
    before = psutil.Process().num_fds()
    for _ in range(50):
        meter.read(os.getpid())
    assert psutil.Process().num_fds() <= before + 1
    meter.close()
