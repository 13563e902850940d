"""This machine as it is, and machines with GPUs through a stand-in for NVML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml  # type: ignore[import-untyped]
import pytest
from standin_nvml import Card, FakeNVML, error

from workbench import machine, processor
from workbench.quantities import GIB, MIB

# ---------------------------------------------------------------------------------------------- this machine


def test_this_machine_is_described_and_printed() -> None:
    here = machine.describe()
    assert here.cpu.cores >= 1
    assert here.memory_total > here.memory_available > 0
    assert here.disk_free > 0
    assert here.cpu.model in str(here)
    again = json.loads(here.to_json())
    assert again["memory_total"] == here.memory_total
    assert len(here.gpus) == len(again["gpus"])
    assert here.gpus or any("no NVIDIA GPU" in note for note in here.notes)


def test_disk_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    assert machine.describe(tmp_path / "not" / "yet").disk_path == str(tmp_path)


def test_a_container_limit_counts(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    whole = psutil.virtual_memory().total
    limit.write_text("max\n")
    assert machine.memory(limit)[0] == whole
    limit.write_text(f"{GIB}\n")
    (tmp_path / "memory.current").write_text(f"{GIB // 4}\n")
    total, available = machine.memory(limit)
    assert total == GIB
    assert available <= GIB - GIB // 4
    (tmp_path / "memory.current").write_text(f"{2 * GIB}\n")
    assert machine.memory(limit)[1] == 0


@pytest.mark.parametrize(
    ("text", "model", "flag"),
    [
        (
            "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\nflags\t\t: fpu avx512f amx_bf16\n",
            "8480+",
            "amx_bf16",
        ),
        ("processor\t: 0\nBogoMIPS\t: 2100\nFeatures\t: fp asimd sve bf16\n", "", "sve"),
    ],
)
def test_cpu_model_and_flags(tmp_path: Path, text: str, model: str, flag: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    name, flags = processor.model_and_flags(tmp_path / "cpuinfo")
    assert model in name
    assert flag in flags


# ---------------------------------------------------------------------------------------------- GPUs


def test_known_cards_are_matched_and_can_be_planned_for() -> None:
    nvml = FakeNVML(
        Card("NVIDIA H100 80GB HBM3", 81559, nvlinks=[1] * 18, nvmlDeviceGetCudaComputeCapability=(9, 0)),
        Card("NVIDIA L40S", 46068),
    )
    here = machine.describe(nvml=nvml)
    h100, l40s = here.gpus
    assert nvml.open == 0, "NVML must be shut down again"
    assert (here.driver, here.cuda) == ("580.65.06", "13.0")
    assert (h100.gpu, l40s.gpu) == ("H100 SXM5", "L40S")
    assert h100.card() is not None
    assert h100.card().capacity.basis == "measured"  # type: ignore[union-attr]
    assert (h100.nvlinks, l40s.nvlinks) == (18, None)
    assert h100.compute_capability == (9, 0)
    assert h100.power_limit == 350
    assert h100.utilization == pytest.approx(0.07)
    assert here.notes == ()


def test_queries_a_card_does_not_support_are_none() -> None:
    card = Card("NVIDIA L4", 23034)
    card.answers = {
        "nvmlDeviceGetName": b"NVIDIA L4",
        "nvmlDeviceGetMemoryInfo": error(pynvml.NVML_ERROR_NOT_SUPPORTED),
    }
    (device,) = machine.gpus(FakeNVML(card))
    assert device.gpu == "L4"
    for field in (
        "memory_total",
        "memory_free",
        "memory_of_others",
        "processes",
        "mig",
        "nvlinks",
        "ecc",
        "uuid",
    ):
        assert getattr(device, field) is None, field
    assert device.card() is not None
    assert device.usable
    assert "unknown" in str(machine.describe(nvml=FakeNVML(card)))


def test_memory_of_others_leaves_out_what_this_process_and_its_children_hold() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        stranger = next(pid for pid in psutil.pids() if pid not in (os.getpid(), child.pid))
        held = [
            SimpleNamespace(pid=os.getpid(), usedGpuMemory=1000 * MIB),
            SimpleNamespace(pid=child.pid, usedGpuMemory=500 * MIB),
            SimpleNamespace(pid=stranger, usedGpuMemory=20_000 * MIB),
            SimpleNamespace(pid=2**22 + 7, usedGpuMemory=None),  # of another container, not attributed
        ]
        card = Card("NVIDIA L40S", 46068, used_mib=30_000, nvmlDeviceGetComputeRunningProcesses=held)
        here = machine.describe(nvml=FakeNVML(card))
    finally:
        child.communicate(b"\n")
    (device,) = here.gpus
    assert device.memory_of_others == (30_000 - 1500) * MIB
    assert device.processes is not None
    assert [process.ours for process in device.processes] == [True, True, False, False]
    assert device.processes[3].name is None
    assert any("other processes hold 27.83 GiB" in note for note in here.notes)


def test_the_driver_reserve_is_left_out_where_the_driver_tells() -> None:
    second = SimpleNamespace(total=46068 * MIB, used=10 * MIB, free=45500 * MIB, reserved=558 * MIB)
    (device,) = machine.gpus(FakeNVML(Card("NVIDIA L40S", 46068, used_mib=568, v2=second)))
    assert device.memory_used == 10 * MIB


def test_a_card_with_another_total_is_planned_with_its_own() -> None:
    """ECC on takes 3 GiB of an RTX A6000; a vGPU share can be anything."""
    half, whole = machine.gpus(FakeNVML(Card("NVIDIA L40S", 23034), Card("NVIDIA L40S", 46068)))
    own, usual = half.card(), whole.card()
    assert own is not None
    assert usual is not None
    assert own.capacity.value < 23034 * MIB
    assert own.capacity.basis == "measured here"
    assert usual.capacity.basis == "measured"


def test_an_unknown_card_is_named_with_what_to_do() -> None:
    here = machine.describe(nvml=FakeNVML(Card("NVIDIA Frobnicator 9000", 16000)))
    assert here.gpus[0].gpu is None
    assert here.gpus[0].card() is None
    assert any("custom_gpu" in note for note in here.notes)


def test_too_old_a_card_is_not_usable() -> None:
    nvml = FakeNVML(Card("Tesla P100-PCIE-16GB", 16280, nvmlDeviceGetCudaComputeCapability=(6, 0)))
    assert not machine.has_usable_gpu(nvml)
    assert any("too old" in note for note in machine.describe(nvml=nvml).notes)
    assert machine.has_usable_gpu(FakeNVML(Card("NVIDIA L4", 23034)))


def test_topology_of_several_cards() -> None:
    cards = [Card("NVIDIA A100 80GB PCIe", 81920) for _ in range(4)]
    found = machine.describe(nvml=FakeNVML(*cards, nvlink_pairs={(0, 1), (2, 3)})).links
    assert len(found) == 6
    assert {(link.a, link.b) for link in found if link.kind == "NVLink"} == {(0, 1), (2, 3)}
    assert {link.kind for link in found} == {"NVLink", "PCIe through one NUMA node"}
    assert all(link.peer_to_peer for link in found)
    silent = FakeNVML(*cards[:2], topology=error(pynvml.NVML_ERROR_NOT_SUPPORTED), p2p=error(pynvml.NVML_ERROR_UNKNOWN))
    (link,) = machine.describe(nvml=silent).links
    assert (link.kind, link.peer_to_peer) == ("unknown", None)


def test_mig_slices_are_listed() -> None:
    slices = [
        Card("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 40192),
        None,
        Card("NVIDIA A100-SXM4-80GB MIG 1g.10gb", 9728),
    ]
    card = Card(
        "NVIDIA A100-SXM4-80GB",
        81920,
        nvmlDeviceGetMigMode=[1, 1],
        nvmlDeviceGetMaxMigDeviceCount=3,
        slots=slices,
    )
    here = machine.describe(nvml=FakeNVML(card))
    (device,) = here.gpus
    assert device.mig is True
    assert [instance.memory_total for instance in device.mig_instances] == [40192 * MIB, 9728 * MIB]
    assert any("MIG mode: choose one of its 2 slices" in note for note in here.notes)
    (plain,) = machine.gpus(FakeNVML(Card("NVIDIA A100-SXM4-80GB", 81920, nvmlDeviceGetMigMode=[0, 0])))
    assert plain.mig is False
    assert plain.mig_instances == ()


# ---------------------------------------------------------------------------------------------- no driver, lost card


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "no NVIDIA driver is installed"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "not loaded"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "restart"),
        (pynvml.NVML_ERROR_UNKNOWN, "Unknown"),
    ],
)
def test_without_a_driver_there_are_no_gpus_and_a_reason(code: int, words: str) -> None:
    nvml = FakeNVML(nvmlInit=error(code))
    here = machine.describe(nvml=nvml)
    assert here.gpus == ()
    assert words in here.notes[0]
    assert machine.gpus(nvml) == ()
    assert not machine.has_usable_gpu(nvml)


def test_one_lost_card_does_not_hide_the_others() -> None:
    lost = Card("NVIDIA L4", 23034, nvmlDeviceGetName=error(pynvml.NVML_ERROR_GPU_IS_LOST))
    refused = Card("NVIDIA L4", 23034, handle=error(pynvml.NVML_ERROR_NO_PERMISSION))
    here = machine.describe(nvml=FakeNVML(lost, Card("NVIDIA L4", 23034), refused))
    assert [device.usable for device in here.gpus] == [False, True, False]
    assert "fell off the bus" in here.gpus[0].lost
    assert "may not query" in here.gpus[2].lost
    assert here.links == ()
    assert len(here.notes) == 2


def test_a_driver_lost_between_two_queries() -> None:
    nvml = FakeNVML(Card("NVIDIA L4", 23034), nvmlDeviceGetCount=error(pynvml.NVML_ERROR_DRIVER_NOT_LOADED))
    assert machine.describe(nvml=nvml).gpus == ()
    assert nvml.open == 0


def test_describing_takes_no_lasting_resources() -> None:
    before = psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0
    for _ in range(20):
        machine.describe()
    after = psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0
    assert after <= before + 1
