"""AWQ: 4-bit weights, scaled so that the channels that matter lose least; by AutoAWQ.

References
----------
Lin et al., "AWQ: Activation-aware Weight Quantization", MLSys 2024. AutoAWQ 0.2.9: ``AwqConfig`` and
``BaseAWQForCausalLM.quantize`` name and document the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput
from workbench.headers import Tensor
from workbench.quality.torch_model import TorchModel, placed
from workbench.quantizers.preflight import misfits, quantised
from workbench.quantizers.registry import Method, Parameter
from workbench.quantizers.source import Source


def _packable(parameters: Mapping[str, Any]) -> None:
    if not parameters["zero_point"]:
        raise InvalidInput("zero_point must be true: AutoAWQ's GEMM and GEMV layouts always store zero points")


def _against(source: Source, parameters: Mapping[str, Any]) -> list[str]:
    block = 64 if parameters["apply_clip"] else 8
    return misfits(quantised(source, parameters), 0, block, "outputs", "AutoAWQ's block of")


def _remarks(parameters: Mapping[str, Any]) -> list[str]:
    if parameters["version"] == "GEMM":
        return []
    return [f"vLLM does not read version {parameters['version']}; leave it at GEMM to serve the result with vLLM"]


def _working(layer: Sequence[Tensor], tokens: int) -> int:
    """AutoAWQ keeps the inputs of all of a layer's matrices."""
    return 2 * tokens * sum(t.shape[1] for t in layer)


