"""What the methods of llm-compressor share: parameters, one call of ``oneshot``, progress out of its bars.

References
----------
llm-compressor 0.14: ``entrypoints/oneshot.py``, ``modifiers/quantization/quantization/mixin.py``, ``observers/`` and
``modeling/moe/linearize.py``; compressed-tensors 0.19: ``quantization/quant_scheme.py`` (the presets).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.quality.torch_model import TorchModel, placed
from workbench.quantizers.registry import Parameter
from workbench.quantizers.source import Source

LIBRARY = "llmcompressor 0.14.0.1"
#: What it writes is read as compressed-tensors.
ENGINES = ("vllm", "sglang")
#: A scale is stored in the model's own 16-bit float.
SCALE_BITS = 16
IGNORE = Parameter("ignore", ["lm_head"], "Modules left in 16 bit, by name or re:pattern.", list)
SAMPLES, LENGTH = "num_calibration_samples", "max_seq_length"
CALIBRATION = (
    Parameter(SAMPLES, 512, "Calibration texts used.", int, low=1, high=100_000),
    Parameter(LENGTH, 2048, "Tokens of a calibration text; longer ones are cut.", int, low=8, high=131_072),
    Parameter("moe_calibrate_all_experts", True, "Show every expert of a mixture every token, not only its own.", bool),
)
WEIGHT_OBSERVER = Parameter(
    "weight_observer", "memoryless_minmax", "How a weight's range is found: its extremes, or the least squared error.",
    str, choices=("memoryless_minmax", "memoryless_mse"),
)  # fmt: skip
INPUT_OBSERVER = Parameter(
    "input_observer", "static_minmax",
    "How the range of activations is found: extremes over all texts, a moving average of them, or the least squared "
    "error.",
    str, choices=("static_minmax", "minmax", "mse"),
)  # fmt: skip

DAMPENING = Parameter(
    "dampening_frac", 0.01, "Part of the Hessian's mean diagonal added to it.", float, low=1e-6, high=1.0
)
BLOCK_SIZE = Parameter("block_size", 128, "Columns made up for at once.", int, low=8, high=65_536)
GROUP_SIZE = Parameter(
    "group_size", 128, "Inputs that share a scale; -1 is one scale a channel.", int, choices=(-1, 32, 64, 128)
)
SYMMETRIC = Parameter("symmetric", True, "Symmetric quantisation, without zero points.", bool)


def rounding(parameters: Mapping[str, Any], **scheme: Any) -> Any:
    """Rounding to the nearest value, with the ignored modules and the observers that the method lets one choose.

    Parameters
    ----------
    parameters : mapping
        The method's.
    **scheme
        Arguments of the modifier: ``config_groups``, or ``scheme`` and ``targets``.

    Returns
    -------
    llmcompressor.modifiers.quantization.QuantizationModifier
    """
    from llmcompressor.modifiers.quantization import QuantizationModifier

    chosen = {p.name: parameters[p.name] for p in (WEIGHT_OBSERVER, INPUT_OBSERVER) if p.name in parameters}
    return QuantizationModifier(ignore=parameters["ignore"], **chosen, **scheme)


def preset(scheme: str, parameters: Mapping[str, Any], **more: Any) -> Any:
    """:func:`rounding` in one of the library's presets, ``compressed_tensors.quantization.PRESET_SCHEMES``."""
    return rounding(parameters, targets="Linear", scheme=scheme, **more)


def by_preset(scheme: str) -> Callable[..., None]:
    """A method's ``quantize`` that rounds in one of the library's presets, with calibration text where it is given."""

    def quantize(
        source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
    ) -> None:
        oneshot(source, out, preset(scheme, parameters), tell, samples, parameters)

    return quantize


def integer_groups(bits: int, group_size: int, symmetric: bool) -> dict[str, Any]:
    """``config_groups`` of integer weights: scales by group, or by channel where ``group_size`` is not above 0."""
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    by_group = {"strategy": "group", "group_size": group_size} if group_size > 0 else {"strategy": "channel"}
    weights = QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, **by_group)
    return {"group_0": QuantizationScheme(targets=["Linear"], weights=weights)}


def lost_zeros(source: Source, parameters: Mapping[str, Any]) -> list[str]:
    """A method's ``against``: experts with zero points cannot be read back, and so not be measured.

    transformers 5.17 takes packed experts apart without their zero points
    (``integrations/compressed_tensors.py``, ``DecompressExperts``).
    """
    symmetric = parameters.get("symmetric", parameters.get("sym"))
    if symmetric is not False or not any(".experts." in t.name for t in source.linears):
        return []
    name = "symmetric" if "symmetric" in parameters else "sym"
    return [f"transformers 5.17 cannot read experts with zero points back to measure them; set {name}=true"]


