"""What is asked of Prometheus: expressions on an engine's own series, alerts whose figures are the plan's.

A rule is written only for series that the engine has (:class:`workbench.exports.server.Metrics`). Only the
deployment's name, a DNS label, is put into expressions and templates: PromQL and Go's templates need not quote it.

Times are compared as means: the sum of a histogram over its count is exact, and what a plan says. A quantile is only as
fine as the engine's buckets, up to 2.5 times apart where it matters (github:vllm-project/vllm
``vllm/v1/metrics/loggers.py``), so the one alert on a tail keeps that distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workbench.deployment import ENGINES
from workbench.errors import UnknownName
from workbench.exports.server import Metrics
from workbench.exports.servers import server
from workbench.exports.subject import Subject
from workbench.monitoring.rules import FULL

#: Over which rates and means are taken: several scrapes, and a few requests of a quiet service.
WINDOW = "10m"
#: Of all requests; the readiness list's ``alert_error_rate`` (data/readiness.csv).
FAILING = 0.01
#: Requests sent back more than planned, of those that finished. A choice of ours.
PREEMPTED = 0.05
#: How far a tail may be above the plan's: the distance of two bucket bounds.
COARSE = 2.5


@dataclass(frozen=True)
class Alert:
    """An alert.

    Parameters
    ----------
    name, expr : str
        What it is called; when it fires.
    hold : str
        How long that must last.
    severity : {"critical", "warning", "info"}
        Wakes somebody, is looked at in the morning, is good to know.
    summary, description : str
        For people; Go's templates.
    """

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    description: str

    def to_dict(self) -> dict[str, Any]:
        """As Prometheus has it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.description},
        }


def blind() -> dict[str, str]:
    """Engines that nothing can be collected from, with the reason: a target's ``without``."""
    found = {}
    for name in ENGINES:
        try:
            if not server(name).metrics:
                found[name] = "it has no metrics"
        except UnknownName:  # nothing is exported for it at all
            continue
    return found


def obstacle(subject: Subject) -> str | None:
    """More load than can be served has no times to be compared with, and replicas need ports."""
    speed = subject.speed
    if speed is not None and not (math.isfinite(speed.ttft.high) and math.isfinite(speed.tpot.high)):
        return "request_rate is more than the plan serves, so it has no times to compare with"
    if subject.wishes.port + subject.wishes.replicas - 1 > 65535:
        return f"port is {subject.wishes.port}: {subject.wishes.replicas} replicas do not find ports above it"
    return None


def of(series: str, subject: Subject) -> str:
    """A selector of this deployment's series, which may have labels already.

    >>> import workbench as wb
    >>> of('requests_total{status="5xx"}', Subject(wb.plan("Qwen/Qwen3-8B", "L40S", max_model_len=8192)))
    'requests_total{job="qwen3-8b",status="5xx"}'
    """
    name, _, labels = series.partition("{")
    return f'{name}{{job="{subject.name}"' + (f",{labels}" if labels else "}")


def mean(series: str, subject: Subject, window: str = WINDOW, by: str = "instance") -> str:
    """A histogram's mean, exact; nothing where nothing was observed."""
    total, count = of(f"{series}_sum", subject), of(f"{series}_count", subject)
    return f"sum by ({by}) (rate({total}[{window}])) / sum by ({by}) (rate({count}[{window}]))"


def per_token(subject: Subject, window: str = WINDOW, by: str = "instance") -> str:
    """Mean time per output token; "" where it cannot be told.

    vLLM observes the time between two outputs of a request, and one that drafts puts several tokens into an output
    (github:vllm-project/vllm ``vllm/v1/metrics/stats.py`` ``update_from_output``): all that time is then divided by the
    tokens counted.
    """
    series = subject.server.series
    if not series.itl:
        return ""
    if not subject.plan.deployment.speculative_config:
        return mean(series.itl, subject, window, by)
    if not series.generation_tokens:
        return ""
    passed, tokens = of(f"{series.itl}_sum", subject), of(series.generation_tokens, subject)
    return f"sum by ({by}) (rate({passed}[{window}])) / sum by ({by}) (rate({tokens}[{window}]))"


def quantile(share: float, series: str, subject: Subject, window: str = WINDOW) -> str:
    """A histogram's quantile over all replicas, as fine as its buckets."""
    bucket = of(f"{series}_bucket", subject)
    return f"histogram_quantile({share:g}, sum by (le) (rate({bucket}[{window}])))"


def share_failing(subject: Subject, window: str = WINDOW) -> str:
    """Share of requests that fail by the server's fault; "" where the engine does not count them."""
    series = subject.server.series
    if not (series.failures and series.requests):
        return ""
    failed, every = of(series.failures, subject), of(series.requests, subject)
    return f"sum(rate({failed}[{window}])) / sum(rate({every}[{window}]))"


def usd(subject: Subject, window: str = "1h") -> str:
    """What a million output tokens cost [USD]: the replicas' price over what they said; "" where one is not known."""
    price, tokens = subject.plan.usd_per_hour, subject.server.series.generation_tokens
    if price is None or not tokens:
        return ""
    said = f"sum(rate({of(tokens, subject)}[{window}])) * 0.0036"  # millions an hour
    return f"{price.value:.4g} * count({of('up', subject)} == 1) / ({said})"