METHOD = Method(
    id="awq",
    title="AWQ, 4-bit weights",
    library="autoawq 0.2.9",
    scheme="awq",
    quality="awq",
    engines=("vllm", "vllm-cpu", "sglang", "transformers"),
    capability=(7, 5),
    native=(7, 5),
    together=_packable,
    drops_long=True,
    against=_against,
    remarks=_remarks,
    working=_working,
    samples="max_calib_samples",
    length="max_calib_seq_len",
    note="AutoAWQ is archived upstream: no new architectures will come. vLLM reads version GEMM only.",
    parameters=(
        Parameter("zero_point", True, "Asymmetric quantisation with a zero point a group.", bool),
        Parameter("q_group_size", 128, "Inputs that share a scale; must divide every layer's inputs.", int,
                  choices=(32, 64, 128)),
        Parameter("w_bit", 4, "Bits of a weight; AutoAWQ packs 4 only.", int, choices=(4,)),
        Parameter("version", "GEMM", "Layout of the packed weights; vLLM reads GEMM.", str, choices=("GEMM", "GEMV")),
        Parameter("modules_to_not_convert", None, "Modules left in 16 bit, by a part of their name.", list,
                  optional=True),
        Parameter("max_calib_samples", 128, "Calibration texts used.", int, low=1, high=100_000),
        Parameter("max_calib_seq_len", 512, "Tokens of a calibration block; longer texts are dropped.", int,
                  low=8, high=131_072),
        Parameter("duo_scaling", True, "Search scales from activations and weights, not activations alone.", bool),
        Parameter("apply_clip", True, "Search a clipping range for the weights.", bool),
        Parameter("n_parallel_calib_samples", None, "Samples in memory at once; none means all.", int,
                  low=1, high=100_000, optional=True),
        Parameter("max_chunk_memory", 2**30, "Memory of one chunk of the loss [bytes].", int, low=2**20, high=2**40),
    ),
    # Those of AutoAWQ's AWQ_CAUSAL_LM_MODEL_MAP that go through under transformers 5.17, each tried on a small
    # random model. The rest fail: fused experts (mixtral, qwen3_moe), renamed modules (falcon, mpt, opt, bloom …),
    # scaled activations (starcoder2, gpt_neox).
    model_types=frozenset(
        {"cohere", "gemma", "gemma2", "llama", "mistral", "phi3", "qwen2", "qwen3", "stablelm"}
    ),
)  # fmt: skip


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment)."""
    from awq import AutoAWQForCausalLM
    from transformers import AutoTokenizer

    from workbench.quantizers.following import follow_tqdm

    model = AutoAWQForCausalLM.from_pretrained(
        str(source), trust_remote_code=False, device_map="cpu", low_cpu_mem_usage=True, use_cache=False
    )
    config = {
        "zero_point": parameters["zero_point"],
        "q_group_size": parameters["q_group_size"],
        "w_bit": parameters["w_bit"],
        "version": parameters["version"],
        "modules_to_not_convert": parameters["modules_to_not_convert"],
    }
    passed = ("duo_scaling", "apply_clip", "n_parallel_calib_samples", "max_calib_samples", "max_calib_seq_len",
              "max_chunk_memory")  # fmt: skip

    def watch(bar: str, done: int, total: int, seconds_left: float | None) -> None:
        if bar.startswith("AWQ"):
            tell(done / total, "quantising", f"layer {done} of {total}", seconds_left=seconds_left)

    with follow_tqdm(watch):
        model.quantize(
            AutoTokenizer.from_pretrained(source),
            quant_config=config,
            calib_data=samples,
            quantizer_cls=_quantizer(),
            **{name: parameters[name] for name in passed},
        )
    tell(1.0, "saving")
    model.model.config.use_cache = True  # switched off above for the calibration alone
    model.save_quantized(str(out))


def _quantizer() -> type:
    """AutoAWQ's quantiser, mended for weights that lie in the CPU's memory.

    It keeps a layer's weights with ``.cpu()`` while it tries scales on them in place. From a GPU that copies; on
    the CPU it is the same tensor, so the first trial's scaling stays in the weights (held-out perplexity of the
    built-in model 246 instead of 208, before any rounding).
    """
    from awq.quantize.quantizer import AwqQuantizer

    class Quantizer(AwqQuantizer):  # type: ignore[misc]
        def _compute_best_scale(self, x: Any, w_mean: Any, x_mean: Any, module: Any, *rest: Any) -> Any:
            kept = module.state_dict
            module.state_dict = lambda: {
                name: tensor.clone() if tensor.device.type == "cpu" else tensor for name, tensor in kept().items()
            }
            try:
                return super()._compute_best_scale(x, w_mean, x_mean, module, *rest)
            finally:
                del module.state_dict

    return Quantizer


def load(folder: Path, dtype: str) -> TorchModel:
    """The quantised model with its weights widened again: what the packed numbers mean, on any processor."""
    import json

    from awq.utils.packing_utils import dequantize_gemm
    from safetensors import safe_open
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    config = AutoConfig.from_pretrained(folder)
    del config.quantization_config
    tensors: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            tensors.update({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
    bits, group = fields["bits"], fields["group_size"]
    widen: Callable[..., Any] = dequantize_gemm if fields["version"] == "gemm" else _dequantize_gemv
    for name in [n.removesuffix(".qweight") for n in tensors if n.endswith(".qweight")]:
        packed = [tensors.pop(f"{name}.{part}") for part in ("qweight", "qzeros", "scales")]
        tensors[f"{name}.weight"] = widen(*packed, bits, group).T.contiguous()
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    model.tie_weights()
    tied = set(getattr(model, "_tied_weights_keys", None) or ()) if config.tie_word_embeddings else set()
    if unexpected or set(missing) - tied:
        raise RuntimeError(f"the saved checkpoint lacks {missing} or holds {unexpected}")
    return placed(model, runs_in="")


def _dequantize_gemv(qweight: Any, qzeros: Any, scales: Any, bits: int, group: int) -> Any:
    """Weights of the GEMV layout, inputs × outputs: eight 4-bit numbers in an int32, low bits first, by rows."""
    import torch

    shifts = torch.arange(0, 32, bits)
    mask = 2**bits - 1
    weight = ((qweight[:, :, None] >> shifts) & mask).flatten(1)
    zeros = ((qzeros[:, :, None] >> shifts) & mask).flatten(1)
    groups = weight.shape[1] // group
    scale = scales[:, :groups].repeat_interleave(group, 1)
    return ((weight - zeros[:, :groups].repeat_interleave(group, 1)) * scale).T