#: Bars of the end, and of a stretch of the model: which part of the way they stand for.
_LAST = {"Compressing model": (0.9, 0.98), "Writing model shards": (0.98, 1.0)}
_STRETCH = {"Calibrating": (0.0, 0.25), "Smoothing": (0.25, 0.5), "Propagating": (0.5, 1.0)}


class _Bars:
    """How far llm-compressor is, by the bars it draws.

    Each modifier that needs text fills a cache, then goes through the model stretch by stretch: "(2/5): Calibrating",
    where AWQ also searches ("Smoothing"), and "(2/5): Propagating". At the end the model is compressed and written.

    Parameters
    ----------
    tell : callable
        Takes progress.
    passes : int
        Modifiers that need text.
    """

    def __init__(self, tell: Callable[..., None], passes: int) -> None:
        self.tell, self.passes = tell, passes
        self.done, self.at, self.of = 0, 0, 1

    def watch(self, bar: str, done: int, total: int, seconds_left: float | None) -> None:
        """See :func:`workbench.quantizers.following.follow_tqdm`."""
        stretch = re.match(r"\((\d+)/(\d+)\): ", bar)
        if bar.startswith("Preparing cache"):
            if self.at:  # the modifier before has gone through
                self.done, self.at = self.done + 1, 0
            self._tell(0.05 * done / total, "preparing cache", f"{done} of {total}")
        elif stretch:
            self.at, self.of = int(stretch[1]), int(stretch[2])
        word = bar.rpartition(" ")[2].rstrip(":")
        if word in _STRETCH and self.at:
            begin, end = _STRETCH[word]
            inside = begin + (end - begin) * done / total
            self._tell(0.05 + 0.95 * (self.at - 1 + inside) / self.of, "quantising", f"part {self.at} of {self.of}")
        for beginning, (begin, end) in _LAST.items():
            if bar.startswith(beginning):
                self.tell(begin + (end - begin) * done / total, beginning.lower(), f"{done} of {total}")

    def _tell(self, inside: float, stage: str, detail: str) -> None:
        self.tell(0.9 * (min(self.done, self.passes - 1) + inside) / self.passes, stage, detail)


def oneshot(
    source: Path,
    out: Path,
    recipe: Any,
    tell: Callable[..., None],
    samples: list[list[int]] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Run llm-compressor's ``oneshot`` on a local folder (inside the environment).

    Parameters
    ----------
    recipe : llmcompressor.modifiers.Modifier or list of them
        What to do.
    samples : list of list of int, optional
        Token ids of the calibration texts.
    parameters : mapping, optional
        The method's, of which those of :data:`CALIBRATION` are read where there are samples.

    Notes
    -----
    transformers 5 holds the experts of a mixture in one tensor; ``oneshot`` takes them apart into linear modules,
    without which none of them would be quantised. (``load_quantizable_moe`` does that while loading, but it looks into
    every module of transformers, some of which need torchvision.)
    """
    from llmcompressor import oneshot as run
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from workbench.quantizers.following import follow_tqdm

    model = AutoModelForCausalLM.from_pretrained(source, dtype="auto", trust_remote_code=False)
    extra: dict[str, Any] = {}
    if samples:
        assert parameters is not None
        from datasets import Dataset

        columns = {"input_ids": samples, "attention_mask": [[1] * len(ids) for ids in samples]}
        extra = {
            "dataset": Dataset.from_dict(columns),
            "num_calibration_samples": len(samples),
            "max_seq_length": parameters[LENGTH],
            "moe_calibrate_all_experts": parameters["moe_calibrate_all_experts"],
            "shuffle_calibration_samples": False,
        }

    modifiers = recipe if isinstance(recipe, list) else [recipe]
    bars = _Bars(tell, sum(modifier.requires_calibration_data for modifier in modifiers) or 1)
    with follow_tqdm(bars.watch):
        run(
            model=model,
            tokenizer=AutoTokenizer.from_pretrained(source),
            recipe=recipe,
            output_dir=str(out),
            **extra,
        )


def load(folder: Path, dtype: str) -> TorchModel:
    """A checkpoint of 4-bit floats to be asked, as :func:`workbench.quality.torch_model.load` loads others.

    compressed-tensors widens these weights to bfloat16 whatever the float of the model, which cannot multiply with it
    then; so they are widened at once, and all is brought to one float.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, trust_remote_code=False)
    model.hf_quantizer.compressor.decompress_model(model)
    return placed(model.to(getattr(torch, dtype)))
