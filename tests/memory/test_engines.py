"""The ledgers of SGLang, TensorRT-LLM, TGI and transformers: against what users' logs show, and as arithmetic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.choices import Choices
from workbench.deployment import ENGINES
from workbench.engines.registry import REGISTRY
from workbench.memory.registry import REGISTRY as MEMORIES
from workbench.planner.evaluate import evaluate
from workbench.quantities import GIB

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
SEVENTY = "meta-llama/Llama-3.1-70B-Instruct"
POOLS = ("sglang", "tensorrt-llm", "tgi")


def test_every_engine_has_a_ledger_and_a_room():
    assert set(ENGINES) == set(REGISTRY) == set(MEMORIES)


def test_a_log_of_sglang():
    """Qwen3-235B-FP8 on 4 x H100: 8.23 GiB of keys and as much of values, 367,404 tokens (vllm-project/vllm#21348)."""
    plan = wb.plan(
        "Qwen/Qwen3-235B-A22B-FP8",
        "H100 SXM",
        engine="sglang",
        engine_version="0.5.4",
        tensor_parallel_size=4,
        mem_fraction_static=0.93,
        max_model_len=32768,
    )
    assert plan.memory.kv_cache.value == pytest.approx(16.46 * GIB, rel=0.02)
    assert plan.memory.kv_cache_tokens.contains(367_404)


def test_a_log_of_tensorrt_llm():
    """Llama-3.1-8B FP8 on an H100: weights 8.46 GB, 52.51 GiB of cache, 860,320 tokens (NVIDIA/TensorRT-LLM#6294)."""
    plan = wb.plan(
        LLAMA,
        "H100 SXM",
        engine="tensorrt-llm",
        quantization="fp8_block",
        kv_cache_dtype="fp8",
        max_num_seqs=4096,
        max_num_batched_tokens=23552,
        free_gpu_memory_fraction=0.8,
        max_model_len=157,
    )
    assert plan.memory.weights.value == pytest.approx(8.46 * GIB, rel=0.01)
    assert plan.memory.kv_cache.value == pytest.approx(52.51 * GIB, rel=0.02)
    assert plan.memory.kv_cache_tokens.contains(860_320)


def test_the_latent_is_on_every_gpu():
    """SGLang held 2,454,421 tokens of Kimi K2.5 in 160.63 GiB on each of 8 GPUs, which is 70,272 bytes a token."""
    model = wb.Model.from_config(
        {
            "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 64,
            "num_key_value_heads": 64, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048,
            "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 1,
            "vocab_size": 163840, "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
        },
        id="latent",
    )  # fmt: skip
    plan = wb.plan(model, "B300 SXM", engine="sglang", tensor_parallel_size=8, max_model_len=8192)
    assert plan.memory.kv_bytes_per_token == pytest.approx(70_272, rel=1e-4)


@given(
    engine=st.sampled_from(POOLS),
    tp=st.sampled_from([1, 2, 4, 8]),
    length=st.integers(16, 131072),
    seqs=st.integers(1, 1024),
)
@settings(max_examples=60, deadline=None)
def test_what_is_left_becomes_tokens(engine, tp, length, seqs):
    plan = wb.plan(LLAMA, "H100 SXM", engine=engine, tensor_parallel_size=tp, max_model_len=length, max_num_seqs=seqs)
    m = plan.memory
    assert m.weights.value + m.kv_cache.value < m.capacity
    if m.kv_cache_tokens.value > 0:
        assert m.kv_cache_tokens.value * 131072 / tp == pytest.approx(m.kv_cache.value, rel=0.001)
        assert m.kv_bytes_per_token * m.kv_cache_tokens.value == pytest.approx(m.kv_cache.value)
    assert m.kv_cache_tokens.low <= m.kv_cache_tokens.value <= m.kv_cache_tokens.high
    assert plan.fits == (m.max_concurrency.value >= 1)


@pytest.mark.parametrize(
    ("engine", "field"),
    [("sglang", "mem_fraction_static"), ("tensorrt-llm", "free_gpu_memory_fraction"), ("tgi", "cuda_memory_fraction")],
)
def test_a_larger_share_means_a_larger_cache(engine, field):
    caches = [
        wb.plan(LLAMA, "L40S", engine=engine, max_model_len=8192, **{field: share}).memory.kv_cache.value
        for share in (0.6, 0.7, 0.8, 0.9)
    ]
    assert caches == sorted(caches)
    assert len(set(caches)) == 4


def test_sglangs_share_by_hand():
    """An H100 keeps 512 + 1.5 x 8192 + 128 + 2 x 256 + 8 x 58 MiB back."""
    plan = wb.plan(LLAMA, "H100 SXM", engine="sglang", max_model_len=8192)
    capacity, idle = plan.memory.capacity, plan._part.ledger.idle[0]
    share = round((capacity - 13904 * 2**20) / capacity, 3)
    assert plan.memory.requested == pytest.approx((capacity - idle) * share)


def test_windows_have_a_pool_of_their_own_in_sglang():
    """gpt-oss: 12 full layers and 12 with a window, whose pool holds 0.8 tokens for each of the full ones."""
    plan = wb.plan("openai/gpt-oss-20b", "H100 SXM", engine="sglang", max_model_len=8192)
    each = 8 * 64 * 2 * 2
    assert plan.memory.kv_bytes_per_token == pytest.approx(12 * each * 1.8, rel=1e-4)


def test_transformers_needs_the_whole_batch():
    one = wb.plan(LLAMA, "L40S", engine="transformers", max_model_len=4096)
    many = wb.plan(LLAMA, "L40S", engine="transformers", max_model_len=4096, max_num_seqs=8)
    assert one.memory.weights.value == 2 * one.model.parameters
    layer = 131072 / 32
    assert one.memory.kv_cache.value == pytest.approx(4096 * (131072 + layer))
    assert many.memory.kv_cache.value == pytest.approx(8 * one.memory.kv_cache.value)
    assert one.memory.kv_cache_tokens.value == 4096


def test_transformers_turns_gguf_files_back_into_floats():
    plan = wb.plan(LLAMA, "L40S", engine="transformers", quantization="q4_k_m", max_model_len=4096)
    assert plan.memory.weights.value == 2 * plan.model.parameters


def test_layers_are_spread_over_cards():
    plan = wb.plan(SEVENTY, "H100 SXM", engine="transformers", pipeline_parallel_size=2, max_model_len=4096)
    assert plan.fits
    assert plan.memory.weights.value == pytest.approx(plan.model.parameters, rel=0.02)


@pytest.mark.parametrize(
    ("engine", "fields", "says"),
    [
        ("tgi", {"quantization": "q4_k_m"}, "Q4_K_M"),
        ("tensorrt-llm", {"quantization": "gptq"}, "GPTQ"),
        ("sglang", {"gpu_memory_utilization": 0.8}, "mem_fraction_static"),
        ("tgi", {"gpu_memory_utilization": 0.8}, "cuda_memory_fraction"),
        ("tensorrt-llm", {"n_gpu_layers": 3}, "n_gpu_layers"),
        ("vllm", {"mem_fraction_static": 0.8}, "gpu_memory_utilization"),
        ("sglang", {"kv_cache_dtype": "q8_0"}, "q8_0"),
        ("sglang", {"tensor_parallel_size": 3}, "32 attention heads"),
        ("tgi", {"pipeline_parallel_size": 2}, "pipeline_parallel_size"),
        ("sglang", {"enable_lora": True}, "enable_lora"),
    ],
)
def test_what_an_engine_has_not_is_refused_with_the_reason(engine, fields, says):
    plan = wb.plan(LLAMA, "H100 SXM", engine=engine, max_model_len=4096, **fields)
    assert plan.verdict == "unsupported"
    assert says in plan.reasons[0]


@pytest.mark.parametrize(
    ("model", "card", "engine"),
    [
        (LLAMA, "cpu", "sglang"),
        (LLAMA, "cpu", "tgi"),
        (LLAMA, "cpu", "tensorrt-llm"),
        (LLAMA, "MI300X", "tensorrt-llm"),
    ],
)
def test_where_an_engine_does_not_run(model, card, engine):
    assert wb.plan(model, card, engine=engine, max_model_len=4096).verdict == "unsupported"


def test_a_field_of_one_engine_does_not_spoil_a_grid():
    table = wb.search(LLAMA, "L40S", engine=["vllm", "sglang"], gpu_memory_utilization=[None, 0.8], max_model_len=8192)
    assert table.attrs["evaluated"] == 4
    assert table.attrs["rejected"] == {"unsupported": 1}
    assert sorted(table["engine"]) == ["sglang", "vllm", "vllm"]


def test_a_grid_over_engines_is_made_of_plans():
    table = wb.search(LLAMA, ["L40S", "H100 SXM"], engine=list(ENGINES), max_model_len=[8192, 131072], max_num_seqs=8)
    assert table.attrs["evaluated"] == 24
    assert set(table["engine"]) == set(ENGINES)
    for _, row in table.iterrows():
        fields = {"engine": row["engine"], "max_model_len": int(row["max_model_len"]), "max_num_seqs": 8}
        plan = wb.plan(LLAMA, row["gpu"], **fields)
        assert plan.fits
        assert plan.memory.kv_cache_tokens.value == row["kv_cache_tokens"]
        assert plan.performance().tpot.value == pytest.approx(row["tpot"])
    # Constants of their own: vLLM and llama.cpp everywhere, SGLang and TensorRT-LLM on Hopper and Blackwell.
    basis = {(row["engine"], row["gpu"]): row["basis"] for _, row in table.iterrows()}
    assert {basis[engine, "H100 SXM5"] for engine in ("vllm", "llama.cpp", "sglang", "tensorrt-llm")} == {"calibrated"}
    assert {basis[engine, "L40S"] for engine in ("sglang", "tensorrt-llm", "tgi", "transformers")} == {"roofline"}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_bundled_model_is_sized_or_refused(engine):
    for name in wb.models().index:
        plan = wb.plan(name, "H200", engine=engine, max_model_len=1024)
        if plan.memory is None:
            assert plan.verdict == "unsupported"
            assert plan.reasons[0]
        else:
            assert np.isfinite(plan.memory.kv_cache.value)
            assert plan.memory.weights.value > 0


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "vllm"])
def test_every_fix_fixes(engine):
    scheme = {"quantization": "q4_k_m"} if engine == "llama.cpp" else {}
    plan = wb.plan(SEVENTY, "RTX 4090", engine=engine, max_model_len=8192, **scheme)
    assert not plan.fits
    for fix in plan.fixes:
        again = {"gpu": "RTX 4090", "engine": engine, "max_model_len": 8192, **scheme, **fix["change"]}
        assert wb.plan(SEVENTY, **again).fits


