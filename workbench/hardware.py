"""GPUs, the links between them, nodes and hosts: the tables ``gpus.csv``, ``nodes.csv`` and ``hosts.csv``.

Rates are dense and in base units: bytes, bytes/s, FLOP/s, W, USD per hour. Link bandwidths are per direction,
although vendors print the sum of both. A card's capacity is what CUDA reports, not what the box says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from workbench.datafiles import read_rows
from workbench.errors import InvalidInput, UnknownName
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
_LINKS = ("none", "nvlink bridge", "nvlink mesh", "nvswitch", "infinity fabric", "roce")


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
    pcie_bandwidth : float
        Host link, per direction [bytes/s].
    supports : frozenset of str
        Of ``bf16 fp8 fp4 int8_tensor sparsity_2_4 flash_attn_2 flash_attn_3``.
    usd_per_hour : Estimate or None
        Lowest to highest list price seen; value is their mean. A guide: prices move twofold within a year.
    doubtful : frozenset of str
        Columns of ``gpus.csv`` that sources disagree on; ``doubts`` says how.
    remark : str
        What :func:`gpu` had to assume about the name it was given; usually empty.
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


# ------------------------------------------------------------------------------------------------ capacity


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
    reported, marketed = _number(row, "memory_mib_reported"), _number(row, "memory_gb_marketed")
    known = _number(row, "cuda_total_mib")
    if known:  # readings of one card differ by up to 0.2 GiB between drivers
        doubtful = "cuda_total_mib" in row["doubtful_cells"].split(";")
        spread = (0.3 if doubtful else 0.15) * GIB
        basis = "calibrated" if doubtful else "measured"
        return Estimate(known * MIB, known * MIB - spread, known * MIB + spread, basis)
    if reported and row["vendor"] != "NVIDIA":  # the runtimes of AMD and Intel report what their tools show
        return Estimate(reported * MIB, 0.98 * reported * MIB, reported * MIB, "datasheet")
    if reported:
        value, low, high = cuda_total_from_smi(reported * MIB)
        if other := _number(row, "memory_mib_other_ecc"):
            _, other_low, other_high = cuda_total_from_smi(other * MIB)
            low, high = min(low, other_low), max(high, other_high)
        return Estimate(value, low, high, "calibrated")
    if not marketed:
        raise InvalidInput(f"{row['name']}: no memory size is given")
    value, low, high = cuda_total_from_smi(
        0.995 * marketed * GIB
    )  # what GB means differs: between 10^9 and 2^30
    return Estimate(value, min(low, marketed * GB), max(high, marketed * GIB), "datasheet")


# ------------------------------------------------------------------------------------------------ the table


def _number(row: Mapping[str, str], column: str) -> float | None:
    text = row.get(column, "").strip()
    return float(text) if text else None


def _texts(row: Mapping[str, str], column: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in row.get(column, "").split(";") if part.strip())


def _gpu(row: Mapping[str, str]) -> GPU:
    target = row["compute_capability"]
    low, high = _number(row, "price_usd_h_low"), _number(row, "price_usd_h_high")
    sm, l2, year = (_number(row, c) for c in ("sm_count", "l2_mb", "launch_year"))
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
            {kind: rate * 1e12 for kind, column in COMPUTE_TYPES.items() if (rate := _number(row, column))}
        ),
        link=_link(row["gpu_link"]),
        link_bandwidth=(_number(row, "gpu_link_gb_s_both_directions") or 0.0) * GB / 2,
        link_domain=int(row["gpu_link_domain"]),
        pcie_bandwidth=float(row["pcie_gb_s_per_direction"]) * GB,
        supports=frozenset(name for name in _FEATURES if row[f"supports_{name}"] == "yes"),
        sm_count=int(sm) if sm else None,
        l2_bytes=l2 * 1e6 if l2 else None,
        tdp=_number(row, "tdp_w"),
        launch_year=int(year) if year else None,
        usd_per_hour=Estimate((low + high) / 2, low, high, "datasheet") if low and high else None,
        price_source=row["price_source"],
        price_date=row["price_date"],
        aliases=_texts(row, "aliases"),
        loose_aliases=_texts(row, "loose_aliases"),
        verification=row["verification"],
        source=row["source"],
        doubtful=frozenset(_texts(row, "doubtful_cells")),
        doubts=row["doubts"],
        notes=row["notes"],
    )


def _link(text: str) -> LinkKind:
    for kind in _LINKS:
        if text == kind:
            return kind  # type: ignore[return-value]
    raise InvalidInput(f"link {text!r} is not one of {', '.join(_LINKS)}")


@cache
def _gpus() -> Mapping[str, GPU]:
    return MappingProxyType({row["name"]: _gpu(row) for row in read_rows("gpus.csv")})


def _key(name: str) -> str:
    """Fold a name: no case, no maker, no spaces or punctuation."""
    text = re.sub(r"\b(nvidia|tesla|geforce|amd|instinct|intel|radeon)\b", " ", name.casefold())
    return re.sub(r"[^a-z0-9]", "", text)


@cache
def _gpu_index() -> tuple[Mapping[str, str], Mapping[str, str]]:
    exact: dict[str, str] = {}
    loose: dict[str, str] = {}
    for card in _gpus().values():
        for alias in (card.name, *card.aliases):
            exact.setdefault(_key(alias), card.name)
        for alias in card.loose_aliases:
            loose.setdefault(_key(alias), card.name)
    return exact, loose


def gpu(name: str | GPU) -> GPU:
    """Look a GPU up by its name or an alias.

    Case, spaces, hyphens and the words NVIDIA, Tesla, GeForce, AMD, Instinct and Intel do not matter. A name that
    could mean two cards takes the common one, and the returned card's ``remark`` says so.

    Parameters
    ----------
    name : str or GPU
        A name of ``gpus.csv``, what NVML prints, or what a cloud writes. A GPU is returned as it is.

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
    key = _key(name)
    if key in exact:
        return _gpus()[exact[key]]
    if key in loose:
        card = _gpus()[loose[key]]
        return replace(card, remark=f"{name!r} could mean another card; taken as {card.name}")
    raise UnknownName(
        "GPU", name, names(), "workbench.gpus() lists them; hardware.custom_gpu describes your own"
    )


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


