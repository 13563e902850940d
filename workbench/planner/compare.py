"""Side by side: two GPUs, and what each does to decode and all-reduce; two plans, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.architecture.model import Model
from workbench.deployment import Workload
from workbench.hardware import GPU, gpu, interconnect
from workbench.planner.plan import Plan, plan
from workbench.planner.roofline_points import running, step_totals
from workbench.quantities import Estimate, show_bytes, show_seconds

#: Bytes of an activation as it is exchanged.
_MESSAGE_BYTES = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of two things.

    Attributes
    ----------
    group, name, unit : str
        What it is; the unit is that of the house ("B", "B/s", "FLOP/s", "s", "USD/h" …), empty for text and counts.
    a, b : float, str, Estimate or None
        Of the one and the other; None where there is none.
    better : str
        Whether "more" or "less" is better; empty where neither is.
    """

    group: str
    name: str
    unit: str
    a: Any
    b: Any
    better: Literal["more", "less", ""] = ""

    @property
    def ratio(self) -> float | None:
        """b over a; None where that means nothing, as for a cache that is short of memory."""
        a, b = _plain(self.a), _plain(self.b)
        return b / a if a is not None and b is not None and a > 0 <= b else None

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return bool(self.a != self.b)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; ``differs`` and ``ratio`` besides."""
        fields = asdict(self) | {"ratio": self.ratio, "differs": self.differs}
        for side in ("a", "b"):
            if isinstance(value := getattr(self, side), Estimate):
                fields[side] = value.to_dict()
        return fields


def _plain(value: Any) -> float | None:
    if isinstance(value, Estimate):
        return value.value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# ---------------------------------------------------------------------------------------------- two GPUs


def two_gpus(
    model: Model | str | Path,
    a: str | GPU,
    b: str | GPU,
    *,
    workload: Workload | None = None,
    **deployment: Any,
) -> list[Line]:
    """Two cards for one model and one deployment.

    The groups: "Card", "Between cards", "Decode", "All-reduce", "Prompt" and "As planned". Times of the middle three
    are what the datasheet's rates give; the plan's own add all that slows an engine.

    Parameters
    ----------
    model
        As for :func:`workbench.planner.plan`.
    a, b : str or GPU
        The cards.
    workload : Workload, optional
        The load; the default one when omitted.
    **deployment
        Other fields of a Deployment; ``tensor_parallel_size`` says over how many cards.

    Raises
    ------
    UnknownName, UnsupportedModel, InvalidInput
        For names, models and values that cannot be planned.

    Examples
    --------
    >>> lines = two_gpus("meta-llama/Llama-3.1-8B-Instruct", "L40S", "H100 SXM", max_model_len=8192)
    >>> next(line for line in lines if line.name == "Memory bandwidth").ratio.__round__(2)
    3.88
    """
    one, two = _card(a), _card(b)
    ours, theirs = (plan(model, card, workload=workload, **deployment) for card in (one, two))
    lines = [*_cards(one, two), *_links(one, two, ours.deployment.tensor_parallel_size)]
    for group in (_decode, _all_reduce, _prompt):
        lines += group(ours, theirs)
    return lines + [line for line in _outcomes(ours, theirs, "As planned") if line.name not in _NOT_OF_CARDS]


def _card(given: str | GPU) -> GPU:
    return gpu(given) if isinstance(given, str) else given


_NOT_OF_CARDS = {"Weights", "Activations", "List price"}


def _cards(a: GPU, b: GPU) -> Iterator[Line]:
    def line(name: str, unit: str, better: Literal["more", "less", ""], of: Any) -> Line:
        return Line("Card", name, unit, of(a), of(b), better)

    yield line("Memory", "B", "more", lambda card: card.capacity)
    yield line("Memory bandwidth", "B/s", "more", lambda card: card.bandwidth or None)
    yield line("16-bit rate, dense", "FLOP/s", "more", _sixteen)
    for kind, name in (("fp8", "FP8"), ("int8", "INT8"), ("fp4", "FP4")):
        yield line(f"{name} rate, dense", "FLOP/s", "more", lambda card, kind=kind: card.flops.get(kind))
    yield line("Power", "W", "less", lambda card: card.tdp)
    yield line("List price", "USD/h", "less", lambda card: card.usd_per_hour)
    yield line("Architecture", "", "", lambda card: card.architecture)


def _sixteen(card: GPU) -> float | None:
    return card.flops.get("bf16", card.flops.get("fp16"))


def _eight(card: GPU) -> float | None:
    return card.flops.get("fp8")


def _links(a: GPU, b: GPU, count: int) -> Iterator[Line]:
    count = max(count, 2)
    ours, theirs = (interconnect(card, count) for card in (a, b))
    group = "Between cards"
    yield Line(group, f"Link of {count} cards", "", _linked(ours.kind), _linked(theirs.kind))
    yield Line(group, "Bandwidth, each way", "B/s", ours.bandwidth, theirs.bandwidth, "more")
    yield Line(group, "One step, small message", "s", ours.latency, theirs.latency, "less")
    yield Line(group, "Host link (PCIe), each way", "B/s", a.pcie_bandwidth or None, b.pcie_bandwidth or None, "more")


def _linked(kind: str) -> str:
    words = {"pcie": "PCIe", "nvswitch": "NVSwitch", "nvlink bridge": "NVLink bridge", "nvlink mesh": "NVLink mesh"}
    return words.get(kind, kind[:1].upper() + kind[1:])


def _decode(a: Plan, b: Plan) -> Iterator[Line]:
    ours, theirs = decode_read(a), decode_read(b)
    if ours is None or theirs is None:
        return
    yield Line("Decode", "Read in each step, each card", "B", ours[0], theirs[0])
    yield Line("Decode", "Time to read that, at least", "s", ours[1], theirs[1], "less")


def decode_read(plan: Plan) -> tuple[float, float] | None:
    """What one card reads in a decode step of the plan's batch [B], and the least time that takes [s]."""
    setup, load = plan.setup, plan.workload
    if setup is None or not setup.card.bandwidth:
        return None
    moved, _ = step_totals(setup, queries=1.0, requests=running(plan), context=load.isl + load.osl / 2)
    return moved, moved / setup.card.bandwidth


