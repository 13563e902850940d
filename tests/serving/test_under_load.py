"""The shared vLLM under load: what comes back agrees with the engine's own counts and is read as a measurement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workbench as wb
from workbench.benchmark import rows
from workbench.benchmark.load import LoadResult
from workbench.cli import main
from workbench.serving import Server


@pytest.mark.environment
def test_a_real_vllm_is_measured_and_its_row_is_read(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages: list[str] = []
    made = wb.bench(
        server, workload=wb.Workload(64, 16), concurrency=4, requests=16, out=tmp_path,
        tell=lambda progress: stages.append(progress.stage),
    )  # fmt: skip
    (found,) = made.results
    assert LoadResult.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert (found.completed, found.failed, found.short) == (16, 0, 0)
    assert found.output_tokens == 16 * 16
    assert found.input_tokens == pytest.approx(16 * 64, rel=0.1)
    assert found.tpot is not None
    assert 0 < found.tpot.mean < found.e2e.mean
    assert found.ttft.mean < found.e2e.mean
    assert found.served is not None
    assert found.served.generated == 16 * 16  # by the engine's own count: nothing but the load
    assert found.served.kv_cache_usage is not None
    assert 0 < found.served.kv_cache_usage < 1
    assert (found.served.preemptions, found.served.prefix_hit) == (0, pytest.approx(0.0, abs=0.1))
    assert (found.target.engine, found.target.gpu) == ("vllm", "cpu")
    assert found.target.engine_version == server.version
    assert {each.quantity for each in made.planned} >= {"ttft", "tpot", "output_tokens_per_s"}
    assert {"asking the server", "load of 4 at a time"} <= set(stages)
    assert made.table == tmp_path / rows.TABLE
    words = ["validate", "latency", str(made.table), "--models", str(tmp_path / rows.MODELS), "--json"]
    assert main(words) == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["rows"], checked["covered"], checked["refused"]) == (1, 1, [])
    assert set(checked["quantities"]) == {"ttft", "tpot"}
