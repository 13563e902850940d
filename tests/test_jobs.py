"""Jobs with real worker processes: whole results or none, whatever happens to worker, owner or disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from waiting import until

from workbench import environments, jobs
from workbench.errors import InvalidInput, MissingPart, UnknownName
from workbench.jobs import Job, JobCancelled, JobFailed, Progress
from workbench.jobs.beside import side_by_side

WORKER = """
import errno, os, resource, signal, subprocess, sys, time
from pathlib import Path
from workbench.errors import InvalidInput

def work(request, worker):
    print("hello from the worker", flush=True)
    what = request.get("what", "fine")
    if worker.out:
        (worker.out / "inner").mkdir()
        (worker.out / "inner" / "weights.bin").write_bytes(b"w" * 1000)
    if what == "raise":
        raise ValueError("the third layer is odd\\nand more")
    if what == "refuse":
        raise InvalidInput("group_size must divide 256; take 128.")
    if what == "not json":
        return {"x": object()}
    if what == "exit":
        os._exit(5)
    if what == "quiet":
        os._exit(0)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "device full":
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")
    if what == "file too large":
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        (worker.out / "big.bin").write_bytes(b"x" * 100_000)
    if what == "cannot tell":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        worker.progress(0.5, "no room for this")
    if what == "rust full":
        raise RuntimeError("Error while serializing: IoError(Os { code: 28, kind: StorageFull })")
    if what == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        bytearray(1 << 34)
    if what == "litter":
        os.write(1, b'{"result": "not this"}\\n{"progress": {"fraction": 2}}\\n')
    if what == "slow":
        if request.get("children"):
            code = "import time; time.sleep(600)"
            subprocess.Popen([sys.executable, "-c", code, request["children"]], start_new_session=True)
        for step in range(6000):
            worker.progress(step / 6000, "counting", f"step {step}", 600 - step / 10)
            time.sleep(0.1)
    if what == "steps":
        for step in range(4):
            worker.progress(step / 4, "working", f"step {step}")
            time.sleep(0.25)
    return {"answer": request.get("number", 42), "where": os.environ.get("HINT"), "path": sys.path}
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "my_worker.py"
    file.write_text(WORKER)
    return file


def beside(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir()) if out.parent.exists() else []


def test_a_result_with_its_provenance(worker, tmp_path):
    out = tmp_path / "made" / "model"
    job = jobs.start("answer", worker, {"number": 7}, None, out, provenance={"method": "none"}, variables={"HINT": "h"})
    result = job.wait(60)
    assert (result["answer"], result["where"], result["out"]) == (7, "h", str(out))
    assert (job.status, job.error, job.result, job.progress) == (
        "succeeded",
        None,
        result,
        Progress(1.0, "done"),
    )
    assert (out / "inner" / "weights.bin").read_bytes() == b"w" * 1000
    assert beside(out) == ["model"]
    made = json.loads((out / "workbench.json").read_text())
    assert made["made_by"].startswith("llm-workbench ")
    assert (made["job"], made["method"], made["request"]) == ("answer", "none", {"number": 7})
    assert made["result"] == result
    assert made["environment"]["python"] == sys.version.split()[0]
    assert made["started"] <= made["finished"]
    assert made["seconds"] >= 0
    assert job.log() == "hello from the worker\n"
    assert job.log(last=1) == "hello from the worker"
    assert "answer: succeeded 100% done" in repr(job)
    assert job in jobs.jobs()


def test_a_worker_sees_the_package_and_not_its_neighbours(worker):
    path = jobs.start("path", worker, {}, None).wait(60)["path"]
    package = Path(jobs.__file__).parent
    assert str(package) not in path
    job = jobs.start("module", "workbench.no_such_worker", {}, None)
    with pytest.raises(JobFailed, match=r"No module named 'workbench\.no_such_worker'"):
        job.wait(60)


