"""``workbench adapt``."""

import json

import pytest
from benchmark_results import result

import workbench as wb
from workbench.benchmark.load import LoadLevel, Times
from workbench.cli import main

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture
def files(tmp_path):
    plan = wb.plan(MODEL, "L40S", max_model_len=8192, kv_cache_dtype="auto")
    load = wb.Workload(1024, 256, 32)
    tpot = plan.performance(load).tpot.value
    measured = result(
        level=LoadLevel(load, requests=64),
        completed=64,
        input_tokens=64 * 1024,
        output_tokens=64 * 256,
        tpot=Times(tpot, tpot, 1.2 * tpot, 1.3 * tpot, 1.5 * tpot),
    )
    (tmp_path / "plan.json").write_text(plan.to_json())
    (tmp_path / "load.json").write_text(json.dumps(measured.to_json()))
    return ["--plan", str(tmp_path / "plan.json"), "--result", str(tmp_path / "load.json")], tpot


def test_what_holds_and_what_does_not(files, capsys):
    words, tpot = files
    assert main(["adapt", *words, "--max-tpot", str(1.1 * tpot)]) == 0
    assert "stay as it is" in capsys.readouterr().out
    assert main(["adapt", *words, "--max-tpot", str(0.8 * tpot), "--json"]) == 0
    step = json.loads(capsys.readouterr().out)
    assert step["change"]["quantization"] == "fp8"
    assert step["corrections"]["tpot"] == pytest.approx(1.0)
    # Of 95 % of the requests it does not hold what it holds on average.
    assert main(["adapt", *words, "--max-tpot", str(1.1 * tpot), "--percentile", "95"]) == 0
    assert "quantization fp8" in capsys.readouterr().out
    assert main(["adapt", *words, "--max-tpot", "0.001"]) == 1


def test_bad_input(files, tmp_path, capsys):
    words, _ = files
    assert main(["adapt", *words]) == 2
    assert "say what is asked" in capsys.readouterr().err
    (tmp_path / "load.json").write_text("{}")
    assert main(["adapt", *words, "--max-tpot", "1"]) == 2
    assert "not the result of a benchmark" in capsys.readouterr().err
