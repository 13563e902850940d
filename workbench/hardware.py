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
from typing import TYPE_CHECKING, Literal, get_args

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
        gpus_per_node=int(row["gpus_per_node"]),
        pcie_bandwidth=float(row["pcie_gb_s_per_direction"]) * GB,
        supports=frozenset(name for name in _FEATURES if _flag(row, f"supports_{name}")),
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
            return kind
    raise InvalidInput(f"link {text!r} is not one of {', '.join(_LINKS)}")


def _flag(row: Mapping[str, str], column: str) -> bool:
    return row[column] == "yes"


@cache
def _gpus() -> Mapping[str, GPU]:
    return MappingProxyType({row["name"]: _gpu(row) for row in read_rows("gpus.csv")})


def _key(name: str) -> str:
    """Fold a name: no case, spaces, punctuation or trade mark signs, and no maker in front."""
    text = re.sub(r"\((r|tm|c)\)", "", name.casefold())
    text = re.sub(r"[^a-z0-9+]", "", text)
    return re.sub(r"^(nvidia|tesla|geforce|amd|instinct|intel|radeon)+", "", text)


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
        gpus_per_node=max(8, link_domain),
        pcie_bandwidth=pcie_gb_s * GB,
        supports=frozenset(supports),
        tdp=tdp_w,
        usd_per_hour=Estimate.exact(usd_per_hour, "given") if usd_per_hour else None,
        source="given by the user",
    )


# ------------------------------------------------------------------------------------------------ links

InterconnectKind = Literal[
    "none", "nvlink bridge", "nvlink mesh", "nvswitch", "infinity fabric", "roce", "pcie", "network"
]
#: Time of one step of a ring for a small message [s]: NCCL's own constants (src/graph/tuning.cc at 01afd20, ring,
#: LL protocol) for NVLink, PCIe and network. Launching a collective costs more and is the performance model's.
_STEP_LATENCY = {"pcie": 1.0e-6, "network": 2.7e-6, "roce": 2.7e-6}
_LINK_STEP_LATENCY = 0.47e-6
#: Network per GPU, each way [bytes/s], where no node is named: 400 Gb/s beside a switched link, else 50 Gb/s.
_NIC_SWITCHED, _NIC_PLAIN = 400e9 / 8, 50e9 / 8


@dataclass(frozen=True)
class Interconnect:
    """What a group of GPUs exchanges data over; the slowest part of the ring.

    Attributes
    ----------
    kind : str
        ``none`` (one GPU), the card's own link, ``pcie`` or ``network``.
    bandwidth : float
        Per GPU and direction [bytes/s], nominal; infinite for one GPU.
    latency : float
        One ring step with a small message [s].
    """

    kind: InterconnectKind
    bandwidth: float
    latency: float


def interconnect(card: GPU, gpus_in_group: int, node: Node | None = None) -> Interconnect:
    """Which link a group of GPUs communicates over.

    The card's own link where it spans the group, PCIe where the group still fits a node, else the network.
    A bridge that joins pairs does not help a group of four: its ring crosses PCIe all the same.

    Parameters
    ----------
    card : GPU
        The GPU.
    gpus_in_group : int
        GPUs that take part, placed as closely as possible.
    node : Node, optional
        The machine; without it the card's usual box.

    Raises
    ------
    InvalidInput
        If the group is empty, or the node does not hold this card.

    Examples
    --------
    >>> interconnect(gpu("L40S"), 4)
    Interconnect(kind='pcie', bandwidth=31500000000.0, latency=1e-06)
    >>> [interconnect(gpu("A100 80GB PCIe"), n).kind for n in (1, 2, 4)]
    ['none', 'nvlink bridge', 'pcie']
    >>> [interconnect(gpu(name), 16).kind for name in ("H100 SXM", "GB200")]
    ['network', 'nvswitch']
    """
    if gpus_in_group < 1:
        raise InvalidInput(f"a group needs at least one GPU, not {gpus_in_group}")
    if node is not None and node.gpu != card.name:
        raise InvalidInput(f"{node.name} has {node.gpu}, not {card.name}")
    if gpus_in_group == 1:
        return Interconnect("none", math.inf, 0.0)
    domain = node.link_domain if node else card.link_domain
    if gpus_in_group <= domain and card.link != "none":
        share = _share_of_links(card.link, gpus_in_group, domain)
        latency = _STEP_LATENCY.get(card.link, _LINK_STEP_LATENCY)
        return Interconnect(card.link, share * card.link_bandwidth, latency)
    if gpus_in_group <= (node.gpus if node else card.gpus_per_node):
        return Interconnect("pcie", card.pcie_bandwidth, _STEP_LATENCY["pcie"])
    if node and node.nic_bandwidth:
        share = node.nic_bandwidth / node.gpus
    else:
        share = _NIC_SWITCHED if card.link in ("nvswitch", "infinity fabric", "roce") else _NIC_PLAIN
    return Interconnect("network", share, _STEP_LATENCY["network"])


