"""A map of the methods: what each stores, needs, runs on, was measured to lose and could gain, a row a method.

A table over what the other rooms know: bits and engines from ``formats`` and ``quantizers``, losses from measurements,
speed as a bound from the roofline. Which method suits a card says :func:`workbench.trials.which_method`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.architecture import Model
from workbench.choices import Setup
from workbench.datafiles import read_rows
from workbench.errors import InvalidInput
from workbench.formats import SCHEMES, Scheme, stored_bytes
from workbench.formats.scheme import LINEAR
from workbench.hardware import GPU
from workbench.performance.kernels import multiplied_as
from workbench.planner import plan
from workbench.quantizers import Method
from workbench.trials import losses
from workbench.trials.bounds import bounds, in_format
from workbench.trials.choice import Choice, every, read
from workbench.trials.record import Trials

if TYPE_CHECKING:
    import pandas as pd

#: The row that everything is held against.
BASE = "bf16"
#: What a file of llama.cpp can have besides those that are always tried.
MORE = ("gguf:type=Q6_K", "gguf:type=Q5_K_M", "gguf:type=Q4_0", "gguf:type=Q3_K_M", "gguf:type=Q2_K")
#: How a method stores activations; 16 bit where none is named.
ACTIVATIONS: Mapping[str, str] = {
    "bnb_int8": "INT8 a token, outliers 16 bit",
    "fp8_block": "FP8 in groups of 128",
    "fp8_dynamic": "FP8 a token",
    "fp8_kv": "FP8 a token",
    "fp8_static": "FP8, scale found before",
    "gguf": "8-bit blocks, inside the kernel",
    "mxfp4": "FP4 in blocks of 32",
    "nvfp4": "FP4 in blocks of 16",
    "torchao_int8:quant_type=Int8DynamicActivationInt8WeightConfig": "INT8 a token",
    "w8a8": "INT8 a token",
}
#: Bytes of a cached value, and its word, where a method changes it.
_CACHE: Mapping[str, tuple[float, str]] = {"fp8_kv": (1.0, "FP8")}
#: Kernel (``performance/kernels.py``) -> the unit that multiplies; the others widen weights and multiply in 16 bit.
_UNITS = {
    "bf16": "16 bit", "fp8": "FP8", "fp8_block": "FP8", "int8": "INT8", "nvfp4": "FP4", "mxfp4_fp8": "FP8",
}  # fmt: skip
SIXTEEN = "16 bit"
_WIDENED = "16 bit, weights widened"
COLUMNS = (
    "choice", "title", "weights", "activations", "kv_cache", "bits_linear", "bits_whole", "bytes",
    "calibration_tokens", "needs_gpu", "engines", "from_capability", "native_from", "multiplies_in",
    "kl_divergence", "top1_agreement", "change", "change_low", "change_high", "seconds", "measured_on", "published",
    "decode_alone", "decode", "prefill", "note",
)  # fmt: skip


def methods_map(
    model: Model | str | Path | Mapping[str, Any] = "meta-llama/Llama-3.1-8B-Instruct",
    gpu: str = "H100 SXM",
    *,
    concurrency: int = 32,
    context: int = 1024,
    prompt: int = 2048,
    choices: str | Iterable[str | Choice] = "all",
    trials: Trials | None = None,
    **deployment: Any,
) -> pd.DataFrame:
    """Methods and formats side by side, for a model on a card.

    Parameters
    ----------
    model : Model, str, Path or mapping
        As :func:`workbench.plan` takes it, in 16 bit. Sizes and bounds are this model's; losses are not.
    gpu : str
        The card whose roofline bounds the speed.
    concurrency, context : int
        Requests in a step of decoding; tokens cached of each.
    prompt : int
        Tokens of the prompt that prefill reads.
    choices : str or sequence
        "all", or methods as ``"gguf:type=Q4_0"``.
    trials : Trials, optional
        One's own measurements, which come before ours.
    **deployment
        Further fields of the plan: ``tensor_parallel_size`` …

    Returns
    -------
    DataFrame
        A row a method, the unchanged model first. ``bits_linear``: bits a weight of the layers' matrices, scales
        included; ``bits_whole``: of the whole model, with what stays in 16 bit; ``bytes`` of all weights;
        ``calibration_tokens``: text it reads unless told otherwise; ``needs_gpu``: to be made at all;
        ``from_capability``, ``native_from``: CUDA compute capability from which vLLM loads it and from which the
        card's own unit multiplies it; ``multiplies_in``: on this card, empty where it does not run;
        ``kl_divergence`` [nats a token], ``top1_agreement``, ``change`` of perplexity with its 90 % interval and
        ``seconds`` that quantising took: measured on ``measured_on``; ``published``: what others found on larger
        models; ``decode_alone``, ``decode``, ``prefill``: how many times as fast as 16 bit the roofline allows: a
        bound, not measured. ``attrs`` has what was asked.

    Raises
    ------
    InvalidInput, UnknownName
        For a model that is quantised already, a number below 1, a card or method that there is not.

    Examples
    --------
    >>> table = methods_map(gpu="L40S", choices=["fp8_dynamic", "awq"])
    >>> table["bits_linear"].round(2).to_dict()
    {'bf16': 16.0, 'fp8_dynamic': 8.01, 'awq': 4.16}
    >>> table[["decode_alone", "decode", "prefill"]].round(1).loc["fp8_dynamic"].to_list()
    [1.9, 1.6, 2.0]
    """
    import pandas as pd

    for name, value in (("concurrency", concurrency), ("context", context), ("prompt", prompt)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidInput(f"{name} is {value!r}; a whole number of at least 1 is needed")
    known = model if isinstance(model, Model) else Model.from_config(model)
    base = _setup(known, gpu, deployment)
    chosen = _chosen(choices)
    lost = {**losses.measured(), **(losses.of_trials(trials.rows) if trials else {})}
    load = {"requests": concurrency, "context": context, "prompt": prompt}
    rows = [_as_it_is(base), *(_row(choice, base, load, lost.get(choice.word)) for choice in chosen)]
    table = pd.DataFrame(rows, columns=COLUMNS).set_index("choice")
    table.attrs.update({"model": known.id, "gpu": base.card.name, **load})
    return table


def _chosen(choices: str | Iterable[str | Choice]) -> list[Choice]:
    if choices == "all":
        return list(dict.fromkeys([*every(), *map(Choice.parse, MORE)]))
    return read(choices)


def _setup(model: Model, gpu: str, deployment: Mapping[str, Any]) -> Setup:
    """The model on the card in 16 bit; whether it fits does not matter here."""
    made = plan(model, gpu=gpu, **deployment)
    if made.setup is None:
        raise InvalidInput(made.reasons[0])
    if made.setup.scheme.quantized:
        raise InvalidInput(f"{model.id} is quantised to {made.setup.scheme.title}; the map begins at 16 bit")
    return made.setup


def _as_it_is(base: Setup) -> dict[str, Any]:
    return {
        "choice": BASE,
        "title": "As it is published, 16 bit",
        "weights": "16 bit",
        "activations": "16 bit",
        "kv_cache": "16 bit",
        **_sizes(base.model, base.scheme, base.float_bytes),
        "calibration_tokens": 0,
        "needs_gpu": False,
        "engines": "all",
        "from_capability": "",
        "native_from": "",
        "multiplies_in": "16 bit",
        "kl_divergence": 0.0,
        "top1_agreement": 1.0,
        "change": 0.0,
        "change_low": 0.0,
        "change_high": 0.0,
        "seconds": 0.0,
        "measured_on": "by definition",
        "published": "",
        "decode_alone": 1.0,
        "decode": 1.0,
        "prefill": 1.0,
        "note": "",
    }


def _row(choice: Choice, base: Setup, load: Mapping[str, int], lost: losses.Loss | None) -> dict[str, Any]:
    how, scheme = choice.how, scheme_of(choice)
    cache = _CACHE.get(choice.method)
    changed = in_format(base, scheme, cache[0] if cache else None)
    unit = unit_on(base.card, how, changed.scheme)
    found = bounds(base, changed, **load) if unit else None
    return {
        "choice": choice.word,
        "title": choice.title,
        "weights": _stored(scheme, how),
        "activations": activations_of(choice),
        "kv_cache": cache[1] if cache else "16 bit",
        **_sizes(base.model, changed.scheme, base.float_bytes),
        "calibration_tokens": _tokens(choice),
        "needs_gpu": how.here is not None,
        "engines": ", ".join(name for name in how.engines if name != "vllm-cpu"),
        "from_capability": _version(how.capability),
        "native_from": _version(how.native) if scheme.compute != "bf16" else "",
        "multiplies_in": unit,
        "kl_divergence": lost.kl_divergence if lost else None,
        "top1_agreement": lost.top1_agreement if lost else None,
        "change": lost.change if lost else None,
        "change_low": lost.low if lost else None,
        "change_high": lost.high if lost else None,
        "seconds": lost.seconds if lost else None,
        "measured_on": lost.model if lost else "",
        "published": _published(how.quality),
        "decode_alone": found.decode_alone if found else None,
        "decode": found.decode if found else None,
        "prefill": found.prefill if found else None,
        "note": how.note,
    }


def scheme_of(choice: Choice) -> Scheme:
    """The scheme that comes out, as it multiplies.

    Two methods may write one format, weights alone or with activations (NVFP4).
    """
    how = choice.how
    scheme = SCHEMES[how.made(choice.parameters_in_full) if how.made else how.scheme]
    activations = activations_of(choice)
    if activations.startswith("INT8"):
        return replace(scheme, compute="int8")
    return scheme if activations != SIXTEEN or not scheme.quantized else replace(scheme, compute="bf16")


def activations_of(choice: Choice) -> str:
    """How activations are stored where a method's matrices multiply.

    >>> activations_of(Choice("w8a8")), activations_of(Choice("awq"))
    ('INT8 a token', '16 bit')
    """
    return ACTIVATIONS.get(choice.word) or ACTIVATIONS.get(choice.method, SIXTEEN)


def unit_on(card: GPU, how: Method, scheme: Scheme) -> str:
    """What multiplies on a card: its own unit for the format, or 16 bit after widening; empty where it does not run.

    >>> from workbench.hardware import gpu
    >>> from workbench.quantizers import find
    >>> names = ("H100 SXM", "A100 80GB SXM", "V100 SXM2 16GB")
    >>> [unit_on(gpu(name), find("fp8_dynamic"), SCHEMES["fp8"]) for name in names]
    ['FP8', '16 bit, weights widened', '']
    """
    if card.compute_capability is not None and card.compute_capability < how.capability:
        return ""
    if scheme.family == "gguf":
        return "INT8, inside the kernel" if "int8" in card.flops else _WIDENED
    stored = scheme.format if scheme.quantized else None
    return _UNITS.get(multiplied_as(scheme, stored, card), _WIDENED)


@lru_cache(maxsize=512)
def _sizes(model: Model, scheme: Scheme, width: float) -> Mapping[str, float]:
    plain = {role: size / 2 for role, size in stored_bytes(model, SCHEMES[BASE], 2.0).items()}
    stored = stored_bytes(model, scheme, width)
    linear = LINEAR & plain.keys()
    return {
        "bits_linear": 8 * sum(stored[role] for role in linear) / sum(plain[role] for role in linear),
        "bits_whole": 8 * sum(stored.values()) / sum(plain.values()),
        "bytes": sum(stored.values()),
    }


def _stored(scheme: Scheme, how: Method) -> str:
    """Format and what shares a scale."""
    if not scheme.quantized:
        return "16 bit, some zero" if how.calibrates else "16 bit"
    if scheme.family == "gguf":
        return scheme.title.removeprefix("GGUF ")
    if scheme.block is not None:
        return f"{scheme.format.id}, blocks of {scheme.block[0]} × {scheme.block[1]}"
    shared = {0: "a scale an output", -1: "blocks of 64" if "nf4" in scheme.id else "a scale a matrix"}
    return f"{scheme.format.id}, {shared.get(scheme.group_size, f'groups of {scheme.group_size}')}"


def _tokens(choice: Choice) -> int:
    """Of calibration text that a method reads unless told otherwise; 0 where it reads none."""
    how, values = choice.how, choice.parameters_in_full
    return int(values[how.samples]) * int(values[how.length]) if how.reads_text(values) else 0


@cache
def _published(quality: str) -> str:
    row = next((row for row in read_rows("quality.csv") if row["kind"] == "weights" and row["id"] == quality), None)
    return f"{row['effect']} ({row['source'].split(':')[0]})" if row else ""


def _version(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability)) if capability[0] else ""
