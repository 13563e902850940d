"""Planned beside reported, from logs of our own in vLLM's formats; the real vLLM is in ``tests/serving``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.cli import main
from workbench.comparison import COLUMNS, Comparison
from workbench.engines.vllm.logs import MemoryReport, read_log
from workbench.errors import InvalidInput
from workbench.evidence.drift import drift
from workbench.quantities import GIB, Estimate
from workbench.serving import SmokeResult
from workbench.ui import ComparisonPanel

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


def log_of(plan: wb.Plan, *, kv_factor: float = 1.0) -> str:
    """What a vLLM would print for which the plan is right, or wrong by a factor in its cache."""
    memory = plan.memory
    assert memory is not None
    length = plan.deployment.max_model_len
    tokens = int(memory.kv_cache_tokens.value * kv_factor)
    kv = memory.kv_cache.value * kv_factor
    return "\n".join(
        [
            f"INFO [model_runner.py:425] Model loading took {memory.weights.value / GIB:.2f} GiB memory and 5 seconds",
            f"INFO [gpu_worker.py:760] Available KV cache memory: {kv / GIB:.2f} GiB",
            f"INFO [kv_cache_utils.py:2327] GPU KV cache size: {tokens:,} tokens, Maximum concurrency for {length:,} "
            f"tokens per request: {tokens / (length or 1):.2f}x",
        ]
    )


@pytest.fixture
def plan() -> wb.Plan:
    return wb.plan(MODEL, gpu="L40S", max_model_len=8192)


def test_a_plan_that_is_right_is_inside_everywhere(plan: wb.Plan) -> None:
    table = wb.compare(plan, read_log(log_of(plan).splitlines()))
    assert tuple(table.columns) == COLUMNS
    assert table["inside"].all()
    assert set(table["quantity"]) == {"weights_bytes", "kv_cache_bytes", "kv_cache_tokens", "max_concurrency"}
    assert table.attrs["missing"] == ["activation_peak_bytes", "non_torch_bytes", "cuda_graphs_bytes"]
    assert table["error"].abs().max() < 0.01


def test_a_release_that_drifts_is_warned_of(plan: wb.Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = "INFO 11-20 10:00:00 [api_server.py:1] vLLM API server version 0.19.0\n"
    unknown = known.replace("0.19.0", "9.1.0")
    right = log_of(plan)
    # The tokens of a cache that is too small follow from it: one witness, which may be chance …
    wrong = log_of(plan, kv_factor=0.4)
    for log, warned in ((right, False), (known + wrong, False), (unknown + right, False), (unknown + wrong, True)):
        table = wb.compare(plan, read_log(log.splitlines()))
        assert bool(table.attrs["drift"]) is warned, log
    assert "vLLM 9.1.0 is newer than the constants here, and KV cache lies outside" in table.attrs["drift"]
    # … and of a release that is known, three of five are none.
    inside = {
        "weights_bytes": False,
        "activation_peak_bytes": False,
        "kv_cache_bytes": False,
        "tpot": True,
        "ttft": True,
    }
    assert "by chance in 0.9% of runs" in drift("vllm", "0.19.0", inside)
    (tmp_path / "plan.json").write_text(plan.to_json())
    (tmp_path / "log").write_text(unknown + wrong)
    assert main(["compare", "--plan", str(tmp_path / "plan.json"), "--log", str(tmp_path / "log")]) == 1
    assert "is newer than the constants here" in capsys.readouterr().out
    panel = ComparisonPanel(plan, read_log((unknown + wrong).splitlines()))
    assert "9.1.0" in panel.drift


def test_a_plan_that_is_wrong_is_outside_and_the_error_has_a_sign(plan: wb.Plan) -> None:
    rows = wb.compare(plan, read_log(log_of(plan, kv_factor=0.4).splitlines())).set_index("quantity")
    assert not rows.loc["kv_cache_tokens", "inside"]
    assert rows.loc["kv_cache_tokens", "error"] == pytest.approx(1.5, abs=0.01)  # planned 2.5 times what there is
    assert rows.loc["weights_bytes", "inside"]


def test_speed_comes_from_the_smoke_test_and_prefers_the_engines_own_times(plan: wb.Plan) -> None:
    smoke = SmokeResult(
        "http://127.0.0.1:1",
        ttft=0.5,
        tpot=0.001,
        engine_tpot=0.02,
        tokens_per_s=30.0,
        prompt_tokens=10,
        completion_tokens=64,
    )
    report = read_log(log_of(plan).splitlines())
    rows = wb.compare(plan, report, smoke).set_index("quantity")
    assert (rows.loc["ttft", "reported"], rows.loc["tpot", "reported"]) == (0.5, 0.02)
    speed = plan.performance(wb.Workload(isl=10, osl=64, concurrency=1))
    assert speed is not None
    assert rows.loc["tpot", "planned"] == speed.tpot.value
    assert rows.loc["output_tokens_per_s", "source"] == "smoke test"
    unmeasured = wb.compare(plan, report, SmokeResult("http://127.0.0.1:1"))
    assert "ttft" not in set(unmeasured["quantity"])


def test_an_engine_that_has_said_nothing_cannot_be_compared(plan: wb.Plan) -> None:
    with pytest.raises(InvalidInput, match="wait until it is ready"):
        wb.compare(plan, MemoryReport(version="0.33.0"))


def test_a_plan_without_a_ledger_cannot_be_compared(plan: wb.Plan) -> None:
    empty = wb.plan(MODEL, gpu="L40S", tensor_parallel_size=7)
    assert empty.verdict == "unsupported"
    with pytest.raises(InvalidInput, match="does not divide"):
        wb.compare(empty, read_log(log_of(plan).splitlines()))


@given(
    value=st.floats(0, 1e12),
    below=st.floats(0, 1e11),
    above=st.floats(0, 1e11),
    reported=st.floats(0, 2e12),
    tolerance=st.floats(0, 1e7),
)
def test_error_and_inside(value: float, below: float, above: float, reported: float, tolerance: float) -> None:
    planned = Estimate(value, max(value - below, 0.0), value + above, "calibrated")
    row = Comparison("kv_cache_bytes", "B", planned, reported, "engine", tolerance)
    if reported > 0:
        assert row.error == pytest.approx(value / reported - 1, rel=1e-9, abs=1e-9)
    else:
        assert row.error == 0 if value == 0 else math.isnan(row.error)
    assert row.inside or not planned.contains(reported)
    if row.inside:
        assert planned.low - tolerance <= reported <= planned.high + tolerance
    assert tuple(row.row()) == COLUMNS


def test_the_command_line_reads_a_log_and_says_no_when_the_plan_was_wrong(
    plan: wb.Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    plan.to_json(file)
    right, wrong = tmp_path / "right.log", tmp_path / "wrong.log"
    right.write_text(log_of(plan))
    wrong.write_text(log_of(plan, kv_factor=0.4))
    words = ["compare", "--plan", str(file), "--log"]
    assert main([*words, str(right)]) == 0
    assert "kv cache tokens" in capsys.readouterr().out
    assert main([*words, str(wrong), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["quantity"] for row in rows if not row["inside"]] == [
        "kv_cache_bytes",
        "kv_cache_tokens",
        "max_concurrency",
    ]
    assert main([*words, str(tmp_path / "none.log")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main(["compare", "--log", str(right)]) == 2
    assert main([*words, str(right), "--url", "http://127.0.0.1:1"]) == 2