def _share_of_links(kind: LinkKind, group: int, domain: int) -> float:
    """Share of a card's links that lead to the others of its group."""
    if kind in ("infinity fabric", "roce"):  # every pair has its own links: MI300X 64 GB/s of 448
        return (group - 1) / (domain - 1)
    if kind == "nvlink mesh":  # cube mesh of V100: two of six links within a pair, four within a quad
        return min(1.0, math.log2(group) / math.log2(domain))
    return 1.0


# ------------------------------------------------------------------------------------------------ nodes


@dataclass(frozen=True)
class Node:
    """A machine with GPUs, as ``nodes.csv`` lists it.

    Attributes
    ----------
    gpu, gpus : str, int
        Name of the card in ``gpus.csv``, and how many.
    link_domain : int
        GPUs joined directly; an NVL72 domain spans nodes.
    nic_bandwidth : float or None
        All network ports together, per direction [bytes/s].
    memory : float
        CPU memory [bytes].
    """

    name: str
    provider: str
    gpu: str
    gpus: int
    link_domain: int
    nic_bandwidth: float | None
    cpu: str
    vcpus: int
    memory: float
    aliases: tuple[str, ...]
    verification: str
    source: str
    doubtful: frozenset[str]
    doubts: str
    notes: str


@cache
def _nodes() -> Mapping[str, Node]:
    found = {}
    for row in read_rows("nodes.csv"):
        nic = _number(row, "nic_gbit_s")
        found[row["name"]] = Node(
            name=row["name"],
            provider=row["provider"],
            gpu=row["gpu"],
            gpus=int(row["gpus"]),
            link_domain=int(row["gpu_link_domain"]),
            nic_bandwidth=nic * 1e9 / 8 if nic else None,
            cpu=row["cpu"],
            vcpus=int(row["vcpus"]),
            memory=float(row["memory_gib"]) * GIB,
            aliases=_texts(row, "aliases"),
            verification=row["verification"],
            source=row["source"],
            doubtful=frozenset(_texts(row, "doubtful_cells")),
            doubts=row["doubts"],
            notes=row["notes"],
        )
    return MappingProxyType(found)


def node(name: str) -> Node:
    """Look a machine with GPUs up by its name or an alias, as forgiving as :func:`gpu`.

    Raises
    ------
    UnknownName
        If no machine of ``nodes.csv`` has that name.

    Examples
    --------
    >>> p5 = node("p5.48xlarge"); p5.gpus, p5.gpu, p5.nic_bandwidth / 1e9
    (8, 'H100 SXM5', 400.0)
    """
    for candidate in _nodes().values():
        if _key(name) in map(_key, (candidate.name, *candidate.aliases)):
            return candidate
    raise UnknownName("node", name, _nodes(), "hardware.nodes() lists them")


def nodes() -> pd.DataFrame:
    """Machines with GPUs as a table indexed by name; ``nic_gbit_s`` is per direction, all ports together."""
    return _table("nodes.csv")