def test_observers_hear_every_stage_from_one_thread(worker):
    heard: list[tuple[str, str, str]] = []
    threads = set()

    def listen(job: Job) -> None:
        heard.append((job.status, job.progress.stage, job.progress.detail))
        threads.add(threading.current_thread().name)

    gate = threading.Event()
    job = jobs.start("steps", worker, {"what": "steps"}, None, prepare=lambda tell, cancel: gate.wait(30) and None)
    quiet = job.observe(lambda job: heard.append(("never", "", "")))
    quiet()
    quiet()
    job.observe(listen)
    job.observe(lambda job: 1 / 0)  # the job does not suffer
    gate.set()
    job.wait(60)
    until(lambda: heard and heard[-1][0] == "succeeded")
    steps = [detail for status, stage, detail in heard if (status, stage) == ("running", "working")]
    assert steps
    assert steps == sorted(set(steps))  # each change once, in order
    assert heard[-1] == ("succeeded", "done", "")
    assert threads == {"job steps"}
    assert "an observer failed: ZeroDivisionError" in job.log()


def test_litter_on_standard_output_is_only_log(worker):
    job = jobs.start("litter", worker, {"what": "litter"}, None)
    assert job.wait(60)["answer"] == 42
    assert "not this" in job.log()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("raise", "ValueError: the third layer is odd"),
        ("refuse", "group_size must divide 256; take 128"),
        ("not json", "TypeError: Object of type object is not JSON serializable"),
        ("exit", "its process ended with code 5 and no result"),
        ("quiet", "its process ended with code 0 and no result"),
        ("killed", "was killed (SIGKILL); often that is the kernel, for want of memory"),
        ("device full", "the disk is full: make room in"),
        ("file too large", "the disk is full: make room in"),
        ("cannot tell", "the disk is full: make room in"),
        ("rust full", "the disk is full: make room in"),
        ("memory", "memory ran out (MemoryError)"),
    ],
)
def test_a_failure_says_why_and_leaves_nothing(worker, tmp_path, what, words):
    out = tmp_path / "made" / "deeper" / "model"
    job = jobs.start("try", worker, {"what": what}, None, out)
    with pytest.raises(JobFailed) as caught:
        job.wait(60)
    assert words in str(caught.value)
    assert str(caught.value).startswith("try failed: ")
    assert str(job.log_path) in str(caught.value)
    assert "hello from the worker" in job.log()
    assert (job.status, job.error, job.result) == ("failed", str(caught.value), None)
    assert not (tmp_path / "made").exists()  # nor the folders that were made for it


def test_cancel_half_way_leaves_neither_file_nor_process(worker, tmp_path):
    out = tmp_path / "model"
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    job = jobs.start("slow", worker, {"what": "slow", "children": mark}, None, out)
    progress = until(lambda: job.progress.fraction and job.progress)
    assert progress.seconds_left == pytest.approx(600 * (1 - progress.fraction))
    assert any(name.endswith(".partial") for name in beside(out))
    with pytest.raises(TimeoutError, match="slow still runs"):
        job.wait(0.1)
    job.cancel()
    with pytest.raises(JobCancelled, match="slow was cancelled"):
        job.wait(60)
    assert (job.status, job.error) == ("cancelled", None)
    assert not any("model" in name for name in beside(out))
    assert not [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(worker) in (p.info["cmdline"] or [])]
    job.cancel()  # and again, which changes nothing
    assert job.status == "cancelled"


OWNER = """
import sys, time
from pathlib import Path
from workbench import jobs
job = jobs.start("slow", Path(sys.argv[1]), {"what": "slow", "children": sys.argv[3]}, None, sys.argv[2])
while not job.progress.fraction:
    time.sleep(0.02)
print("half way", flush=True)
if sys.argv[4] == "stays":
    time.sleep(600)
"""


@pytest.mark.parametrize("how", ["killed", "ends"])
def test_a_dead_owner_leaves_neither_file_nor_process(worker, tmp_path, how):
    out = tmp_path / "model"
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    command = [
        sys.executable,
        "-c",
        OWNER,
        str(worker),
        str(out),
        mark,
        "stays" if how == "killed" else "ends",
    ]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "half way\n"
    if how == "killed":
        os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    until(lambda: not [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])])
    until(lambda: not any("model" in name for name in beside(out)))


