"""Jobs on a cluster: side by side, with their files brought there and back, whole or not at all, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from waiting import until

from workbench import jobs
from workbench.cli import main
from workbench.cluster import Cluster
from workbench.errors import MissingPart
from workbench.jobs import JobCancelled, JobFailed

WORKER = """
import os, subprocess, sys, time
from pathlib import Path
from workbench.errors import InvalidInput

def work(request, worker):
    print("hello from", request.get("name"), flush=True)
    if request.get("child"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "stub_engine"], start_new_session=True)
    found = {}
    if source := request.get("source"):
        place = Path(source)
        files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
        found = {p.name: p.read_text() for p in files}
    (worker.out / "inner").mkdir()
    (worker.out / "inner" / "weights.bin").write_bytes(b"w" * request.get("bytes", 1000))
    (worker.out / "empty").touch()
    if request.get("refuse"):
        raise InvalidInput("group_size must divide 256; take 128.")
    began = time.time()
    for step in range(request.get("steps", 1)):
        worker.progress(step / request.get("steps", 1), "counting", f"step {step}")
        time.sleep(0.2)
    return {
        "found": found, "source": source, "hint": os.environ.get("HINT"), "began": began, "ended": time.time(),
        "threads": os.environ.get("OMP_NUM_THREADS"), "ray": [name for name in os.environ if name.startswith("RAY_")],
    }