def custom_gpu(
    name: str,
    *,
    memory_gib: float,
    bandwidth_gb_s: float,
    fp16_tflops: float,
    bf16_tflops: float | None = None,
    fp32_tflops: float | None = None,
    fp8_tflops: float | None = None,
    int8_tops: float | None = None,
    fp4_tflops: float | None = None,
    compute_capability: str = "8.0",
    vendor: str = "NVIDIA",
    link: LinkKind = "none",
    link_gb_s: float = 0.0,
    link_domain: int = 1,
    pcie_gb_s: float = 31.5,
    tdp_w: float | None = None,
    usd_per_hour: float | None = None,
) -> GPU:
    """Describe a card that is not in the table.

    Parameters
    ----------
    name : str
        Any name that is not in the table.
    memory_gib : float
        Total that CUDA reports (``torch.cuda.mem_get_info()[1] / 2**30``) [GiB].
    bandwidth_gb_s : float
        Memory bandwidth [GB/s].
    fp16_tflops, bf16_tflops, fp32_tflops, fp8_tflops, int8_tops, fp4_tflops : float, optional
        Dense peaks [TFLOP/s]; a type left out is one the card has no unit for, but BF16 is then FP16's rate from
        compute capability 8.0 on.
    link, link_gb_s, link_domain : str, float, int
        What joins the cards, per direction [GB/s], and how many it spans.
    pcie_gb_s : float
        Per direction [GB/s]; 31.5 is PCIe 4.0 x16.

    Raises
    ------
    InvalidInput
        If a number is not positive and finite, or the link and its domain disagree.

    Examples
    --------
    >>> mine = custom_gpu("My card", memory_gib=47.4, bandwidth_gb_s=1008, fp16_tflops=165.2)
    >>> mine.capacity.basis, sorted(mine.flops)
    ('given', ['bf16', 'fp16'])
    """
    version = re.fullmatch(r"(\d+)\.(\d+)", compute_capability)
    capability = (int(version[1]), int(version[2])) if version else None
    if not name.strip():
        raise InvalidInput("name must not be empty")
    if _key(name) in _gpu_index()[0]:
        raise InvalidInput(f"{name!r} is in the table already; give your card another name")
    if bf16_tflops is None and (capability is None or capability >= (8, 0)):
        bf16_tflops = fp16_tflops
    rates = {
        "fp32": fp32_tflops,
        "fp16": fp16_tflops,
        "bf16": bf16_tflops,
        "fp8": fp8_tflops,
        "int8": int8_tops,
        "fp4": fp4_tflops,
    }
    given = {
        "memory_gib": memory_gib,
        "bandwidth_gb_s": bandwidth_gb_s,
        "pcie_gb_s": pcie_gb_s,
        "tdp_w": tdp_w,
    }
    given |= {"usd_per_hour": usd_per_hour} | {f"{kind} rate": rate for kind, rate in rates.items()}
    for what, number in given.items():
        if number is not None and not (math.isfinite(number) and number > 0):
            raise InvalidInput(f"{what} must be a positive number, not {number}")
    _link(link)
    if (link == "none") != (link_gb_s == 0) or (link == "none") != (link_domain == 1) or link_domain < 1:
        raise InvalidInput("give link, link_gb_s and link_domain (2 or more) together, or none of them")
    if not (math.isfinite(link_gb_s) and link_gb_s >= 0):
        raise InvalidInput(f"link_gb_s must not be negative, not {link_gb_s}")
    features = {"bf16": bf16_tflops, "fp8": fp8_tflops, "fp4": fp4_tflops, "int8_tensor": int8_tops}
    supports = {feature for feature, rate in features.items() if rate}
    if capability is not None and capability >= (8, 0):
        supports |= {"flash_attn_2"}
    return GPU(
        name=name.strip(),
        vendor=vendor,
        architecture="",
        target=compute_capability,
        compute_capability=capability,
        capacity=Estimate.exact(memory_gib * GIB, "given"),
        memory_type="",
        bandwidth=bandwidth_gb_s * GB,
        flops=MappingProxyType({kind: rate * 1e12 for kind, rate in rates.items() if rate}),
        link=link,
        link_bandwidth=link_gb_s * GB,
        link_domain=link_domain,
        pcie_bandwidth=pcie_gb_s * GB,
        supports=frozenset(supports),
        tdp=tdp_w,
        usd_per_hour=Estimate.exact(usd_per_hour, "given") if usd_per_hour else None,
        source="given by the user",
    )
