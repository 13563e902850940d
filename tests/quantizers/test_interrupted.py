"""Quantising that is killed at any moment, or runs out of disk: no partial result, no process, an untouched source."""

from __future__ import annotations

import contextlib
import hashlib
import random
import resource
import time
from pathlib import Path

import psutil
import pytest

import workbench as wb
from workbench import builtin
from workbench.jobs import Job, JobFailed

pytestmark = [pytest.mark.environment, pytest.mark.timeout(3600)]

FEW = {"num_calibration_samples": 8, "max_seq_length": 64, "evaluate_tokens": 256}


@pytest.fixture(scope="module")
def model() -> Path:
    return builtin.ensure()


def state(folder: Path) -> dict[str, tuple[str, float]]:
    """Every file with its content and time."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def workers(job: Job) -> list[psutil.Process]:
    """Processes that work for a job."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and any(str(job.folder) in w for w in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def killed_at(folder: Path, after: float) -> str:
    """Quantise, kill the worker so long after it began [s], and say how it ended."""
    job = wb.quantize("builtin", method="gptq", out=folder / "deep" / "out", **FEW)
    while not workers(job) and job.status in ("queued", "running"):
        time.sleep(0.02)
    time.sleep(after)
    for process in workers(job):
        with contextlib.suppress(psutil.Error):  # it has just ended by itself
            if "worker.py" in " ".join(process.cmdline()):
                process.kill()
    try:
        job.wait(600)
    except JobFailed:
        assert not (folder / "deep").exists()
    else:
        assert (folder / "deep" / "out" / "model.safetensors").is_file()
        assert [p.name for p in (folder / "deep").iterdir()] == ["out"]
    assert not workers(job)
    return job.status


def check_kills(folder: Path, count: int, seed: int) -> list[str]:
    before, drawn, ends = state(builtin.folder()), random.Random(seed), []
    for number in range(count):
        # The first second is Python and torch being loaded; a run takes about twenty.
        ends.append(killed_at(folder / str(number), drawn.uniform(0.0, 20.0)))
        assert state(builtin.folder()) == before
    return ends


def test_killed_three_times(model: Path, tmp_path: Path) -> None:
    assert "failed" in check_kills(tmp_path, 3, seed=3)


@pytest.mark.soak
def test_killed_thirty_times(model: Path, tmp_path: Path) -> None:
    assert check_kills(tmp_path, 30, seed=30).count("failed") > 10


def test_a_disk_that_fills_while_the_result_is_written(model: Path, tmp_path: Path) -> None:
    before = state(model)
    job = wb.quantize("builtin", method="gptq", out=tmp_path / "deep" / "out", **FEW)
    limit = 2**20  # of any one file [bytes]: less than the weights, more than what is told on the way

    def fill(job: Job) -> None:
        if job.progress.stage == "quantising":
            for process in workers(job):
                process.rlimit(psutil.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    job.observe(fill)
    with pytest.raises(JobFailed, match="the disk is full: make room in"):
        job.wait(600)
    assert list(tmp_path.iterdir()) == []
    assert not workers(job)
    assert state(model) == before
