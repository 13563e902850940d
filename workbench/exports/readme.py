"""The bundle's README: the plan in numbers, what to replace, in which order to apply what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.quantities import GIB, Estimate, show_seconds

if TYPE_CHECKING:
    from workbench.exports.bundle import Bundle


def readme(bundle: Bundle) -> str:
    """Markdown; it names every target with its steps."""
    subject, plan = bundle.subject, bundle.subject.plan
    deployment, speed, memory = plan.deployment, plan.performance(), plan.memory
    cards = f"{deployment.gpus} × {plan.card.name}" if subject.gpus else "a processor"
    lines = [f"# {subject.name}", "", f"`{plan.model.id}` by {subject.engine} {plan.engine_version} on {cards}.", ""]
    lines += ["## The plan", "", "| | planned | 90 % between |", "|---|---|---|"]
    if memory is not None:
        lines += [_row("weights on one GPU [GiB]" if subject.gpus else "weights [GiB]", memory.weights, 1 / GIB)]
        lines += [_row("KV cache [tokens]", memory.kv_cache_tokens, 1.0, "{:,.0f}")]
    if speed is not None:
        load = plan.workload
        lines += [
            _times("TTFT", speed.ttft),
            _times("TPOT", speed.tpot),
            _row("output tokens a second", speed.output_tokens_per_s, 1.0, "{:,.0f}"),
            "",
            f"Under {load.isl} input and {load.osl} output tokens, "
            + (
                f"{load.request_rate:g} requests a second."
                if load.request_rate
                else f"{load.concurrency} requests in flight."
            ),
        ]
    lines += [
        "",
        "These are estimates. `plan.json` holds all of them; `workbench compare --plan plan.json` sets beside them",
        "what the engine does.",
        "",
    ]
    lines += ["## What to replace", ""]
    lines += [f"- `{name}`: a secret. No file here holds one." for name in subject.secrets]
    lines += [f"- `{subject.token}`: a secret that only gated models need."] if subject.token else []
    if not subject.from_hub:
        lines.append(f"- `{subject.model_path}`: the checkpoint; it must lie where the engine runs.")
    lines += [f"- `{subject.wishes.host}`: the name clients use.", ""]
    lines += ["## In which order", ""]
    for number, target in enumerate(bundle.targets, 1):
        lines += [f"### {number}. {target.title}", "", target.about, ""]
        lines += [f"- {step}" for step in target.steps(subject)] + [""]
    return "\n".join(lines)


def _times(name: str, seconds: Estimate) -> str:
    value, low, high = (show_seconds(x) for x in (seconds.value, seconds.low, seconds.high))
    return f"| {name} | {value} | {low} – {high} |"


def _row(name: str, estimate: Estimate, factor: float, form: str = "{:,.2f}") -> str:
    value, low, high = (form.format(factor * x) for x in (estimate.value, estimate.low, estimate.high))
    return f"| {name} | {value} | {low} – {high} |"
