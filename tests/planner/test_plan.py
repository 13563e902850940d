"""Plans: the verdicts everybody must get right, reasons, fixes that really fix, files that read back."""

import json

import pytest

import workbench as wb
from workbench.errors import InvalidInput, UnknownName
from workbench.hardware import custom_gpu
from workbench.planner import Plan

SEVENTY = "meta-llama/Llama-3.1-70B-Instruct"


def test_llama_70b_needs_four_l40s():
    assert wb.plan(SEVENTY, "L40S", tensor_parallel_size=2, max_model_len=8192).verdict == "oom_loading"
    assert wb.plan(SEVENTY, "L40S", tensor_parallel_size=4, max_model_len=8192).fits


def test_without_a_length_the_models_own_is_taken_and_too_long():
    plan = wb.plan(SEVENTY, "L40S", tensor_parallel_size=4)
    assert plan.verdict == "max_model_len_too_large"
    longest = next(f["change"]["max_model_len"] for f in plan.fixes if set(f["change"]) == {"max_model_len"})
    assert wb.plan(SEVENTY, "L40S", tensor_parallel_size=4, max_model_len=longest).fits
    assert f"{131072:,}" in plan.reasons[0]


def test_awq_70b_on_one_l40s():
    plan = wb.plan(
        "meta-llama/Meta-Llama-3-70B-Instruct",
        "L40S",
        quantization="awq",
        gpu_memory_utilization=0.85,
        max_model_len=4096,
    )
    assert plan.verdict == "no_kv_cache"
    assert plan.fixes


def test_llama_8b_fits_one_l40s():
    assert wb.plan("meta-llama/Llama-3.1-8B-Instruct", "L40S", max_model_len=8192).fits


@pytest.mark.parametrize(
    "fields",
    [
        {"tensor_parallel_size": 2, "max_model_len": 8192},
        {"tensor_parallel_size": 4},
        {"tensor_parallel_size": 3},
        {"quantization": "awq", "gpu_memory_utilization": 0.85, "max_model_len": 4096},
        {"tensor_parallel_size": 4, "max_model_len": 200_000},
    ],
)
def test_every_fix_fixes(fields):
    plan = wb.plan(SEVENTY, "L40S", **fields)
    assert not plan.fits
    assert 1 <= len(plan.fixes) <= 3
    for fix in plan.fixes:
        again = wb.plan(SEVENTY, **{"gpu": "L40S", **fields, **fix["change"]})
        assert again.fits, fix
        assert fix["usd_per_hour"] == pytest.approx(again.usd_per_hour.value)
    prices = [fix["usd_per_hour"] for fix in plan.fixes if fix["usd_per_hour"] is not None]
    assert prices == sorted(prices)


@pytest.mark.parametrize(
    ("card", "fields", "says"),
    [
        ("P100 16GB PCIe", {}, "7.0"),
        ("T4", {"quantization": "fp8", "kv_cache_dtype": "fp8_e5m2"}, "fp8_e5m2"),
        ("L40S", {"tensor_parallel_size": 3}, "32 attention heads"),
        ("L40S", {"pipeline_parallel_size": 64}, "32 layers"),
    ],
)
def test_what_the_engine_refuses_is_said(card, fields, says):
    plan = wb.plan("meta-llama/Llama-3.1-8B-Instruct", card, max_model_len=2048, **fields)
    assert plan.verdict == "unsupported"
    assert says in plan.reasons[0]


def test_block_scales_must_divide_under_tensor_parallelism():
    """1536 / 8 = 192 is no multiple of 128: vLLM refuses Qwen3-235B-FP8 at TP 8 without expert parallelism."""
    model = "Qwen/Qwen3-235B-A22B-FP8"
    plan = wb.plan(model, "H200", tensor_parallel_size=8, max_model_len=8192)
    assert plan.verdict == "unsupported"
    assert "128" in plan.reasons[0]
    assert wb.plan(model, "H200", tensor_parallel_size=8, enable_expert_parallel=True, max_model_len=8192).fits


@pytest.mark.parametrize(
    "fields",
    [
        {"tensor_parallel_size": 0},
        {"tensor_parallel_size": 1.5},
        {"tensor_parallel_size": True},
        {"max_model_len": -1},
        {"gpu_memory_utilization": 1.2},
        {"gpu_memory_utilization": 0},
        {"gpu_memory_utilization": float("nan")},
        {"kv_cache_dtype": "int2"},
        {"quantization": "awk"},
        {"dtype": "fp4"},
        {"engine_version": "latest"},
        {"engine": "triton"},
        {"max_model_length": 5},
        {"max_model_len": [1, 2]},
        {"workload": {"isl": 0}},
        {"workload": {"islands": 3}},
    ],
)
def test_bad_values_are_named(fields):
    named = "|".join([*fields, *fields.get("workload", {})])
    with pytest.raises(InvalidInput, match=named):
        wb.plan("meta-llama/Llama-3.1-8B-Instruct", "L40S", **fields)


def test_an_unknown_card_is_named():
    with pytest.raises(UnknownName, match="L40S"):
        wb.plan("meta-llama/Llama-3.1-8B-Instruct", "L40SS")


def test_a_plan_reads_back(tmp_path):
    plan = wb.plan(SEVENTY, "L40S", tensor_parallel_size=4, max_model_len=8192, workload=wb.Workload(2000, 100, 4))
    plan.to_json(tmp_path / "plan.json")
    again = Plan.read(tmp_path / "plan.json")
    assert again.to_dict() == plan.to_dict()


def test_a_plan_for_ones_own_card_reads_back(tmp_path):
    mine = custom_gpu("My card", memory_gib=47.4, bandwidth_gb_s=1008, fp16_tflops=165.2, usd_per_hour=0.7)
    plan = wb.plan("meta-llama/Llama-3.1-8B-Instruct", mine, max_model_len=8192)
    assert plan.fits
    plan.to_json(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json").to_dict() == plan.to_dict()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 1, "model": "x"}'])
def test_a_broken_plan_file_is_refused(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InvalidInput):
        Plan.read(tmp_path / "plan.json")


def test_the_json_schema():
    data = json.loads(wb.plan("meta-llama/Llama-3.1-8B-Instruct", "L40S", max_model_len=8192).to_json())
    assert data["schema_version"] == 1
    memory = {"capacity", "requested", "weights", "activation_peak", "non_torch", "cuda_graphs", "kv_cache"}
    assert memory | {"kv_bytes_per_token", "kv_cache_tokens", "max_concurrency"} == set(data["memory"])
    for name in ("ttft", "tpot", "output_tokens_per_s", "usd_per_million_tokens"):
        assert set(data["performance"][name]) == {"value", "low", "high", "basis"}
    load = data["workload"]
    assert (load["isl"], load["osl"], load["concurrency"], load["request_rate"]) == (1024, 256, 16, None)
    for name in ("ttft_p95", "tpot_p95", "itl_p50", "itl_p99"):
        assert data["performance"][name]["value"] > 0


def test_an_ambiguous_card_is_remarked():
    plan = wb.plan("meta-llama/Llama-3.1-8B-Instruct", "H100", max_model_len=8192)
    assert any("could mean" in reason for reason in plan.reasons)
