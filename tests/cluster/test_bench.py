"""Loads on servers of a cluster: from the server's own node, side by side, and said in what is kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from benchmark_results import result
from cluster_orders import stub

import workbench as wb
from workbench import builtin, jobs
from workbench.benchmark import rows
from workbench.benchmark.bench import Benchmark
from workbench.benchmark.generator import _whence
from workbench.benchmark.origin import Origin
from workbench.cli import main
from workbench.cluster import Cluster
from workbench.errors import InvalidInput
from workbench.serving.server import Server


@pytest.mark.environment
def test_a_load_comes_from_the_servers_own_node(nodes, unseen, tmp_path):
    """The tokenizer lies where no node sees it; the key is in no file."""
    source = unseen / "model"
    shutil.copytree(builtin.ensure(), source, ignore=shutil.ignore_patterns("*.safetensors"))
    order = stub(Cluster(nodes.direct, resources={"right": 0.5}), source, "--streams")
    with Server(order) as server:
        found = wb.bench(
            server, workload=wb.Workload(32, 8), concurrency=2, requests=16, warmups=1, tokenizer=source,
            api_key="geheim", out=tmp_path / "kept",
        )  # fmt: skip
        (result,) = found.results
        assert result.target.url == server.url
        assert server.url.startswith("http://127.0.0.3:")
    assert (result.completed, result.failed, result.output_tokens) == (16, 0, 128)
    assert result.ttft.p50 >= 0.02  # the stand-in's own
    assert result.tpot.p50 >= 0.01
    assert result.tool.machine["node"] == "127.0.0.3"
    assert "The load came from the server's own node, 127.0.0.3: no network lies in its times" in " ".join(
        found.remarks
    )
    assert rows.read(tmp_path / "kept") == [result]
    job = next(job for job in reversed(jobs.jobs()) if job.name == "load of 2 at a time")
    assert job.status == "succeeded"
    assert "was sent: the node does not see it" in job.log()
    assert "geheim" not in "".join(file.read_text() for file in job.folder.iterdir() if file.is_file())
    nodes.clean()


def test_weights_do_not_travel_with_a_tokenizer(tmp_path):
    for name in ("tokenizer.json", "config.json", "model-00001-of-00002.safetensors", "model.gguf"):
        (tmp_path / name).write_text(name)
    with Origin("10.0.0.7").words(str(tmp_path)) as near:
        assert {file.name: file.read_text() for file in Path(near).iterdir()} == {
            "tokenizer.json": "tokenizer.json",
            "config.json": "config.json",
        }
    assert not Path(near).exists()
    for origin, told in ((Origin(), str(tmp_path)), (Origin("10.0.0.7"), "owner/name")):
        with origin.words(told) as near:
            assert near == told


def test_what_runs_already_is_not_moved(capsys):
    for say in (
        lambda: wb.bench("http://h:1", on="ray://head"),
        lambda: wb.bench(Server(url="http://127.0.0.1:9"), on="auto"),
    ):
        with pytest.raises(InvalidInput, match="a running server stays where it is"):
            say()
    assert main(["bench", "http://h:1", "--on", "ray://head"]) == 2
    assert "a running server stays where it is" in capsys.readouterr().err


def test_another_machines_processor_is_told_and_not_learned_from(tmp_path):
    """What it measured says nothing of this machine's plans."""
    facts = {"processor": "Z80", "cores": 1, "memory": 2**16, "system": "CP/M", "busy": 0.0, "node": "10.0.0.7"}
    measured = replace(
        result(), target=replace(result().target, url="http://10.0.0.7:8000", gpu="cpu"),
        tool=replace(result().tool, machine=facts),
    )  # fmt: skip
    said = " ".join(_whence(measured.target, facts))
    assert "from the server's own node, 10.0.0.7: no network lies in its times, and took some of its processor" in said
    assert "1 cores of Z80; the plan is of this machine's processor" in said
    table = rows.keep([measured], tmp_path)
    with pytest.raises(InvalidInput, match=r"processor of 10\.0\.0\.7 was measured"):
        wb.correct(Benchmark((measured,), folder=tmp_path, table=table))
    (far,) = _whence(replace(measured.target, gpu="L40S"), {"processor": "Z80"})
    assert far == "The load was sent from this machine to 10.0.0.7: the way there and back is in its times."
