"""GPUs: the table ``gpus.csv``, and how a name finds its card."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from workbench.datafiles import read_rows
from workbench.errors import InvalidInput, UnknownName
from workbench.hardware.price_table import on_demand
from workbench.hardware.rows import flag, folded, number, provenance, texts
from workbench.hardware.slices import sliced, split_name
from workbench.quantities import GB, GIB, MIB, Estimate

if TYPE_CHECKING:
    import pandas as pd

#: Compute types, and the column of ``gpus.csv`` that holds the dense rate [TFLOP/s or TOP/s].
COMPUTE_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "fp32": "fp32_tflops",
        "tf32": "tf32_tflops_dense",
        "fp16": "fp16_tflops_dense",
        "bf16": "bf16_tflops_dense",
        "fp8": "fp8_tflops_dense",
        "int8": "int8_tops_dense",
        "fp4": "fp4_tflops_dense",
        "int4": "int4_tops_dense",
    }
)
_FEATURES = ("bf16", "fp8", "fp4", "int8_tensor", "sparsity_2_4", "flash_attn_2", "flash_attn_3")
LinkKind = Literal["none", "nvlink bridge", "nvlink mesh", "nvswitch", "infinity fabric", "roce"]
_LINKS: tuple[LinkKind, ...] = get_args(LinkKind)


@dataclass(frozen=True)
class GPU:
    """One accelerator, as a planner needs it.

    Attributes
    ----------
    capacity : Estimate
        What ``cudaMemGetInfo`` calls total [bytes].
    bandwidth : float
        Memory bandwidth [bytes/s], datasheet.
    flops : mapping of str to float
        Dense peak by compute type of :data:`COMPUTE_TYPES` [FLOP/s]; a type the card has no unit for is absent.
        GeForce rates are with FP32 accumulation, which LLM kernels use.
    compute_capability : (int, int) or None
        NVIDIA's; ``None`` for others. ``target`` is the vendor's own text ("8.9", "gfx942").
    link, link_bandwidth, link_domain : str, float, int
        What joins cards directly, its bandwidth per card and direction [bytes/s], and how many cards it spans.
    gpus_per_node : int
        Cards in the largest usual box.
    pcie_bandwidth : float
        Host link, per direction [bytes/s].
    supports : frozenset of str
        Of ``bf16 fp8 fp4 int8_tensor sparsity_2_4 flash_attn_2 flash_attn_3``.
    usd_per_hour : Estimate or None
        Price by the hour of the middle provider, and the lowest and highest offer seen (``prices.csv``). A guide:
        prices move twofold within a year. What reserving or owning costs instead is in ``workbench.cost``.
    doubtful : frozenset of str
        Columns of ``gpus.csv`` that sources disagree on; ``doubts`` says how.
    remark : str
        What :func:`gpu` had to assume about the name it was given; usually empty.
    slice_of : str
        The card a MIG slice is a part of; empty for a whole card.
    """

    name: str
    vendor: str
    architecture: str
    target: str
    compute_capability: tuple[int, int] | None
    capacity: Estimate
    memory_type: str
    bandwidth: float
    flops: Mapping[str, float] = field(hash=False)
    link: LinkKind
    link_bandwidth: float
    link_domain: int
    pcie_bandwidth: float
    supports: frozenset[str]
    gpus_per_node: int = 8
    sm_count: int | None = None
    l2_bytes: float | None = None
    tdp: float | None = None
    launch_year: int | None = None
    usd_per_hour: Estimate | None = None
    price_source: str = ""
    price_date: str = ""
    aliases: tuple[str, ...] = ()
    loose_aliases: tuple[str, ...] = ()
    verification: str = ""
    source: str = ""
    doubtful: frozenset[str] = frozenset()
    doubts: str = ""
    notes: str = ""
    remark: str = ""
    slice_of: str = ""

    def peak(self, compute: str) -> float:
        """Dense peak for a compute type [FLOP/s].

        Raises
        ------
        InvalidInput
            If the card has no unit for it, or the type is not one of :data:`COMPUTE_TYPES`.

        Examples
        --------
        >>> gpu("L40S").peak("fp8") / 1e12
        733.0
        """
        if compute not in COMPUTE_TYPES:
            raise InvalidInput(f"compute type {compute!r} is not one of {', '.join(COMPUTE_TYPES)}")
        if compute not in self.flops:
            raise InvalidInput(f"{self.name} has no {compute} units; it has {', '.join(self.flops)}")
        return self.flops[compute]


def cuda_total_from_smi(reported: float) -> tuple[float, float, float]:
    """CUDA's total from nvidia-smi's, for cards where only the latter is known [bytes].

    The driver keeps a part that nvidia-smi counts and ``cudaMemGetInfo`` does not: 0.35 to 0.75 GiB on the cards of
    ``gpus.csv`` where both are known, growing slowly with the card. The line 0.43 GiB + 0.18 % fits them within
    0.18 GiB; the bounds are 0.25 GiB either side.

    Parameters
    ----------
    reported : float
        Total that nvidia-smi shows [bytes].

    Returns
    -------
    (float, float, float)
        Value, low and high [bytes].

    Examples
    --------
    >>> [round(x / GIB, 2) for x in cuda_total_from_smi(81559 * MIB)]   # H100 80GB, measured 79.19
    [79.07, 78.82, 79.32]
    """
    value = reported - (0.43 * GIB + 0.0018 * reported)
    return value, value - 0.25 * GIB, min(value + 0.25 * GIB, reported)


def _capacity(row: Mapping[str, str]) -> Estimate:
    reported, marketed = number(row, "memory_mib_reported"), number(row, "memory_gb_marketed")
    known = number(row, "cuda_total_mib")
    if known:  # readings of one card differ by up to 0.2 GiB between drivers
        doubtful = "cuda_total_mib" in row["doubtful_cells"].split(";")
        spread = (0.3 if doubtful else 0.15) * GIB
        basis = "calibrated" if doubtful else "measured"
        return Estimate(known * MIB, known * MIB - spread, known * MIB + spread, basis)
    if reported and row["vendor"] != "NVIDIA":  # the runtimes of AMD and Intel report what their tools show
        return Estimate(reported * MIB, 0.98 * reported * MIB, reported * MIB, "datasheet")
    if reported:
        value, low, high = cuda_total_from_smi(reported * MIB)
        if other := number(row, "memory_mib_other_ecc"):
            _, other_low, other_high = cuda_total_from_smi(other * MIB)
            low, high = min(low, other_low), max(high, other_high)
        return Estimate(value, low, high, "calibrated")
    if not marketed:
        raise InvalidInput(f"{row['name']}: no memory size is given")
    value, low, high = cuda_total_from_smi(0.995 * marketed * GIB)  # what GB means differs: between 10^9 and 2^30
    return Estimate(value, min(low, marketed * GB), max(high, marketed * GIB), "datasheet")


def _gpu(row: Mapping[str, str]) -> GPU:
    target = row["compute_capability"]
    usd, price_source, price_date = on_demand(row["name"])
    sm, l2, year = (number(row, c) for c in ("sm_count", "l2_mb", "launch_year"))
    version = re.fullmatch(r"(\d+)\.(\d+)", target)
    return GPU(
        name=row["name"],
        vendor=row["vendor"],
        architecture=row["architecture"],
        target=target,
        compute_capability=(int(version[1]), int(version[2])) if version else None,
        capacity=_capacity(row),
        memory_type=row["memory_type"],
        bandwidth=float(row["memory_bandwidth_gb_s"]) * GB,
        flops=MappingProxyType(
            {kind: rate * 1e12 for kind, column in COMPUTE_TYPES.items() if (rate := number(row, column))}
        ),
        link=link_kind(row["gpu_link"]),
        link_bandwidth=(number(row, "gpu_link_gb_s_both_directions") or 0.0) * GB / 2,
        link_domain=int(row["gpu_link_domain"]),
        gpus_per_node=int(row["gpus_per_node"]),
        pcie_bandwidth=float(row["pcie_gb_s_per_direction"]) * GB,
        supports=frozenset(name for name in _FEATURES if flag(row, f"supports_{name}")),
        sm_count=int(sm) if sm else None,
        l2_bytes=l2 * 1e6 if l2 else None,
        tdp=number(row, "tdp_w"),
        launch_year=int(year) if year else None,
        usd_per_hour=usd,
        price_source=price_source,
        price_date=price_date,
        loose_aliases=texts(row, "loose_aliases"),
        **provenance(row),
    )


def link_kind(text: str) -> LinkKind:
    for kind in _LINKS:
        if text == kind:
            return kind
    raise InvalidInput(f"link {text!r} is not one of {', '.join(_LINKS)}")


@cache
def _gpus() -> Mapping[str, GPU]:
    return MappingProxyType({row["name"]: _gpu(row) for row in read_rows("gpus.csv")})


@cache
def _gpu_index() -> tuple[Mapping[str, str], Mapping[str, str]]:
    exact: dict[str, str] = {}
    loose: dict[str, str] = {}
    for card in _gpus().values():
        for alias in (card.name, *card.aliases):
            exact.setdefault(folded(alias), card.name)
        for alias in card.loose_aliases:
            loose.setdefault(folded(alias), card.name)
    return exact, loose


def is_known(name: str) -> bool:
    """Whether a name or alias of the table means a card."""
    return folded(name) in _gpu_index()[0]


def gpu(name: str | GPU) -> GPU:
    """Look a GPU up by its name or an alias.

    Case, spaces, hyphens and the words NVIDIA, Tesla, GeForce, AMD, Instinct and Intel do not matter. A name that
    could mean two cards takes the common one, and the returned card's ``remark`` says so.

    Parameters
    ----------
    name : str or GPU
        A name of ``gpus.csv``, what NVML prints, or what a cloud writes; with a MIG profile behind it, a slice of
        that card ("H100 SXM 3g.40gb"). A GPU is returned as it is.

    Raises
    ------
    UnknownName
        If no card of the table has that name.

    Examples
    --------
    >>> gpu("nvidia l40s").name, gpu("H100 80GB HBM3").name
    ('L40S', 'H100 SXM5')
    >>> gpu("A100").remark
    "'A100' could mean another card; taken as A100 80GB SXM4"
    """
    if isinstance(name, GPU):
        return name
    exact, loose = _gpu_index()
    key = folded(name)
    if key in exact:
        return _gpus()[exact[key]]
    if key in loose:
        card = _gpus()[loose[key]]
        return replace(card, remark=f"{name!r} could mean another card; taken as {card.name}")
    if (parts := split_name(name)) is not None:
        return sliced(gpu(parts[0]), parts[1])
    raise UnknownName("GPU", name, names(), "workbench.gpus() lists them; hardware.custom_gpu describes your own")


def names() -> list[str]:
    """Names of all GPUs in the table, in its order."""
    return list(_gpus())


def gpus() -> pd.DataFrame:
    """Return all GPUs as a table, one row per card, in the units people read.

    Returns
    -------
    pandas.DataFrame
        Indexed by name. ``capacity_gib`` is CUDA's total, ``*_tflops`` are dense, ``link_gb_s`` is per direction,
        ``doubtful`` names the columns of ``data/gpus.csv`` that sources disagree on.
    """
    import pandas as pd

    rows = []
    for card in _gpus().values():
        price = card.usd_per_hour
        rows.append(
            {
                "name": card.name,
                "vendor": card.vendor,
                "architecture": card.architecture,
                "compute_capability": card.target,
                "capacity_gib": round(card.capacity.value / GIB, 2),
                "capacity_low_gib": round(card.capacity.low / GIB, 2),
                "capacity_high_gib": round(card.capacity.high / GIB, 2),
                "capacity_basis": card.capacity.basis,
                "bandwidth_gb_s": card.bandwidth / GB,
                **{f"{kind}_tflops": card.flops.get(kind, math.nan) / 1e12 for kind in COMPUTE_TYPES},
                "link": card.link,
                "link_gb_s": card.link_bandwidth / GB,
                "link_domain": card.link_domain,
                "pcie_gb_s": card.pcie_bandwidth / GB,
                "tdp_w": card.tdp,
                "launch_year": card.launch_year,
                "usd_per_hour_low": price.low if price else math.nan,
                "usd_per_hour_high": price.high if price else math.nan,
                "price_date": card.price_date,
                "supports": ", ".join(sorted(card.supports)),
                "verification": card.verification,
                "doubtful": ", ".join(sorted(card.doubtful)),
                "doubts": card.doubts,
                "notes": card.notes,
                "source": card.source,
            }
        )
    return pd.DataFrame(rows).set_index("name")
