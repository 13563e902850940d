"""Whether a quantisation can work, before the first byte is written: model, method, memory, disk, target GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput, MissingPart, UnsupportedModel
from workbench.formats.kinds import Format
from workbench.headers import Tensor, role
from workbench.quality.measure import COMPARED
from workbench.quantities import GIB, Estimate, show_bytes
from workbench.quantizers.duration import expected_seconds
from workbench.quantizers.registry import Method
from workbench.quantizers.source import Source

#: Up to this many bytes a model is evaluated in float32; a larger one in its own 16-bit float.
WIDE_UP_TO = 4 * GIB
#: torch, transformers and the quantiser's libraries, loaded.
LIBRARIES = 1 * GIB
#: Disk that stays free besides what is written.
SPARE_DISK = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a quantisation will take.

    Parameters
    ----------
    bytes_before, bytes_after : int
        Tensors now; and estimated, after [bytes].
    bits : float
        Bits of a quantised weight with its scales, estimated.
    memory, disk : int
        Host memory and disk it will need, estimated [bytes].
    notes : tuple of str
        What one should know, without being a reason to stop.
    seconds : Estimate or None
        How long the whole job will take [s], measuring included; None where nobody knows.
    """

    bytes_before: int
    bytes_after: int
    bits: float
    memory: int
    disk: int
    notes: tuple[str, ...] = ()
    seconds: Estimate | None = None


def preflight(
    source: Source,
    method: Method,
    parameters: Mapping[str, Any],
    out: Path,
    gpu: str | None = None,
    evaluate_tokens: int = 0,
    own_text: bool = False,
    elsewhere: bool = False,
) -> Preflight:
    """Check everything that can be known beforehand; every reason against it is in one message.

    Parameters
    ----------
    source : Source
        What is quantised.
    method : Method
        How.
    parameters : mapping
        All of its parameters, as :meth:`Method.check` returns them.
    out : Path
        Where the result goes.
    gpu : str, optional
        The card it will be served on; "cpu" and None ask nothing of it.
    evaluate_tokens : int
        Tokens that are measured before and after.
    own_text : bool
        Whether the calibration text is the user's.
    elsewhere : bool
        Whether another machine does it, whose memory and hardware are not asked here.

    Raises
    ------
    UnsupportedModel
        If the model is quantised already, or the method does not suit it.
    InvalidInput
        If the result would not load on ``gpu``, or the target folder lies inside the source.
    MissingPart
        If memory or disk are too small.
    """
    if not elsewhere and method.here is not None and (reason := method.here()):
        raise MissingPart(f"{method.id} cannot run on this machine: {reason}")
    against = suits_model(source, method, parameters)
    if against:
        raise UnsupportedModel(f"{method.id} does not suit {source.folder.name}: {'; '.join(against)}")
    folder = source.folder.resolve()
    if out.resolve() == folder or folder in out.resolve().parents:
        raise InvalidInput(f"{out} lies inside the checkpoint that is quantised; choose a folder outside it")
    notes = [*suits_gpu(method, gpu), *(method.remarks(parameters) if method.remarks else ())]
    notes += method.about(source, parameters) if method.about else []

    from workbench import machine

    here = machine.describe(out)
    after = bytes_after(source, method, parameters)
    memory = memory_needed(source, method, parameters)
    said = 4 * COMPARED * source.vocabulary  # the original's distributions, while the result is made
    disk = after + said + SPARE_DISK + (method.scratch(source, parameters) if method.scratch else 0)
    short = []
    if not elsewhere and memory > here.memory_available:
        short.append(f"about {show_bytes(memory)} of memory, {show_bytes(here.memory_available)} are free")
    if disk > here.disk_free:
        short.append(f"{show_bytes(disk)} of disk, {show_bytes(here.disk_free)} are free at {here.disk_path}")
    if short:
        raise MissingPart(f"quantising {source.folder.name} needs {'; and '.join(short)}")
    bits = bits_per_weight(source, method, parameters, after)
    weights = sum(t.elements for t in quantised(source, parameters))
    seconds = expected_seconds(source, method, parameters, weights, evaluate_tokens, own_text)
    return Preflight(source.bytes, after, bits, memory, disk, tuple(notes), seconds)


def suits_model(source: Source, method: Method, parameters: Mapping[str, Any]) -> list[str]:
    """Reasons why the method cannot quantise this model; none if it can."""
    if source.quantization:
        return [f"it is quantised already ({source.quantization}); take the 16-bit checkpoint"]
    config = source.config
    kind = config.get("model_type")
    if not isinstance(kind, str):
        return ["its config.json names no model_type"]
    if method.model_types and kind not in method.model_types:
        known = ", ".join(sorted(method.model_types))
        return [f"{method.library} is known to work for model_type {known}, not {kind!r}; try gptq or fp8_dynamic"]
    if config.get("auto_map") and not method.model_types:
        return ["its config.json asks to run code that comes with the model (auto_map), which is never done"]
    linears = quantised(source, parameters)
    if not linears:
        return ["no linear module is left to quantise"]
    reasons = []
    group = group_size(parameters)
    if group > 0:
        reasons += misfits(linears, 1, group, "inputs", "group size")
    if method.against is not None:
        reasons += method.against(source, parameters)
    return reasons