def test_heavy_jobs_take_turns_and_light_ones_do_not(worker):
    first = jobs.start("first", worker, {"what": "slow"}, None)
    until(lambda: first.progress.stage == "counting")
    second = jobs.start("second", worker, {}, None)
    third = jobs.start("third", worker, {}, None)
    light = jobs.start("light", worker, {}, None, heavy=False)
    assert light.wait(60)["answer"] == 42
    until(lambda: third.progress == Progress(None, "waiting", "for first"))
    assert (first.status, second.status, third.status) == ("running", "queued", "queued")
    second.cancel()
    with pytest.raises(JobCancelled):
        second.wait(60)
    assert second.log() == ""  # its worker never ran
    first.cancel()
    assert third.wait(60)["answer"] == 42
    assert first.status == "cancelled"


def test_a_job_within_a_job_gets_its_turn_and_ends_with_it(worker):
    def prepare(tell, cancel):
        inner = jobs.start("inner", worker, {"number": 1}, None)
        inner.observe(lambda job: tell(job.progress))
        return {"number": inner.wait(60)["answer"] + 1}

    assert jobs.start("outer", worker, {}, None, prepare=prepare).wait(60)["answer"] == 2

    def slow(tell, cancel):
        inner = jobs.start("inner", worker, {"what": "slow"}, None)
        inner.observe(lambda job: tell(job.progress))
        inner.wait(60)

    outer = jobs.start("outer", worker, {}, None, prepare=slow)
    until(lambda: outer.progress.stage == "counting")
    assert outer.status == "running"
    outer.cancel()
    with pytest.raises(JobCancelled, match="outer was cancelled"):
        outer.wait(60)
    assert jobs.jobs()[-1].status == "cancelled"
    assert "observer failed" not in jobs.jobs()[-1].log()


def test_preparing_takes_no_turn(worker):
    """Else a job that waits for another thread's job to make something would wait for ever."""
    gate = threading.Event()
    first = jobs.start("first", worker, {}, None, prepare=lambda tell, cancel: gate.wait(60) and None)
    assert jobs.start("second", worker, {}, None).wait(60)["answer"] == 42
    assert first.status == "running"
    gate.set()
    assert first.wait(60)["answer"] == 42


def test_a_target_that_exists_is_refused_unless_allowed(worker, tmp_path):
    out = tmp_path / "model"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="exists; choose another folder"):
        jobs.start("again", worker, {}, None, out)
    # A failed overwrite keeps the old one; only success replaces it.
    with pytest.raises(JobFailed):
        jobs.start("again", worker, {"what": "raise"}, None, out, overwrite=True).wait(60)
    assert [p.name for p in out.iterdir()] == ["precious.txt"]
    jobs.start("again", worker, {}, None, out, overwrite=True).wait(60)
    assert sorted(p.name for p in out.iterdir()) == ["inner", "workbench.json"]
    assert [name for name in beside(out) if name.startswith(".")] == []


def test_a_target_that_appears_meanwhile_is_left_alone(worker, tmp_path):
    out = tmp_path / "model"
    job = jobs.start("late", worker, {"what": "steps"}, None, out)
    with pytest.raises(InvalidInput, match="another job is making"):
        jobs.start("twin", worker, {}, None, out)
    until(lambda: job.progress.stage == "working")
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    with pytest.raises(JobFailed, match="appeared while the job ran"):
        job.wait(60)
    assert [p.name for p in out.iterdir()] == ["precious.txt"]
    assert [name for name in beside(out) if name.startswith(".")] == []