def test_a_plan_of_another_engine_reads_back(tmp_path):
    plan = wb.plan(LLAMA, "L40S", engine="llama.cpp", quantization="q4_k_m", max_model_len=8192, n_gpu_layers=20)
    plan.to_json(tmp_path / "plan.json")
    assert wb.Plan.read(tmp_path / "plan.json").to_dict() == plan.to_dict()
    assert plan.to_dict()["engine"] == "llama.cpp"


def test_other_processes_count():
    for engine in ENGINES:
        scheme = {"quantization": "q4_k_m"} if engine == "llama.cpp" else {}
        free = wb.plan(LLAMA, "L40S", engine=engine, max_model_len=4096, **scheme)
        shared = wb.plan(LLAMA, "L40S", engine=engine, max_model_len=4096, memory_in_use=20 * GIB, **scheme)
        assert shared._part.ledger.idle[0] >= free._part.ledger.idle[0] + 20 * GIB


def test_a_grid_is_one_pass():
    grid = {"engine": "sglang", "gpu": "H100 SXM", "max_model_len": [1024 * i for i in range(1, 33)]}
    found = evaluate(Choices(wb.Model.from_config(LLAMA), grid))
    assert len(found.parts) == 1
    assert (found.verdict == "starts").all()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_figure_says_where_it_comes_from(engine):
    scheme = {"quantization": "q4_k_m"} if engine == "llama.cpp" else {}
    plan = wb.plan(LLAMA, "L40S", engine=engine, max_model_len=8192, **scheme)
    said = plan.explanations
    shown = {"weights", "activation_peak", "non_torch", "cuda_graphs", "kv_cache"}
    assert {name for name in shown if getattr(plan.memory, name).value} <= set(said)
    assert all(text.endswith(".") for text in said.values())


