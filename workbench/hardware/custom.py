"""A card of the user's own."""

from __future__ import annotations

import math
import re
from types import MappingProxyType

from workbench.errors import InvalidInput
from workbench.hardware.cards import GPU, LinkKind, is_known, link_kind
from workbench.quantities import GB, GIB, Estimate


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
    if is_known(name):
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
    link_kind(link)
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
