"""What cards can do: the GPU table."""

from __future__ import annotations

from collections import defaultdict

from workbench.audit.registry import computes
from workbench.audit.rules import EXACT, ROUGH, Found, Limits, among, number, statement
from workbench.datafiles import read_rows
from workbench.hardware import gpu, interconnect, names
from workbench.performance.kernels import collective
from workbench.quantities import GB

A100 = ("A100 40GB PCIe", "A100 80GB PCIe", "A100 80GB SXM4")


@computes("C000-001")
def one_generation() -> Found:
    """The generation of an L40S and an RTX 4090."""
    ours, other = gpu("L40S").architecture, gpu("RTX 4090").architecture
    return statement(ours == other == "Ada Lovelace", f"{ours}; RTX 4090: {other}")


@computes("C000-003")
def capability() -> Found:
    """Compute capability of an L40S and the formats it multiplies in."""
    card = gpu("L40S")
    right = card.compute_capability == (8, 9) and {"fp8", "int8"} <= set(card.flops)
    return statement(right, f"{card.target}; {', '.join(card.flops)}")


@computes("C000-004", name="L40S", feature="sparsity_2_4")
@computes("C000-009", name="L40S", feature="fp8")
def supports(name: str, feature: str) -> Found:
    """Whether a card has a feature."""
    has = feature in gpu(name).supports
    return statement(has, f"{name}: {'yes' if has else 'no'}")


@computes("C000-005", told=864)
def bandwidth(told: float) -> Found:
    """Memory bandwidth of an L40S [GB/s]."""
    return number(told, gpu("L40S").bandwidth / GB, "GB/s", limits=EXACT)


@computes("C000-006", told=1935)
def bandwidth_of_a100(told: float) -> Found:
    """Memory bandwidth of the cards that are called A100 [GB/s]."""
    return among(told, {name: gpu(name).bandwidth / GB for name in A100}, "GB/s")


@computes("C000-007", told=90.5, compute="fp32")
@computes("C000-008", told=362, compute="fp16")
def rate(told: float, compute: str) -> Found:
    """Dense rate of an L40S, a datasheet's figure [TFLOPS]."""
    found = gpu("L40S").peak(compute) / 1e12
    return number(told, found, limits=EXACT, shown=f"{found:.4g} TFLOPS")


@computes("C002-001", told=5)
def h200_beside_l40s(told: float, limits: Limits = ROUGH) -> Found:
    """Bandwidth of an H200 over an L40S's."""
    return number(told, gpu("H200").bandwidth / gpu("L40S").bandwidth, "times", limits=limits)


@computes("C002-002", told=14)
def sums_over_pcie(told: float) -> Found:
    """Links of an H200 and an L40S, and the time in which four cards sum the hidden states of 16 requests."""
    links, times = [], []
    for name in ("H200", "L40S"):
        card, sent = gpu(name), 16 * 8192 * 2
        link = interconnect(card, 4)
        reached = collective(card, link, 4)
        links.append(link.bandwidth)
        times.append(reached.fixed + 2 * 3 / 4 * sent / (reached.bandwidth_fraction * link.bandwidth))
    ratio, slower = links[0] / links[1], times[1] / times[0]
    right = number(told, ratio).verdict == "correct"
    caveat = number(told, slower).verdict != "correct"
    return statement(right, f"links {ratio:.1f} times; a small sum {slower:.1f} times", but=caveat, number=ratio)


@computes("C002-003")
def no_nvlink() -> Found:
    """What joins L40S cards."""
    link = gpu("L40S").link
    return statement(link == "none", f"own link: {link}")


@computes("C002-040")
def flash_attention_3() -> Found:
    """FlashAttention 3 on Hopper and on an L40S."""
    hopper, ada = ("flash_attn_3" in gpu(name).supports for name in ("H100 SXM", "L40S"))
    return statement(hopper and not ada, f"H100 {'yes' if hopper else 'no'}, L40S {'yes' if ada else 'no'}")


def with_fp8() -> set[str]:
    """Generations of which a card has FP8 units."""
    return {card.architecture.partition(" (")[0] for card in map(gpu, names()) if "fp8" in card.supports}


@computes("C003-042")
def hopper_has_fp8() -> Found:
    """Whether Hopper has FP8, and which others do."""
    generations = with_fp8()
    return statement("Hopper" in generations, ", ".join(sorted(generations)), but=generations != {"Hopper"})


@computes("C003-060")
def only_hopper_has_fp8() -> Found:
    """Whether no other generation has FP8."""
    return statement(with_fp8() == {"Hopper"}, ", ".join(sorted(with_fp8())))


@computes("C003-062")
def others_have_fp8() -> Found:
    """FP8 on an MI300X, Gaudi 2 and Gaudi 3."""
    told = ("MI300X", "Gaudi 2 (HL-225H)", "Gaudi 3 (HL-325L)")
    having = [name for name in told if "fp8" in gpu(name).supports]
    return statement(len(having) == len(told), ", ".join(having))


@computes("C004-021", told=1.5)
def hbm(told: float) -> Found:
    """Memory bandwidth of the cards called A100 [TB/s]."""
    return among(told, {name: gpu(name).bandwidth / 1e12 for name in A100}, "TB/s")


@computes("C004-041")
def v100() -> Found:
    """A V100 beside the compute capability that today's builds of vLLM want: outdated where it has less."""
    needed, card = (7, 5), gpu("V100 16GB SXM2")
    enough = card.compute_capability is not None and card.compute_capability >= needed
    return Found(f"{card.target}; 7.5 is needed", None, "correct" if enough else "outdated")


@computes("C004-069", told=60)
def spot(told: float) -> Found:
    """What spot instances save beside the same provider's price by the hour [%]."""
    prices: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in read_rows("prices.csv"):
        prices[row["gpu"], row["provider"], row["gpus"]][row["kind"]] = float(row["usd_per_gpu_hour"])
    saved = sorted(
        100 * (1 - each["spot"] / each["on_demand"]) for each in prices.values() if {"spot", "on_demand"} <= set(each)
    )
    inside = saved[0] <= told <= saved[-1]
    alike = all(number(told, one).verdict != "wrong" for one in saved)
    middle = saved[len(saved) // 2]
    return statement(inside, f"{saved[0]:.0f} to {saved[-1]:.0f} %, in the middle {middle:.0f} %", but=not alike)