def test_layers_left_on_the_host_are_said():
    fields = {"engine": "llama.cpp", "quantization": "q4_k_m", "max_model_len": 8192}
    plan = wb.plan(LLAMA, "RTX 4090", n_gpu_layers=20, **fields)
    assert any("13 of 33 layers" in reason for reason in plan.reasons)
    assert not any("host memory" in reason for reason in wb.plan(LLAMA, "RTX 4090", **fields).reasons)


def test_an_engine_that_starts_with_less_says_so():
    plan = wb.plan(SEVENTY, "H100 SXM", engine="sglang", tensor_parallel_size=2, mem_fraction_static=0.9)
    assert plan.verdict == "max_model_len_too_large"
    assert any("starts all the same" in reason for reason in plan.reasons)


def test_transformers_keeps_a_window_less_one_token():
    """transformers 5.17, two requests of 200 tokens, window 64: 63 tokens kept in six layers, all in the seventh."""
    config = {
        "model_type": "gemma3_text", "hidden_size": 128, "num_hidden_layers": 7, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 32, "intermediate_size": 256, "vocab_size": 1000, "sliding_window": 64,
        "sliding_window_pattern": 6, "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
    }  # fmt: skip
    model = wb.Model.from_config(config, id="windows")
    plan = wb.plan(model, "L40S", engine="transformers", max_model_len=200, max_num_seqs=2)
    each = 2 * 2 * 32 * 2 * 2
    assert plan.memory.kv_cache.value == each * (6 * 63 + 200 + 200)


def test_an_engine_that_loads_the_scheme_is_offered():
    plan = wb.plan(LLAMA, "L40S", quantization="q4_k_m", max_model_len=8192)
    assert plan.verdict == "unsupported"
    change = next(fix["change"] for fix in plan.fixes if fix["change"].get("engine") == "llama.cpp")
    again = wb.plan(LLAMA, "L40S", **{"quantization": "q4_k_m", "max_model_len": 8192, **change})
    assert again.fits
    assert again.command.startswith("llama-server")


def test_what_an_engine_has_not_can_be_left_out():
    plan = wb.plan(LLAMA, "L40S", engine="sglang", gpu_memory_utilization=0.8, n_gpu_layers=3, max_model_len=8192)
    assert plan.verdict == "unsupported"
    assert plan.fixes[0]["change"] == {"gpu_memory_utilization": None, "n_gpu_layers": None}
