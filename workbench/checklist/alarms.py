"""Whether an alert exists that would fire: on a metric that exists, at a figure that is not too late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.checklist.figures import Threshold
from workbench.checklist.finding import Evidence, bad, doubt, good, unknown
from workbench.checklist.rules import Rule, about
from workbench.checklist.watching import query, rules

if TYPE_CHECKING:
    from workbench.checklist.inspection import Inspection

#: Metrics of an engine that guides name and no release has, or has no more: a rule on them never fires.
#: From the source of vLLM 0.33, vllm/v1/metrics/loggers.py, and pull requests 29330 and 32661.
GONE = {
    "vllm:avg_time_to_first_token_seconds": "vllm:time_to_first_token_seconds_bucket",
    "vllm:avg_time_per_output_token_seconds": "vllm:inter_token_latency_seconds_bucket",
    "vllm:time_per_output_token_seconds_bucket": "vllm:inter_token_latency_seconds_bucket",
    "vllm:gpu_cache_usage_perc": "vllm:kv_cache_usage_perc",
    "vllm:cpu_cache_usage_perc": "nothing: vLLM no longer swaps",
    "vllm:num_requests_swapped": "nothing: vLLM no longer swaps",
}


async def alarm(
    inspection: Inspection,
    what: str,
    patterns: Sequence[str],
    example: str,
    *,
    latest: Threshold | None = None,
) -> list[Evidence]:
    """Look for an alert among the rules.

    Parameters
    ----------
    inspection : Inspection
    what : str
        What it must tell.
    patterns : sequence of str
        Expressions that would; what an alert is called proves nothing.
    example : str
        An expression that would, for who has none.
    latest : Threshold, optional
        The figure at which it must have fired.
    """
    known, told = await rules(inspection)
    alerts = [rule for rule in known if rule.alerting]
    asked = f"look for an alert on {what}"
    if not known:
        failed = [piece for piece in told if piece.status == "fail"]
        return failed or [unknown(asked, "no rules were given, and no Prometheus was named")]
    found = about(alerts, *patterns)
    if not found:
        mend = f"Add an alert such as: {example}"
        return [bad(asked, f"none of {len(alerts)} alerts looks at it", mend)]
    judged = [await _judged(inspection, rule, asked, latest) for rule in found]
    # One that works is enough; those that do not are shown beside it.
    best = next((piece for piece in judged if piece.status == "pass"), None)
    if best is not None:
        return [best]
    return judged


async def _judged(inspection: Inspection, rule: Rule, asked: str, latest: Threshold | None) -> Evidence:
    shown = f"{rule.name} ({rule.where}): {rule.expr}"
    if rule.health == "err":
        return bad(
            asked,
            f"{shown}; Prometheus cannot evaluate it",
            "Mend its expression; Prometheus' Rules page says what is wrong.",
        )
    missing = await _missing(inspection, rule)
    if missing:
        name, why = missing
        return bad(asked, f"{shown}; {name} {why}, so it never fires", f"Use {GONE.get(name, 'a metric that exists')}.")
    if latest is not None and rule.bounds and min(abs(bound) for bound in rule.bounds) > latest.value:
        return doubt(asked, f"{shown}; it fires late, {latest.words} is asked", "Lower the figure it compares with.")
    return good(asked, shown)


async def _missing(inspection: Inspection, rule: Rule) -> tuple[str, str] | None:
    """A metric of the rule that nobody has, and how that is known."""
    for name in sorted(rule.metrics):
        if name in GONE:
            return name, "is no metric of a current vLLM"
    ours = sorted(name for name in rule.metrics if name.startswith("vllm:"))
    exported = await inspection.exported()
    if ours and any(name.startswith("vllm:") for name in exported):
        for name in ours:
            if name not in exported:
                return name, "is not on this engine's /metrics"
    elif ours and inspection.subject.prometheus:
        for name in ours:
            reply, value = await query(inspection, f"count({name})")
            if reply.ok and value is None:
                return name, "is unknown to Prometheus"
    return None