"""


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    file = tmp_path / "my_worker.py"
    file.write_text(WORKER)
    return file


@pytest.fixture
def start(nodes, worker, tmp_path):
    """Start a stub job on one of the nodes."""

    def begin(out: Path | None = None, on: Cluster | None = None, **request):
        place = on or Cluster(nodes.direct)
        name = str(request.get("name", "stub"))
        target = out or tmp_path / name
        return jobs.start(name, worker, request, None, target, place=place, inputs=("source",), variables={"HINT": "h"})

    return begin


def counting(job) -> bool:
    assert job.status in ("queued", "running"), job.error
    return job.progress.stage == "counting"


def beside(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_two_run_side_by_side_and_files_travel_where_a_node_does_not_see_them(nodes, start, unseen, tmp_path):
    source = unseen / "model"
    (source / "deep").mkdir(parents=True)
    (source / "config.json").write_text("{}")
    (source / "deep" / "text.txt").write_text("x" * 9_000_000)  # more than two pieces
    (source / "none.txt").write_text("")
    (unseen / "elsewhere.txt").write_text("linked")
    (source / "link.txt").symlink_to(unseen / "elsewhere.txt")
    seen = tmp_path / "seen"
    seen.mkdir()
    (seen / "config.json").write_text("seen")

    # One through Ray Client and with nothing shared, one from a node of the cluster and with a disk that both see.
    left = start(unseen / "left", Cluster(nodes.address, resources={"left": 1}), source=str(source), bytes=9_500_000)
    right = start(None, Cluster(nodes.direct, resources={"right": 1}), name="right", source=str(seen), steps=40)
    stages = []
    left.observe(lambda j: stages.append(j.progress.stage))
    results = [job.wait(90) for job in (left, right)]
    assert max(r["began"] for r in results) < min(r["ended"] for r in results)

    assert results[0]["found"] == {
        "config.json": "{}",
        "text.txt": "x" * 9_000_000,
        "none.txt": "",
        "link.txt": "linked",
    }
    assert results[0]["source"] != str(source)
    assert (unseen / "left" / "inner" / "weights.bin").read_bytes() == b"w" * 9_500_000
    assert {"connecting", "sending model", "counting", "fetching from 127.0.0.2"} <= set(stages)
    assert results[1]["found"] == {"config.json": "seen"}
    assert results[1]["source"] == str(seen)
    assert (right.out / "inner" / "weights.bin").read_bytes() == b"w" * 1000
    assert beside(unseen / "left") == ["elsewhere.txt", "left", "model"]
    assert beside(right.out) == ["my_worker.py", "right", "seen"]
    for job, host in ((left, "127.0.0.2"), (right, "127.0.0.3")):
        made = json.loads((job.out / "workbench.json").read_text())
        assert made["node"]["address"] == host
        assert made["result"] == job.result
        assert made["environment"]["python"] == sys.version.split()[0]
        assert sorted(path.name for path in job.out.iterdir()) == ["empty", "inner", "workbench.json"]
        assert (job.out / "empty").read_bytes() == b""
        assert "hello from" in job.log()
        assert (job.result["hint"], job.result["threads"], job.result["ray"]) == ("h", "1", [])
    nodes.clean()


def test_what_a_worker_refuses_and_what_no_node_has_are_told(nodes, start, tmp_path):
    refused = start(refuse=True)
    impossible = start(name="impossible", on=Cluster(nodes.direct, cpus=3, gpus=1))
    with pytest.raises(JobFailed, match=r"^stub failed: group_size must divide 256; take 128\. Log: "):
        refused.wait(90)
    with pytest.raises(JobFailed, match=r"needs 3 CPUs and 1 GPU of one node, and no node has .*; they have 1 CPU"):
        impossible.wait(60)
    assert beside(tmp_path / "x") == ["my_worker.py"]
    nodes.clean()


def test_cancelled_it_leaves_nothing_anywhere(nodes, start, tmp_path):
    job = start(steps=3000, child=True)
    until(lambda: counting(job))
    assert nodes.processes("stub_engine")
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(60)
    assert beside(tmp_path / "x") == ["my_worker.py"]
    nodes.clean(10)


def test_what_answers_for_it_on_the_node_is_killed_and_it_is_done_again(nodes, start, tmp_path):
    job = start(steps=15, child=True)
    seen = []
    job.observe(lambda j: seen.append((j.progress.stage, j.progress.detail)))
    until(lambda: counting(job))
    for process in nodes.processes("ray::Node"):
        process.kill()
    job.wait(90)
    assert any(stage == "starting again" and "was lost" in detail for stage, detail in seen)
    assert "was lost" in job.log()
    assert beside(tmp_path / "x") == ["my_worker.py", "stub"]
    assert sorted(path.name for path in job.out.iterdir()) == ["empty", "inner", "workbench.json"]
    nodes.clean()


@pytest.mark.soak
def test_killed_with_its_driver_it_ends_on_the_node(nodes, start):
    job = start(steps=3000, child=True)
    until(lambda: counting(job))
    driver = next(p for p in psutil.Process().children(recursive=True) if "workbench.cluster.driver" in p.cmdline())
    os.kill(driver.pid, signal.SIGKILL)
    with pytest.raises(JobFailed, match="SIGKILL"):
        job.wait(60)
    nodes.clean()


@pytest.mark.soak
def test_a_node_that_dies_is_told_and_the_work_done_on_another(nodes, start, tmp_path):
    for name, host in (("doomed", "127.0.0.4"), ("spare", "127.0.0.5")):
        nodes.start(name, host, f"--address={nodes.direct}", either=1)
    nodes.await_node("doomed", "spare")
    job = start(on=Cluster(nodes.direct, resources={"either": 0.5}), steps=500, child=True)
    seen = []
    job.observe(lambda j: seen.append((j.progress.stage, j.progress.detail)))

    def lose() -> str:
        """Kill the node that the worker is on, once it works; its address."""
        until(lambda: counting(job))
        host = [detail for stage, detail in seen if stage == "starting"][-1].removeprefix("on ")
        nodes.kill("doomed" if host == "127.0.0.4" else "spare")
        return host

    first = lose()
    until(lambda: any(stage == "starting again" for stage, _ in seen))
    until(lambda: [stage for stage, _ in seen].count("starting") == 3)  # the job's own, and one on each node
    second = lose()
    with pytest.raises(JobFailed, match=rf"node {second} was lost: .*; it was tried 2 times and nothing was kept"):
        job.wait(90)
    assert {first, second} == {"127.0.0.4", "127.0.0.5"}
    assert f"node {first} was lost" in job.log()
    assert beside(tmp_path / "x") == ["my_worker.py"]
    until(lambda: not nodes.running(), 20)  # folders are swept by the next work on that machine, as after a power cut
    for name in ("doomed", "spare"):
        nodes.members.pop(name).terminate(1)


@pytest.mark.soak
def test_what_another_holds_is_waited_for_and_said(nodes, start):
    first = start(name="first", on=Cluster(nodes.direct, resources={"right": 1}), steps=3000)
    until(lambda: counting(first))
    second = start(name="second", on=Cluster(nodes.direct, resources={"right": 0.5}))
    until(lambda: second.progress.stage == "waiting" and "0.5 of right" in second.progress.detail)
    first.cancel()
    assert second.wait(60)["found"] == {}
    nodes.clean()


@pytest.mark.soak
def test_the_doctor_tells_of_the_one_that_is_named(nodes, monkeypatch, capsys):
    monkeypatch.setenv("RAY_ADDRESS", nodes.direct)
    assert main(["doctor"]) == 0
    words = capsys.readouterr().out
    assert f"Ray cluster at {nodes.direct}" in words
    assert "  127.0.0.3       1 CPU, " in words
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.2:8265")
    assert main(["doctor", "--json"]) == 0
    assert "address of a dashboard" in json.loads(capsys.readouterr().out)["cluster"]["error"]


def test_no_cluster_is_told_at_once(nodes, worker, tmp_path):
    began = time.monotonic()
    job = jobs.start("stub", worker, {}, None, tmp_path / "x", place=Cluster("ray://127.0.0.2:9"))
    with pytest.raises(JobFailed, match=r"no Ray cluster answers at ray://127\.0\.0\.2:9 \(Connection refused\)"):
        job.wait(30)
    assert time.monotonic() - began < 10
    with pytest.raises(MissingPart, match="no Ray cluster answers"):
        Cluster("ray://127.0.0.2:9").look()
