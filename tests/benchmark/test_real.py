"""Real engines under load at length; the short form is beside the other tests of the one vLLM that they share."""

import json
from pathlib import Path

import pytest

import workbench as wb
from workbench import builtin
from workbench.benchmark import rows
from workbench.cli import main
from workbench.serving import Client

START = 300.0


@pytest.mark.environment
@pytest.mark.soak
def test_the_times_are_those_that_the_engine_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """vLLM's own histograms over the same requests; then its rows are what constants are learned from."""
    plan = wb.plan("builtin", gpu="cpu", enforce_eager=True, max_model_len=512, kv_cache_memory_bytes=256 * 2**20)
    load = wb.Workload(64, 32)
    with wb.serve(plan) as server, Client(server.wait_ready(START).url) as client:
        wb.bench(server, workload=load, concurrency=2, requests=16)
        before = client.metrics().histograms
        found = wb.bench(server, workload=load, concurrency=8, requests=64, warmups=0)
        after = client.metrics().histograms
        asked_first = 1  # the one answer that is asked for before the load
        engine = {name: after[name].since(before.get(name)) for name in ("ttft", "latency")}
        (result,) = found.results
        assert engine["ttft"].count == 64 + asked_first
        assert engine["ttft"].mean <= result.ttft.mean < 2 * engine["ttft"].mean + 0.05
        assert engine["latency"].mean <= result.e2e.mean < 1.3 * engine["latency"].mean + 0.05
        swept = wb.bench(
            server, workload=load, concurrency=[1, 2, 4, 8, 16, 32], sweep=True, out=tmp_path,
            slo=wb.ServiceLevel(ttft=20.0, tpot=2.0, percentile=95),
        )  # fmt: skip
        assert swept.within is not None
        rates = [each.output_tokens_per_s for each in swept.results]
        assert max(rates) > rates[0]
        strict = wb.bench(server, workload=load, concurrency=[1, 2], sweep=True, slo=wb.ServiceLevel(tpot=1e-5))
        assert (strict.within, strict.ok, len(strict.results)) == (None, False, 1)
        arriving = wb.bench(server, workload=load, request_rate=2.0, requests=30).results[0]
        assert arriving.requests_per_s == pytest.approx(2.0, rel=0.15)
        cached = wb.bench(server, workload=wb.Workload(256, 8, prefix_hit=0.75), concurrency=4, requests=32).results[0]
        block = server.report.block_size
        assert block is not None
        whole = 192 // block * block / 256  # only whole blocks are found again, and not by the first request
        assert cached.served.prefix_hit == pytest.approx(whole * 31 / 32, abs=0.05)
    table = swept.table
    assert table == tmp_path / rows.TABLE
    assert len(table.read_text().splitlines()) == 1 + len(swept.results)
    assert main(["validate", "latency", str(table), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["covered"] == checked["rows"] == len(swept.results)
    assert main(["calibrate", "latency", str(table), "--json"]) == 0
    learned = json.loads(capsys.readouterr().out)
    assert learned["errors"]["tpot"]["n"] == len(swept.results)
    assert learned["errors"]["tpot"]["median"] <= checked["quantities"]["tpot"]["median"]


@pytest.mark.environment
@pytest.mark.soak
def test_engines_by_formats_on_the_builtin_model(tmp_path: Path) -> None:
    """Started one after the other, the same load on each; a folder that is no model fails and hides nothing."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "llama"}))
    contenders = [("vllm", None), ("vllm", "fp8_dynamic"), ("llama.cpp", "Q4_K_M"), ("vllm", broken)]
    found = wb.experiment(
        "builtin", contenders, folder=tmp_path / "kept", workload=wb.Workload(64, 16), concurrency=2, requests=16,
        fields={"vllm": {"enforce_eager": True, "max_model_len": 512, "kv_cache_memory_bytes": 2**28}},
    )  # fmt: skip
    table = found.frame().set_index("contender")
    done = table[table["outcome"] == "done"]
    assert set(done.index) == {"vllm", "vllm fp8_dynamic", "llama.cpp Q4_K_M"}
    assert table.loc["vllm broken", "reason"]
    assert (done["output_tokens_per_s"] > 0).all()
    assert done["output_tokens_per_s"].is_monotonic_decreasing
    assert (done["memory"] > 50 * 2**20).all()
    assert done.loc["llama.cpp Q4_K_M", "disk"] < done.loc["vllm fp8_dynamic", "disk"] < done.loc["vllm", "disk"]
    assert done.loc["vllm fp8_dynamic", "kl_divergence"] < done.loc["llama.cpp Q4_K_M", "kl_divergence"]
    assert set(found.winners) >= {"output_tokens_per_s", "ttft", "tpot", "memory", "disk", "kl_divergence"}
    for entry in found.entries:
        if entry.result is not None:
            assert entry.result.short == 0
            assert entry.result.osl == pytest.approx(16, rel=0.1)
    assert main(["validate", "latency", str(tmp_path / "kept" / rows.TABLE), "--models",
                 str(tmp_path / "kept" / "models"), "--json"]) == 0  # fmt: skip
    assert builtin.folder().is_dir()