def _all_reduce(a: Plan, b: Plan) -> Iterator[Line]:
    count = a.deployment.tensor_parallel_size
    if count == 1 or a.setup is None or b.setup is None:
        return
    group = "All-reduce"
    # Cards of different memory run batches of different size; compared is what each link does with the same messages.
    batch = min(running(a), running(b))
    for name, tokens in (("decode step", batch), ("prompt", float(a.workload.isl))):
        size = tokens * a.model.hidden * _MESSAGE_BYTES
        ours, theirs = (2 * len(a.model.layers) * ring_time(size, count, each.card) for each in (a, b))
        yield Line(group, f"Message in a {name}, {2 * len(a.model.layers)} times", "B", size, size)
        yield Line(group, f"All of a {name}, at least", "s", ours, theirs, "less")


def ring_time(size: float, gpus: int, card: GPU) -> float:
    """Time of one ring all-reduce over a group of cards at their link's nominal rate [s].

    2 (n − 1) / n of the message crosses each link, in 2 (n − 1) steps.

    References
    ----------
    Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", 2005.

    Examples
    --------
    128 KiB over four cards, through PCIe and through NVSwitch:

    >>> [f"{ring_time(131072, 4, gpu(name)) * 1e6:.1f} us" for name in ("L40S", "H100 SXM")]
    ['12.2 us', '3.3 us']
    """
    if gpus == 1:
        return 0.0
    link = interconnect(card, gpus)
    return 2 * (gpus - 1) / gpus * size / link.bandwidth + 2 * (gpus - 1) * link.latency


def _prompt(a: Plan, b: Plan) -> Iterator[Line]:
    if a.setup is None or b.setup is None:
        return
    ours, theirs = (
        step_totals(setup, queries=float(a.workload.isl), requests=1.0, context=0.0)[1] for setup in (a.setup, b.setup)
    )
    yield Line("Prompt", "To compute, each card", "FLOP", ours, theirs)
    for name, rate in (("in 16 bit", _sixteen), ("in FP8", _eight)):
        one, two = rate(a.card), rate(b.card)
        yield Line(
            "Prompt", f"Time {name}, at least", "s", ours / one if one else None, theirs / two if two else None, "less"
        )


def gpus_in_words(model: Model | str | Path, a: str | GPU, b: str | GPU, **choice: Any) -> list[str]:
    """What the difference between two cards does, in sentences.

    Examples
    --------
    >>> texts = gpus_in_words("meta-llama/Llama-3.1-8B-Instruct", "A100 80GB SXM", "H100 SXM", max_model_len=8192)
    >>> texts[1]
    'Only H100 SXM5 computes in FP8. On A100 80GB SXM4, FP8 weights save memory and prompts are computed in 16 bit.'
    """
    one, two = _card(a), _card(b)
    ours, theirs = (plan(model, card, **choice) for card in (one, two))
    return [*_decode_in_words(ours, theirs), *_all_reduce_in_words(ours, theirs), *_fp8_in_words(one, two)]