def misfits(linears: list[Tensor], side: int, block: int, what: str, of: str) -> list[str]:
    """The reason against, if ``block`` does not divide a side of these matrices (0: outputs, 1: inputs).

    >>> misfits([Tensor("layers.0.up.weight", "BF16", (96, 64), 12288)], 0, 64, "outputs", "a block of")
    ['1 modules have outputs that a block of 64 does not divide, first layers.0.up with 96']
    """
    wrong = [t for t in linears if t.shape[side] % block]
    if not wrong:
        return []
    first = wrong[0]
    name = first.name.removesuffix(".weight")
    return [
        f"{len(wrong)} modules have {what} that {of} {block} does not divide, first {name} with {first.shape[side]}"
    ]


def in_groups_of(size: int) -> Callable[[Source, Mapping[str, Any]], list[str]]:
    """A method's ``against``, where the format fixes how many inputs share a scale."""
    return lambda source, parameters: misfits(quantised(source, parameters), 1, size, "inputs", "groups of")


def suits_gpu(method: Method, gpu: str | None) -> list[str]:
    """Notes on serving the result on this card.

    Raises
    ------
    InvalidInput
        If vLLM has no kernel for it there.
    UnknownName
        For a card that no table holds.
    """
    if gpu is None or gpu.casefold() == "cpu":
        return []
    from workbench import hardware

    card = hardware.gpu(gpu)
    has = card.compute_capability
    if has is None:
        return [f"{card.name} is no CUDA card: whether it runs {method.id} was not checked"]
    if has < method.capability:
        raise InvalidInput(
            f"{method.id} needs compute capability {_dotted(method.capability)} in vLLM, {card.name} has {_dotted(has)}"
        )
    if has < method.native:
        return [
            f"{card.name} (compute capability {_dotted(has)}) reads the {method.scheme} weights but multiplies in "
            f"16 bit; {_dotted(method.native)} and later multiply in {method.scheme}"
        ]
    return []


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def group_size(parameters: Mapping[str, Any]) -> int:
    """Inputs that share a scale; 0 or -1 if it is not by groups."""
    return int(parameters.get("q_group_size") or parameters.get("group_size") or 0)


def quantised(source: Source, parameters: Mapping[str, Any]) -> list[Tensor]:
    """The weights that will be quantised: linear modules of the layers, less routers and what the user leaves out."""
    import re

    names = ("modules_to_not_convert", "llm_int8_skip_modules", "ignore")
    left_out = [pattern for name in names for pattern in parameters.get(name) or ()]

    def kept(name: str) -> bool:
        return any(re.match(p[3:], name) if p.startswith("re:") else p == name or p in name for p in left_out)

    return [t for t in source.linears if role(t.name) != "router" and not kept(t.name.removesuffix(".weight"))]


def bytes_after(source: Source, method: Method, parameters: Mapping[str, Any]) -> int:
    """Size of the result's tensors, estimated by the scheme's own arithmetic [bytes]."""
    from workbench.formats import scheme

    if method.size is not None:
        return method.size(source, parameters)
    base = scheme(method.scheme)
    bits = parameters.get("bits") or parameters.get("w_bit") or parameters.get("num_bits") or base.bits
    symmetric = parameters.get("sym", parameters.get("symmetric"))
    had_zeros = getattr(base.format, "zero_bits", 0)
    made = base.with_format(
        bits=bits, zero_bits=bits if symmetric is False or had_zeros else 0, group_size=max(group_size(parameters), 0)
    )
    return stored(source, parameters, made.format)


def stored(source: Source, parameters: Mapping[str, Any], format: Format) -> int:
    """Size of all tensors once the quantised matrices are stored in a format [bytes]."""
    chosen = quantised(source, parameters)
    small = sum(format.matrix_bytes(t.shape[1], t.shape[0]) for t in chosen)
    return int(source.bytes - sum(t.bytes for t in chosen) + small)


def stored_as(format: Format) -> Callable[[Source, Mapping[str, Any]], int]:
    """A method's ``size``, where its parameters change nothing about the format."""
    return lambda source, parameters: stored(source, parameters, format)


def bits_per_weight(source: Source, method: Method, parameters: Mapping[str, Any], after: int) -> float:
    """Stored bits of a quantised weight, its scales, zeros and indices included, for a result of ``after`` bytes."""
    if method.whole_model:
        return 8 * after / source.parameters
    chosen = quantised(source, parameters)
    rest = source.bytes - sum(t.bytes for t in chosen)
    return 8 * (after - rest) / sum(t.elements for t in chosen)


def hessians(layer: Sequence[Tensor], tokens: int) -> int:
    """Memory of calibrating by the inputs' second moments [bytes]: a layer's inputs, and a Hessian for each matrix."""
    inputs = [t.shape[1] for t in layer]
    return 4 * tokens * min(inputs) + 4 * sum(n * n for n in inputs)


def memory_needed(source: Source, method: Method, parameters: Mapping[str, Any]) -> int:
    """Peak host memory, estimated [bytes].

    The larger of evaluating (weights in the float of the evaluation) and quantising: the weights, the largest
    layer once more, and what calibrating takes.
    """
    if method.memory is not None:
        return LIBRARIES + method.memory(source, parameters)
    wide = 4 if source.bytes <= WIDE_UP_TO else 2
    evaluating = source.parameters * wide
    layers: dict[str, list[Tensor]] = {}
    for tensor in source.linears:
        layers.setdefault(tensor.name.split(".layers.")[-1].split(".")[0], []).append(tensor)
    working = 0
    if layers:
        largest = max(layers.values(), key=lambda ts: sum(t.elements for t in ts))
        working = 4 * sum(t.elements for t in largest)
        if method.reads_text(parameters):
            tokens = int(parameters[method.samples]) * int(parameters[method.length])
            working += (method.working or hessians)(largest, tokens)
    return LIBRARIES + max(evaluating, source.bytes + working)
