"""Other families than Llama, tiny and random, quantised and loaded in vLLM: Qwen3, Mistral, a mixture of experts."""

import json
import shutil
from pathlib import Path

import pytest
from quantizing import FEW, answers
from tiny_checkpoints import llama_shapes, write_random

import workbench as wb
from workbench import builtin, headers
from workbench.errors import UnsupportedModel
from workbench.jobs import JobFailed
from workbench.quantizers.source import read

pytestmark = [pytest.mark.soak, pytest.mark.environment, pytest.mark.timeout(3600)]

QWEN3 = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 10240,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "dtype": "bfloat16",
}
MISTRAL = QWEN3 | {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": None}
MIXTURE = QWEN3 | {
    "model_type": "qwen3_moe",
    "architectures": ["Qwen3MoeForCausalLM"],
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 256,
    "decoder_sparse_step": 1,
    "norm_topk_prob": True,
    "mlp_only_layers": [],
}


def shapes(config):
    """Tensors of these two, as they are published: experts one by one."""
    found = llama_shapes(vocabulary=config["vocab_size"])
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found[f"{at}.post_attention_layernorm.weight"] = (256,)
        if config["model_type"].startswith("qwen3"):
            found |= {f"{at}.self_attn.{part}_norm.weight": (64,) for part in ("q", "k")}
        if "num_experts" in config:
            for name in [n for n in found if n.startswith(f"{at}.mlp")]:
                del found[name]
            found[f"{at}.mlp.gate.weight"] = (config["num_experts"], 256)
            for expert in range(config["num_experts"]):
                mlp = f"{at}.mlp.experts.{expert}"
                found |= {f"{mlp}.{part}_proj.weight": (256, 256) for part in ("gate", "up", "down")}
    return found


@pytest.fixture
def source(request, tmp_path):
    folder = write_random(tmp_path / "source", request.param, shapes(request.param))
    for file in builtin.ensure().glob("*"):
        if file.name.startswith(("tokenizer", "chat_template", "generation")):
            shutil.copy(file, folder)
    return folder


@pytest.mark.parametrize("source", [QWEN3, MIXTURE], ids=["qwen3", "mixture"], indirect=True)
@pytest.mark.parametrize(
    ("method", "parameters"),
    [("awq_w4a16", FEW | {"n_grid": 4}), ("gptq", FEW), ("fp8_dynamic", {})],
    ids=["awq", "gptq", "fp8"],
)
def test_a_family_goes_through(source, method, parameters, tmp_path, request):
    out = tmp_path / "out"
    if method == "awq_w4a16" and "mixture" in request.node.name:
        with pytest.raises(UnsupportedModel, match="experts with zero points"):
            wb.quantize(source, method=method, out=out, **parameters)
        parameters = parameters | {"symmetric": True}
    result = wb.quantize(source, method=method, out=out, evaluate_tokens=512, **parameters).wait(3000)
    assert result["bytes_estimated"] == result["bytes_after"]
    assert result["bits_estimated"] == pytest.approx(result["bits_per_weight"])
    beside = headers.compare(wb.Model.from_config(out), None, headers.read(out))
    assert beside.estimated == beside.stored == result["bytes_after"]
    kept = {t.name: t.dtype for t in read(source).tensors if t.dtype == "BF16" and "gate.weight" in t.name}
    after = {t.name: t.dtype for t in headers.read(out).tensors}
    assert {name: after[name] for name in kept} == kept  # routers stay as they are
    assert not [name for name in after if name.endswith("_proj.weight") and after[name] == "BF16"]
    assert result["kl_divergence"] < 0.3
    if "num_experts" not in json.loads((out / "config.json").read_text()):
        assert answers(out)
        return
    # vLLM 0.32's CPU kernels for quantised experts need AMX tiles (layers/fused_moe/experts/cpu_moe.py,
    # _supports_current_device), and of FP8 they take blocks only.
    if "amx_tile" in Path("/proc/cpuinfo").read_text() and method != "fp8_dynamic":
        assert answers(out)
        return
    with pytest.raises(JobFailed, match="MoE backend"):
        answers(out)


@pytest.mark.parametrize("source", [QWEN3, MISTRAL], ids=["qwen3", "mistral"], indirect=True)
def test_autoawq_goes_through_on_two_more_families(source, tmp_path):
    few = {"q_group_size": 64, "max_calib_samples": 8, "max_calib_seq_len": 64}
    result = wb.quantize(source, method="awq", out=tmp_path / "out", evaluate_tokens=512, **few).wait(3000)
    assert result["bytes_estimated"] == result["bytes_after"]
    assert result["kl_divergence"] < 0.3
    assert answers(tmp_path / "out")