def _decode_in_words(a: Plan, b: Plan) -> Iterator[str]:
    ours, theirs = decode_read(a), decode_read(b)
    if ours is None or theirs is None:
        return
    times = b.card.bandwidth / a.card.bandwidth
    yield (
        f"Decode reads memory: at least {show_seconds(ours[1])} a step on {a.card.name}, {show_seconds(theirs[1])} on"
        f" {b.card.name} ({times:.3g} times the bandwidth)."
    )


def _all_reduce_in_words(a: Plan, b: Plan) -> Iterator[str]:
    lines = {line.name: line for line in _all_reduce(a, b)}
    found = lines.get("All of a decode step, at least")
    if found is None:
        return
    count = a.deployment.tensor_parallel_size
    kinds = [_linked(interconnect(plan.card, count).kind) for plan in (a, b)]
    size = next(line.a for name, line in lines.items() if name.startswith("Message in a decode step"))
    yield (
        f"Over {count} cards every layer exchanges {show_bytes(size)} twice: a decode step spends at least"
        f" {show_seconds(found.a)} on that over {a.card.name}'s {kinds[0]},"
        f" {show_seconds(found.b)} over {b.card.name}'s {kinds[1]}."
    )


def _fp8_in_words(a: GPU, b: GPU) -> Iterator[str]:
    having, lacking = [c.name for c in (a, b) if "fp8" in c.flops], [c.name for c in (a, b) if "fp8" not in c.flops]
    if having and lacking:
        yield (
            f"Only {having[0]} computes in FP8. On {lacking[0]}, FP8 weights save memory and prompts are computed in"
            " 16 bit."
        )
    elif lacking:
        yield "Neither computes in FP8: FP8 weights save memory on both, and prompts are computed in 16 bit."


# ---------------------------------------------------------------------------------------------- two plans


def two_plans(a: Plan, b: Plan) -> list[Line]:
    """Two plans: what was chosen, and what came of it.

    Examples
    --------
    >>> one = plan("meta-llama/Llama-3.1-8B-Instruct", "L40S", max_model_len=8192)
    >>> two = plan("meta-llama/Llama-3.1-8B-Instruct", "L40S", max_model_len=8192, quantization="fp8")
    >>> [(line.name, line.a, line.b) for line in two_plans(one, two) if line.group == "Choice" and line.differs]
    [('Quantisation', 'as the checkpoint is', 'fp8')]
    """
    return [*_choices(a, b), *_outcomes(a, b)]


def _choices(a: Plan, b: Plan) -> Iterator[Line]:
    def line(name: str, of: Any) -> Line:
        return Line("Choice", name, "", of(a), of(b))

    yield line("Model", lambda p: p.model.id)
    yield line("GPU", lambda p: p.card.name)
    yield line("GPUs", lambda p: p.deployment.gpus)
    yield line("Engine", lambda p: f"{p.deployment.engine} {p.engine_version}")
    yield line("Quantisation", lambda p: p.deployment.quantization or "as the checkpoint is")
    yield line("KV cache type", lambda p: p.deployment.kv_cache_dtype)
    yield line("Context length", lambda p: p.deployment.max_model_len or p.model.max_model_len)
    yield line("Requests at once", lambda p: p.workload.concurrency)
    yield line("Input tokens", lambda p: p.workload.isl)
    yield line("Output tokens", lambda p: p.workload.osl)


def _outcomes(a: Plan, b: Plan, group: str = "") -> Iterator[Line]:
    yield Line(group or "Outcome", "Starts", "", _yes(a.fits), _yes(b.fits))
    ours, theirs = a.memory, b.memory
    memory, speed = group or "Memory of one GPU", group or "Speed"
    for name, key, unit, better in (
        ("Weights", "weights", "B", "less"),
        ("Activations", "activation_peak", "B", "less"),
        ("KV cache", "kv_cache", "B", "more"),
        ("KV cache, tokens", "kv_cache_tokens", "tokens", "more"),
    ):
        if ours is not None and theirs is not None:
            yield Line(memory, name, unit, getattr(ours, key), getattr(theirs, key), better)  # type: ignore[arg-type]
    fast, slow = a.performance(), b.performance()
    for name, key, unit, better in (
        ("Time to first token", "ttft", "s", "less"),
        ("Time per output token", "tpot", "s", "less"),
        ("Output tokens per second", "output_tokens_per_s", "tokens/s", "more"),
        ("Per million output tokens", "usd_per_million_tokens", "USD", "less"),
    ):
        if fast is not None or slow is not None:
            yield Line(speed, name, unit, getattr(fast, key, None), getattr(slow, key, None), better)  # type: ignore[arg-type]
    yield Line(group or "Money", "List price", "USD/h", a.usd_per_hour, b.usd_per_hour, "less")


def _yes(fits: bool) -> str:
    return "yes" if fits else "no"
