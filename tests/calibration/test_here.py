"""An engine is calibrated on this machine: loads not learned from lie within the intervals that come of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from benchmark_rows import measured

import workbench as wb
from workbench.calibration.here import learn_here
from workbench.cli import main
from workbench.errors import InvalidInput
from workbench.evidence import latency
from workbench.evidence.rows import Models
from workbench.hardware import gpu
from workbench.performance import here
from workbench.performance.constants import Overheads, overheads

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "own"))
    return tmp_path / "own"


def truth() -> Overheads:
    """An engine on a machine whose host and memory are slow."""
    return replace(overheads("vllm", gpu("H100 SXM")), step=3e-3, ttft=150e-3, gemm=1.25)


def rows(noise: float = 0.0, seed: int = 0) -> list[dict[str, str]]:
    dice = np.random.default_rng(seed)
    found = [row for row in measured(truth()) if row["config"] == MODEL]
    for row in found:
        for name in ("ttft_ms", "tpot_ms"):
            row[name] = f"{float(row[name]) * np.exp(noise * dice.normal()):.6g}"
    return found


def planned(row: dict[str, str]):
    case = latency.case(row, Models())
    return latency.fitting(case).performance(wb.Workload(int(row["isl"]), int(row["osl"]), int(row["concurrency"])))


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_load_not_learned_from_lies_within(noise, own):
    missed, before = 0, 0
    for seed in range(4 if noise else 1):
        loads = rows(noise, seed)
        unseen = loads.pop(3 + seed % 4)
        before += not planned(unseen).tpot.contains(float(unseen["tpot_ms"]) / 1e3)
        found = learn_here(loads)
        assert found.after["tpot"] < found.before["tpot"]
        here.keep(found.here)
        speed = planned(unseen)
        assert speed.tpot.basis == "measured here"
        missed += not speed.tpot.contains(float(unseen["tpot_ms"]) / 1e3)
        here.forget("vllm", gpu("H100 SXM").name)
    assert missed <= 1
    assert before > missed  # the table alone did not hold it


def test_it_is_certain_only_of_what_was_measured(own):
    assert wb.plan(MODEL, "H100 SXM").performance().tpot.basis == "calibrated"
    here.keep(learn_here(rows()).here)
    assert sorted(path.name for path in own.iterdir()) == ["performance.csv"]
    for version in (
        {"engine_version": "0.19.1"},
        {},
    ):  # a fix changes nothing, and what is not stated is what runs here
        speed = wb.plan(MODEL, "H100 SXM", **version).performance().tpot
        assert speed.basis == "measured here"
    general = wb.plan(MODEL, "L40S", engine_version="0.19.0").performance().tpot
    assert general.basis != "measured here"
    for other in (
        wb.plan(MODEL, "H100 SXM", engine_version="0.25.1"),
        wb.plan("Qwen/Qwen3-30B-A3B", "H100 SXM", engine_version="0.19.0"),
    ):
        found = other.performance().tpot
        assert found.basis == "calibrated"
        assert found.high / found.value > speed.high / speed.value
    assert here.forget("vllm", gpu("H100 SXM").name)
    assert not here.forget("vllm", gpu("H100 SXM").name)
    assert wb.plan(MODEL, "H100 SXM").performance().tpot.basis == "calibrated"


def test_what_cannot_be_learned_from_is_told(own):
    with pytest.raises(InvalidInput, match="2 of 2 loads can be planned; at least 3"):
        learn_here(rows()[:2])
    mixed = rows()
    mixed[0] = {**mixed[0], "gpu": "L40S"}
    with pytest.raises(InvalidInput, match="several cards"):
        learn_here(mixed)
    own.mkdir()
    (own / "performance.csv").write_text("engine,gpu\nvllm,H100 SXM\n")
    with pytest.raises(InvalidInput, match=r"damaged .* remove it and calibrate again"):
        wb.plan(MODEL, "H100 SXM").performance()


def test_from_the_command_line(own, tmp_path, capsys):
    loads = rows(0.03)
    file = tmp_path / "serving_latency.csv"
    file.write_text("\n".join([",".join(loads[0]), *(",".join(row.values()) for row in loads)]) + "\n")
    assert main(["calibrate", "here", str(file), "--dry-run"]) == 0
    assert "nothing was kept" in capsys.readouterr().out
    assert not own.exists()
    assert main(["calibrate", "here", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == str(own / "performance.csv")
    assert found["rows"] == 8
    assert found["row"]["basis"] == "measured here"
    assert wb.plan(MODEL, "H100 SXM", engine_version="0.19.0").performance().tpot.basis == "measured here"


@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.timeout(3600)
def test_of_a_real_engine_a_load_not_learned_from_lies_within(own, tmp_path):
    """vLLM on the processor, the built-in model: planned by orders of magnitude, then from six loads measured here."""
    plan = wb.plan("builtin", gpu="cpu", enforce_eager=True, max_model_len=512, kv_cache_memory_bytes=256 * 2**20)
    kept, inside, found = tmp_path / "kept", [], []
    with wb.serve(plan) as server:
        server.wait_ready(600)
        for isl, osl, concurrency in ((64, 32, 1), (64, 32, 4), (128, 16, 2), (32, 64, 8), (256, 32, 4), (64, 16, 16)):
            load = wb.Workload(isl, osl, concurrency)
            wb.bench(server, workload=load, concurrency=concurrency, requests=max(16, 3 * concurrency), out=kept)
        here.keep(learn_here(kept / "serving_latency.csv").here)
        for isl, osl, concurrency in ((96, 32, 2), (48, 48, 6), (128, 32, 3), (200, 24, 2), (64, 48, 12)) * 2:
            load = wb.Workload(isl, osl, concurrency)
            (result,) = wb.bench(server, workload=load, concurrency=concurrency, requests=24).results
            planned = plan.performance(result.level.planned()).tpot
            assert planned.basis == "measured here"
            inside.append(planned.contains(result.tpot.mean))
            found.append((load, planned.value, result.tpot.mean))
    assert sum(inside) >= 8, found
