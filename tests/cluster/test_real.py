"""Real quantisers and a real vLLM on the nodes: the same result as here, and nothing lost or half-written."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from waiting import until

import workbench as wb
from workbench import builtin, headers
from workbench.cli import main
from workbench.cluster import Cluster
from workbench.jobs import JobCancelled, JobFailed

FEW = {"num_calibration_samples": 16, "max_seq_length": 128}


def only(nodes, name: str) -> Cluster:
    return Cluster(nodes.direct, resources={name: 1})


@pytest.mark.environment
def test_two_methods_from_the_command_line_are_tried_side_by_side(nodes, tmp_path, capsys):
    """A node has one processor, so each takes one."""
    builtin.ensure()
    out = tmp_path / "made"
    words = ["quantize", "builtin", "--evaluate-tokens", "0", "--out", str(out), "--no-load", "--json"]
    both = ["--method", "w4a16_rtn", "--method", "fp8_dynamic", "--on", nodes.direct, "--needs", "cpus=1"]
    assert main([*words, *both]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {trial["method"] for trial in told["trials"]} == {"w4a16_rtn", "fp8_dynamic"}  # as they were done
    made = []
    for trial in told["trials"]:
        assert trial["outcome"] == "done"
        folder = out / trial["method"]
        assert trial["result"]["out"] == str(folder)
        assert trial["result"]["bytes_after"] == headers.read(folder).bytes < trial["result"]["bytes_before"]
        made.append(json.loads((folder / "workbench.json").read_text()))
        assert made[-1]["environment"]["versions"]["torch"]
        assert made[-1]["request"]["needs"]["memory"] > 2**30
    assert {one["node"]["address"] for one in made} == {"127.0.0.2", "127.0.0.3"}
    assert max(one["started"] for one in made) < min(one["finished"] for one in made)
    assert sorted(path.name for path in out.iterdir()) == ["fp8_dynamic", "trials.json", "w4a16_rtn"]
    nodes.clean()


@pytest.mark.soak
@pytest.mark.environment
def test_two_at_once_one_cancelled_one_whose_node_dies(nodes, unseen, tmp_path):
    source = unseen / "model"
    shutil.copytree(builtin.ensure(), source)
    began = time.monotonic()
    both = [
        wb.quantize(source, "gptq", unseen / "gptq", evaluate_tokens=0, on=only(nodes, "left"), **FEW),
        wb.quantize(source, "fp8_dynamic", unseen / "fp8", evaluate_tokens=0, on=only(nodes, "right")),
    ]
    spans = {}
    for job in both:
        job.observe(lambda j: spans.setdefault(j.name, {}).setdefault(j.progress.stage, time.monotonic() - began))
    results = [job.wait(600) for job in both]
    assert [r["method"] for r in results] == ["gptq", "fp8_dynamic"]
    for job in both:  # quantised at the same time, and brought here, which the nodes do not see
        assert headers.read(job.out).bytes == job.result["bytes_after"]
        assert (job.out / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
        print(job.name, job.seconds, spans[job.name])
    first, second = (spans[job.name] for job in both)
    stage = "loading the libraries"  # the first that a worker tells
    assert max(first[stage], second[stage]) < min(first["done"], second["done"])

    job = wb.quantize(source, "gptq", unseen / "cancelled", evaluate_tokens=0, on=nodes.address, **FEW)
    until(lambda: job.progress.stage == "quantising", 120)
    asked = time.monotonic()
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(60)
    print("cancelled within", time.monotonic() - asked)
    assert sorted(path.name for path in unseen.iterdir()) == ["fp8", "gptq", "model"]
    nodes.clean(10)

    for name, host in (("doomed", "127.0.0.4"), ("spare", "127.0.0.5")):
        nodes.start(name, host, f"--address={nodes.direct}", either=1)
    nodes.await_node("doomed", "spare")
    on = Cluster(nodes.direct, resources={"either": 1})
    job = wb.quantize(source, "gptq", tmp_path / "retried", evaluate_tokens=0, on=on, **FEW)
    hosts = []
    job.observe(lambda j: hosts.append(j.progress.detail) if j.progress.stage == "starting" else None)
    until(lambda: job.progress.stage == "quantising", 120)
    host = hosts[-1].removeprefix("on ")
    nodes.kill("doomed" if host == "127.0.0.4" else "spare")
    result = job.wait(600)
    made = json.loads((tmp_path / "retried" / "workbench.json").read_text())
    assert {host, made["node"]["address"]} == {"127.0.0.4", "127.0.0.5"}
    assert headers.read(tmp_path / "retried").bytes == result["bytes_after"]
    assert f"node {host} was lost" in job.log()

    once = Cluster(nodes.direct, resources={"either": 1}, retries=0)
    job = wb.quantize(source, "gptq", tmp_path / "lost", evaluate_tokens=0, on=once, **FEW)
    until(lambda: job.progress.stage == "quantising", 120)
    nodes.kill("spare" if host == "127.0.0.4" else "doomed")
    with pytest.raises(JobFailed, match=r"was lost: .*; nothing was kept"):
        job.wait(120)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["retried"]
    until(lambda: not nodes.running(), 30)
    for name in ("doomed", "spare"):
        nodes.members.pop(name).terminate(1)


@pytest.mark.soak
@pytest.mark.environment
def test_a_real_vllm_passes_the_smoke_test(nodes, unseen):
    source = unseen / "model"
    shutil.copytree(builtin.ensure(), source)
    plan = wb.plan(source, gpu="cpu", max_model_len=1000, kv_cache_memory_bytes=2**28, enforce_eager=True)
    with wb.serve(plan, on=only(nodes, "right")) as server:
        server.wait_ready(400)
        assert server.url.startswith("http://127.0.0.3:")
        assert server.version
        assert server.report.kv_cache_tokens
        smoke = server.smoke()
        assert smoke.ok, str(smoke)
        print(server.url, server.ready_seconds, smoke)
    nodes.clean()


@pytest.mark.soak
@pytest.mark.environment
def test_two_engines_are_measured_side_by_side(nodes, tmp_path):
    """A node has one processor, so each contender has one to itself; what is quantised is fetched and sent again."""
    stages = []
    found = wb.experiment(
        "builtin", [("vllm", None), ("vllm", "fp8_dynamic")], folder=tmp_path / "kept", workload=wb.Workload(64, 16),
        concurrency=2, requests=16, on=nodes.address, tell=lambda progress: stages.append(progress.stage),
        fields={"vllm": {"enforce_eager": True, "max_model_len": 512, "kv_cache_memory_bytes": 2**28}},
    )  # fmt: skip
    assert found.ok, [entry.reason for entry in found.entries]
    by = {entry.contender.label: entry for entry in found.entries}
    assert {by[label].result.tool.machine["node"] for label in by} == {"127.0.0.2", "127.0.0.3"}
    for entry in found.entries:
        assert (entry.result.completed, entry.result.short) == (16, 0)
        assert f"http://{entry.result.tool.machine['node']}:" in entry.result.target.url
        assert entry.memory is None  # nobody looked there, so nothing is said
    assert by["vllm fp8_dynamic"].disk < by["vllm"].disk
    labels = [stage.partition(":")[0] for stage in stages]
    last = {label: len(labels) - 1 - labels[::-1].index(label) for label in by}
    assert max(labels.index(label) for label in by) < min(last.values())  # the one had begun before the other ended
    nodes.clean()


@pytest.mark.soak
@pytest.mark.environment
def test_a_real_vllm_is_measured_from_the_command_line(nodes, tmp_path, capsys):
    words = ["bench", "builtin", "--on", nodes.address, "--needs", "right=1", "--isl", "64", "--osl", "16", "--json"]
    flags = ["--max-model-len", "512", "--kv-cache-memory-bytes", str(2**28), "--enforce-eager"]
    load = ["--concurrency", "1", "2", "--requests", "16", "--out", str(tmp_path / "kept")]
    assert main([*words, *flags, *load]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["completed"] for each in found["results"]] == [16, 16]
    assert {each["tool"]["machine"]["node"] for each in found["results"]} == {"127.0.0.3"}
    assert any("from the server's own node, 127.0.0.3" in line for line in found["sentences"])
    assert found["planned"]
    assert len((tmp_path / "kept" / "serving_latency.csv").read_text().splitlines()) == 3
    nodes.clean()