def test_what_cannot_work_is_refused_at_once(worker, tmp_path):
    with pytest.raises(UnknownName, match="unknown environment 'quantise'; did you mean 'quantize'"):
        jobs.start("x", worker, {}, "quantise")
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        jobs.start("x", worker, {"a": object()}, None)
    with pytest.raises(MissingPart, match="there is no worker"):
        jobs.start("x", tmp_path / "absent.py", {}, None)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="is not a folder that can be written to"):
        jobs.start("x", worker, {}, None, tmp_path / "file" / "model")
    with pytest.raises(MissingPart, match=r"needs 1000000000\.0 GB and .* make room"):
        jobs.start("x", worker, {}, None, tmp_path / "model", disk_bytes=10**18)


def test_a_missing_environment_that_cannot_be_built_fails_the_job(worker, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_QUANTIZE_PYTHON", str(tmp_path / "nowhere"))
    job = jobs.start("build", worker, {}, "quantize")
    with pytest.raises(JobFailed, match="build failed: there is no Python at"):
        job.wait(60)


def test_building_the_environment_is_the_first_stage(worker, tmp_path, monkeypatch):
    from workbench.environments import recipe

    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "empty.toml").write_text(
        'purpose = "is empty"\n[[steps]]\npackages = ["pip"]\n[variables]\nHINT = "from the recipe"\n'
    )
    monkeypatch.setattr(recipe, "folder", lambda: folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    stages = []
    job = jobs.start("build", worker, {}, "empty", tmp_path / "model")
    job.observe(lambda job: stages.append(job.progress.stage))
    result = job.wait(120)
    assert result["where"] == "from the recipe"
    assert "building empty" in stages
    assert str(environments.get("empty").path) in str(result["path"])
    made = json.loads((tmp_path / "model" / "workbench.json").read_text())
    assert made["environment"]["name"] == "empty"
    assert "pip" in made["environment"]["versions"]


def test_old_job_folders_are_forgotten(worker, monkeypatch):
    monkeypatch.setattr(jobs.job, "_KEPT", 3)
    for _ in range(5):
        jobs.start("one", worker, {}, None).wait(60)
    assert len(list((environments.cache_root() / "jobs").iterdir())) == 3


@pytest.mark.environment
def test_a_real_environment_runs_a_worker(worker, tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_CACHE")  # the environments that other tests build and use
    worker.write_text(
        "def work(request, worker):\n"
        "    import torch, transformers\n"
        "    from workbench.progress import Progress\n"
        "    torch.save(torch.arange(3), worker.out / 'three.pt')\n"
        "    return {'torch': torch.__version__, 'from': torch.__file__, 'transformers': transformers.__version__}\n"
    )
    job = jobs.start("real", worker, {}, "quantize", tmp_path / "three")
    result = job.wait(600)
    environment = environments.get("quantize")
    assert result["from"].startswith(str(environment.path))
    made = json.loads((tmp_path / "three" / "workbench.json").read_text())
    assert made["environment"]["versions"]["torch"] == result["torch"]
    assert made["environment"]["versions"]["transformers"] == result["transformers"]
    assert (tmp_path / "three" / "three.pt").stat().st_size > 0


@pytest.mark.parametrize("at_once", [1, 2, 9])
def test_several_at_once_and_no_more(at_once):
    """Begun in order, and given in order; what one raises is raised when all are over, with one at a time at once."""
    running, most, begun, lock = 0, 0, [], threading.Lock()
    full = threading.Barrier(min(at_once, 4))  # passed only by as many as may be at once

    def do(number: int) -> int:
        nonlocal running, most
        with lock:
            running, most = running + 1, max(most, running + 1)
            begun.append(number)
        full.wait(30)
        with lock:
            running -= 1
        if number in (1, 2):
            raise InvalidInput(f"not {number}")
        return number * number

    with pytest.raises(InvalidInput, match="not 1"):
        side_by_side(do, range(4), at_once)
    assert running == 0
    assert most == min(at_once, 4)
    assert set(begun[:at_once]) == set(range(min(at_once, 4)))
    assert sorted(begun) == ([0, 1] if at_once == 1 else [0, 1, 2, 3])
    assert side_by_side(lambda number: -number, [3, 1, 2], at_once) == [-3, -1, -2]