# ------------------------------------------------------------------------------------------------ hosts


@dataclass(frozen=True)
class Host:
    """A CPU (one socket) or an Apple chip, as ``hosts.csv`` lists it.

    Attributes
    ----------
    bandwidth : float
        Memory bandwidth with every channel filled [bytes/s]; a cloud machine's share of a socket has less.
    flops : mapping of str to float
        Dense peak of the CPU cores, ``fp32`` and, where there are units for it, ``bf16`` [FLOP/s].
    memory_options : tuple of float
        Sizes it is sold with [bytes, decimal GB as sold], where fixed.
    features : frozenset of str
        Of ``avx2 avx512 avx512_bf16 amx_bf16 amx_int8``.
    gpu_flops : float or None
        FP32 peak of the GPU in the same chip [FLOP/s].
    """

    name: str
    vendor: str
    architecture: str
    cores: int
    bandwidth: float
    flops: Mapping[str, float] = field(hash=False)
    memory_type: str
    memory_options: tuple[float, ...]
    features: frozenset[str]
    gpu_cores: int | None
    gpu_flops: float | None
    aliases: tuple[str, ...]
    verification: str
    source: str
    doubtful: frozenset[str]
    doubts: str
    notes: str


_CPU_FEATURES = ("avx2", "avx512", "avx512_bf16", "amx_bf16", "amx_int8")


@cache
def _hosts() -> Mapping[str, Host]:
    found = {}
    for row in read_rows("hosts.csv"):
        gpu_cores, gpu_rate = _number(row, "gpu_cores"), _number(row, "gpu_fp32_tflops")
        rates = {"fp32": _number(row, "fp32_tflops"), "bf16": _number(row, "bf16_tflops")}
        found[row["name"]] = Host(
            name=row["name"],
            vendor=row["vendor"],
            architecture=row["architecture"],
            cores=int(row["cores"]),
            bandwidth=float(row["memory_bandwidth_gb_s"]) * GB,
            flops=MappingProxyType({kind: rate * 1e12 for kind, rate in rates.items() if rate}),
            memory_type=row["memory_type"],
            memory_options=tuple(float(size) * GB for size in _texts(row, "memory_options_gb")),
            features=frozenset(flag for flag in _CPU_FEATURES if _flag(row, flag)),
            gpu_cores=int(gpu_cores) if gpu_cores else None,
            gpu_flops=gpu_rate * 1e12 if gpu_rate else None,
            aliases=_texts(row, "aliases"),
            verification=row["verification"],
            source=row["source"],
            doubtful=frozenset(_texts(row, "doubtful_cells")),
            doubts=row["doubts"],
            notes=row["notes"],
        )
    return MappingProxyType(found)


def host(name: str) -> Host:
    """Look a CPU or Apple chip up by its name, an alias, or what the operating system prints.

    Raises
    ------
    UnknownName
        If no row of ``hosts.csv`` has that name.

    Examples
    --------
    >>> host("AMD EPYC 9654 96-Core Processor").bandwidth / 1e9
    460.8
    >>> host("apple m2 ultra").memory_options[-1] / 1e9
    192.0
    """
    for candidate in _hosts().values():
        if _key(name) in map(_key, (candidate.name, *candidate.aliases)):
            return candidate
    raise UnknownName("CPU", name, _hosts(), "hardware.hosts() lists them")


def hosts() -> pd.DataFrame:
    """CPUs and Apple chips as a table indexed by name, columns as in ``data/hosts.csv``."""
    return _table("hosts.csv")


def _table(file: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(read_rows(file)).apply(_numeric).set_index("name")


def _numeric(column: pd.Series[str]) -> pd.Series[str] | pd.Series[float]:
    import pandas as pd

    numbers = pd.to_numeric(column.replace("", None), errors="coerce")
    return numbers if numbers.notna().sum() == column.ne("").sum() and numbers.notna().any() else column
