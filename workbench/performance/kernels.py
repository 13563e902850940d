"""How fast kernels run: ``data/kernels.csv`` (one card), ``data/collectives.csv`` (several), from measured kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from workbench.datafiles import read_rows
from workbench.formats.kinds import Format
from workbench.formats.scheme import Scheme
from workbench.hardware import GPU
from workbench.hardware.links import Interconnect

#: Format -> the format whose kernels stand in where a card has no row of its own.
_LIKE: Mapping[str, str] = MappingProxyType(
    {
        "fp32": "bf16",
        "fp8": "bf16",
        "fp8_block": "fp8",
        "int8": "fp8",
        "nvfp4": "fp8",
        "mxfp4_fp8": "mxfp4",
        "mxfp4": "int4",
        "w8a16": "int4",
        "nf4": "int4",
        "gguf": "int4",
        "int4": "bf16",
    }
)
_SIXTEEN = ("bf16", "fp16", "fp32")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a kind of kernel reaches on a card.

    Attributes
    ----------
    bandwidth_fraction, compute_fraction : float
        Of the datasheet's memory bandwidth and dense rate [-], at most 1.
    fixed : float
        What even the smallest takes [s].
    residual : float
        Median relative error of the law on what it was fitted to; NaN where it was not fitted.
    """

    bandwidth_fraction: float
    compute_fraction: float
    fixed: float
    residual: float


def multiplied_as(scheme: Scheme, stored: Format | None, card: GPU) -> str:
    """Which kernels multiply a matrix: a format of ``data/kernels.csv``.

    Weight-only formats multiply in 16 bit, and so does a format that the card has no unit for (FP8 on an A100).

    Parameters
    ----------
    scheme : Scheme
    stored : Format or None
        How the matrix is stored; None: in the model's own float.
    card : GPU

    Examples
    --------
    >>> from workbench.formats import scheme
    >>> from workbench.hardware import gpu
    >>> fp8 = scheme("fp8")
    >>> [multiplied_as(fp8, fp8.format, gpu(name)) for name in ("H100 SXM", "A100 80GB SXM")]
    ['fp8', 'w8a16']
    """
    if stored is None or stored.id in _SIXTEEN:
        return "fp32" if scheme.compute == "fp32" else "bf16"
    own = scheme.compute in card.flops
    if stored.id in ("fp8", "mxfp8"):
        blocks = getattr(stored, "block", None) is not None or stored.id == "mxfp8"
        return ("fp8_block" if blocks else "fp8") if "fp8" in card.flops and scheme.compute != "bf16" else "w8a16"
    if stored.id == "int8":
        return "int8" if own and scheme.compute == "int8" else "w8a16"
    if stored.id == "nvfp4":
        return "nvfp4" if own and scheme.compute == "fp4" else "int4"
    if stored.id == "mxfp4":
        return "mxfp4_fp8" if "fp4" in card.flops else "mxfp4"
    if stored.id in ("int4", "nf4"):
        return stored.id
    return "gguf"


#: Kernel format -> the compute type of a card whose dense rate bounds it.
COMPUTES: Mapping[str, str] = MappingProxyType(
    {"fp8": "fp8", "fp8_block": "fp8", "mxfp4_fp8": "fp8", "int8": "int8", "nvfp4": "fp4", "fp32": "fp32"}
)


def dense_rate(card: GPU, format: str) -> float:
    """Dense FLOP/s that bounds the kernels of a format on a card: 16 bit unless the format has a unit of its own."""
    sixteen = next((card.flops[name] for name in ("bf16", "fp16", "fp32") if name in card.flops), 0.0)
    return card.flops.get(COMPUTES.get(format, ""), sixteen)


@cache
def _kernels() -> Mapping[tuple[str, str, str], Kernel]:
    return {
        (row["operator"], row["format"], row["gpu"]): Kernel(
            float(row["bandwidth_fraction"]),
            float(row["compute_fraction"]),
            float(row["fixed_us"]) * 1e-6,
            float(row["residual"] or "nan"),
        )
        for row in read_rows("kernels.csv")
    }


def generations(card: GPU) -> tuple[str, ...]:
    """A card's names in the tables, the most particular first: itself, its compute capability, all."""
    names = [card.slice_of or card.name]
    if card.compute_capability is not None:
        major, minor = card.compute_capability
        names += [f"sm_{major}{minor}", f"sm_{major}x"]
    return (*names, "other")


@cache
def kernel(card: GPU, operator: str, format: str) -> Kernel:
    """The kernel of an operator and format on a card: its own row, its generation's, any card's; else a like format's.

    Parameters
    ----------
    card : GPU
    operator : {"gemm", "moe", "attention_decode", "latent_decode", "state_decode", "attention_prefill", …}
    format : str
        Of :func:`multiplied_as`; for attention, "bf16" or "fp8", what the cache is stored in.

    Examples
    --------
    >>> from workbench.hardware import gpu
    >>> kernel(gpu("H100 SXM"), "gemm", "bf16").fixed < kernel(gpu("H100 SXM"), "gemm", "fp8_block").fixed
    True
    """
    known = _kernels()
    like: str | None = format
    while like is not None:
        for name in generations(card):
            if (operator, like, name) in known:
                return known[operator, like, name]
        like = _LIKE.get(like)
    raise KeyError((card.name, operator, format))


@dataclass(frozen=True, slots=True)
class Collective:
    """An all-reduce over a group: the share of its link it reaches [-], and what the smallest message takes [s]."""

    bandwidth_fraction: float
    fixed: float


@cache
def _collectives() -> Mapping[tuple[str, str, int], Collective]:
    return {
        (row["link"], row["gpu"], int(row["gpus"])): Collective(
            float(row["bandwidth_fraction"]), float(row["fixed_us"]) * 1e-6
        )
        for row in read_rows("collectives.csv")
    }


@cache
def collective(card: GPU, link: Interconnect, gpus: int) -> Collective:
    """The all-reduce of a group: the row of its link and card, or of any card, for the next larger group.

    Examples
    --------
    >>> from workbench.hardware import gpu, interconnect
    >>> card = gpu("L40S")
    >>> two, four = (collective(card, interconnect(card, n), n) for n in (2, 4))
    >>> four.fixed > 2 * two.fixed
    True
    """
    known = _collectives()
    for name in generations(card):
        sizes = sorted(size for kind, which, size in known if (kind, which) == (link.kind, name))
        if sizes:
            size = next((size for size in sizes if size >= gpus), sizes[-1])
            return known[link.kind, name, size]
    raise KeyError((card.name, link.kind, gpus))