def alerts(subject: Subject) -> list[Alert]:
    """Those that this engine's series allow."""
    return list(_alerts(subject, subject.server.series))


def _alerts(subject: Subject, series: Metrics) -> Iterator[Alert]:
    name, start = subject.name, subject.start_seconds
    up = of("up", subject)
    yield Alert(
        "NoReplicaAnswers", f"absent({up} == 1)", "1m", "critical",
        f"{name}: no replica answers",
        "Nobody is served. If none was started on purpose, look at the engines' logs.",
    )  # fmt: skip
    yield Alert(
        "ReplicaDown", f"{up} == 0", f"{start}s", "warning",
        f"{name}: {{{{ $labels.instance }}}} does not answer",
        f"It has not for {start} s, longer than its start may take.",
    )  # fmt: skip
    yield from _slow(subject, series)
    if series.waiting:
        waits = f"sum by (instance) (min_over_time({of(series.waiting, subject)}[{WINDOW}])) >= 1"
        yield Alert(
            "RequestsWait", waits, "5m", "warning",
            f"{name}: requests wait all the time on {{{{ $labels.instance }}}}",
            "It serves as much as it can. Add a replica, or let less in.",
        )  # fmt: skip
        if series.kv_cache_usage:
            full = f"max by (instance) (min_over_time({of(series.kv_cache_usage, subject)}[{WINDOW}])) > {FULL:g}"
            yield Alert(
                "KVCacheFull", f"{full} and {waits}", "5m", "warning",
                f"{name}: the KV cache of {{{{ $labels.instance }}}} is full, and requests wait for it",
                "Add a replica, shorten the context, or plan a larger or smaller-typed cache.",
            )  # fmt: skip
    if series.preemptions and series.successes:
        speed = subject.speed
        planned = (speed.preemptions or 0.0) if speed else 0.0
        sent, done = of(series.preemptions, subject), of(series.successes, subject)
        yield Alert(
            "RequestsPreempted",
            f"sum by (instance) (rate({sent}[{WINDOW}])) / sum by (instance) (rate({done}[{WINDOW}]))"
            f" > {planned + PREEMPTED:.4g}",
            "5m", "warning",
            f"{name}: {{{{ $labels.instance }}}} sends running requests back",
            "For want of KV cache, to be computed again: {{ $value | humanize }} for each that finishes, "
            f"{planned:.2g} were planned.",
        )  # fmt: skip
    if failing := share_failing(subject, "5m"):
        yield Alert(
            "RequestsFail", f"{failing} > {FAILING:g}", "2m", "critical",
            f"{name}: requests fail",
            "{{ $value | humanizePercentage }} of them by the server's fault. Look at the engines' logs.",
        )  # fmt: skip
    if series.running and series.generation_tokens:
        silent = f"{subject.longest_answer}s"
        runs = f"sum by (instance) (min_over_time({of(series.running, subject)}[{silent}])) >= 1"
        says = f"sum by (instance) (increase({of(series.generation_tokens, subject)}[{silent}])) == 0"
        yield Alert(
            "EngineHangs", f"{runs} and {says}", "1m", "critical",
            f"{name}: {{{{ $labels.instance }}}} has requests and says nothing",
            f"Not a token in {subject.longest_answer} s, as long as a whole answer may take. Restart it.",
        )  # fmt: skip
    if series.running and series.waiting:
        flying = " + ".join(f"sum(avg_over_time({of(s, subject)}[30m]))" for s in (series.running, series.waiting))
        yield Alert(
            "MoreThanPlanned", f"({flying}) / count({up} == 1) > {subject.at_once}", "30m", "info",
            f"{name}: more requests in flight than were planned",
            f"{{{{ $value | humanize }}}} on each replica, {subject.at_once} were planned; its times no longer hold.",
        )  # fmt: skip


def _slow(subject: Subject, series: Metrics) -> Iterator[Alert]:
    """Times beyond the plan's upper bounds."""
    speed = subject.speed
    if speed is None:
        return
    first = mean(series.ttft, subject) if series.ttft else ""
    for what, short, taken, planned in (
        ("SlowFirstToken", "time to first token", first, speed.ttft),
        ("SlowTokens", "time per output token", per_token(subject), speed.tpot),
    ):
        if taken:
            yield Alert(
                what, f"{taken} > {planned.high:.4g}", "10m", "warning",
                f"{subject.name}: {short} of {{{{ $labels.instance }}}} is above the plan's",
                f"A mean of {{{{ $value | humanizeDuration }}}}; {_ms(planned.value)} were planned, at most "
                f"{_ms(planned.high)}. More load than planned, or something is slower.",
            )  # fmt: skip
    if series.ttft:
        most = COARSE * (speed.ttft_p95 or speed.ttft).high
        yield Alert(
            "SlowForSome", f"{quantile(0.95, series.ttft, subject)} > {most:.4g}", "10m", "warning",
            f"{subject.name}: one request in twenty waits long for its first token",
            f"{{{{ $value | humanizeDuration }}}} or longer; {_ms(most)} is {COARSE:g} times the plan's upper bound.",
        )  # fmt: skip


def _ms(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
