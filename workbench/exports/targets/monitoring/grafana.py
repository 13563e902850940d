"""A Grafana dashboard: what the engine does beside what was planned.

Written in the classic model, whose last version is 42 and which every Grafana since 12.2 imports
(github:grafana/grafana ``apps/dashboard/pkg/migration/schemaversion/README.md``). The data source is a variable: the
file fits any Prometheus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.monitoring import _watch
from workbench.exports.targets.monitoring.prometheus import has_gpus
from workbench.monitoring.rules import FULL

SCHEMA = 42
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_TIMES = "$__rate_interval"
_COLUMNS, _HEIGHT, _FLAT = 24, 8, 4


@dataclass(frozen=True)
class Panel:
    """One panel.

    Parameters
    ----------
    title, about : str
        Its heading, and what it shows.
    queries : sequence of (str, str)
        Expressions with their legends.
    unit : str
        As Grafana names it.
    line : float or None
        What was planned, drawn as a line.
    kind : {"timeseries", "stat"}
    """

    title: str
    about: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    line: float | None = None
    kind: str = "timeseries"

    def to_dict(self, number: int, at: tuple[int, int, int, int]) -> dict[str, Any]:
        """As Grafana has it; ``at`` is column, row, width, height."""
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        steps += [{"color": "orange", "value": self.line}] if self.line is not None else []
        defaults: dict[str, Any] = {"unit": self.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
        if self.kind == "timeseries":
            drawn = "dashed" if self.line is not None else "off"
            defaults["custom"] = {"fillOpacity": 8, "showPoints": "never", "thresholdsStyle": {"mode": drawn}}
            defaults["color"] = {"mode": "palette-classic"}
            options: dict[str, Any] = {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        else:
            options = {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "value", "graphMode": "area", "textMode": "auto", "justifyMode": "auto",
            }  # fmt: skip
        targets = [
            {"refId": chr(ord("A") + n), "datasource": _SOURCE, "editorMode": "code", "expr": expr,
             "legendFormat": legend, "range": True}
            for n, (expr, legend) in enumerate(self.queries)
        ]  # fmt: skip
        x, y, width, height = at
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.about,
            "gridPos": {"x": x, "y": y, "w": width, "h": height}, "datasource": _SOURCE,
            "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options, "targets": targets,
        }  # fmt: skip


def _panels(subject: Subject) -> Iterator[Panel]:
    """What this engine's series allow."""
    series, speed, up = subject.server.series, subject.speed, _watch.of("up", subject)
    replicas = subject.wishes.replicas

    def rate(name: str) -> str:
        return f"sum(rate({_watch.of(name, subject)}[{_TIMES}]))"

    yield Panel(
        "Replicas that answer", f"{replicas} were planned.", [(f"count({up} == 1) or vector(0)", "")], kind="stat"
    )
    if series.running:
        flying = f"sum({_watch.of(series.running, subject)})"
        yield Panel("Requests running", f"Planned: {subject.at_once} a replica.", [(flying, "")], kind="stat")
    if series.successes:
        yield Panel("Requests finished", "", [(rate(series.successes), "")], "reqps", kind="stat")
    if failing := _watch.share_failing(subject, _TIMES):
        yield Panel(
            "Requests that fail", "Share, by the server's fault (5xx).", [(failing, "")], "percentunit",
            _watch.FAILING, "stat",
        )  # fmt: skip
    if usd := _watch.usd(subject):
        yield Panel(
            "Cost of a million output tokens", "The replicas' list price over what they said in the last hour, in USD.",
            [(usd, "USD")], "currencyUSD", kind="stat",
        )  # fmt: skip
    first = _watch.mean(series.ttft, subject, _TIMES, by="job") if series.ttft else ""
    whole = _watch.mean(series.latency, subject, _TIMES, by="job") if series.latency else ""
    bound = "The line is the plan's upper bound of the mean."
    for title, about, metric, taken, planned in (
        ("Time to first token", bound, series.ttft, first, speed.ttft if speed else None),
        ("Time per output token", bound, series.itl, _watch.per_token(subject, _TIMES, by="job"),
         speed.tpot if speed else None),
        ("Latency of whole requests", "Of all lengths together.", series.latency, whole, None),
    ):  # fmt: skip
        if metric:
            queries = [(_watch.quantile(q, metric, subject, _TIMES), f"P{round(100 * q)}") for q in (0.5, 0.95, 0.99)]
            queries += [(taken, "mean")] if taken else []
            yield Panel(title, about, queries, "s", planned.high if planned else None)
    if series.generation_tokens:
        queries = [(rate(series.generation_tokens), "output")]
        queries += [(rate(series.prompt_tokens), "input")] if series.prompt_tokens else []
        line = speed.output_tokens_per_s.value * replicas if speed else None
        yield Panel("Tokens a second", "The line is the output planned under full load.", queries, "short", line)
    if series.running and series.waiting:
        queries = [(f"sum by (instance) ({_watch.of(name, subject)})", f"{what} {{{{instance}}}}")
                   for name, what in ((series.running, "running"), (series.waiting, "waiting"))]  # fmt: skip
        about = "The line is what one replica was planned for. Requests that always wait want another replica."
        yield Panel("Requests in flight", about, queries, "short", subject.at_once)
    if series.kv_cache_usage:
        used = f"max by (instance) ({_watch.of(series.kv_cache_usage, subject)})"
        about = "Full and nobody waiting is a batch that just fits."
        yield Panel("KV cache in use", about, [(used, "{{instance}}")], "percentunit", FULL)
    if series.preemptions:
        sent = f"sum by (instance) (rate({_watch.of(series.preemptions, subject)}[{_TIMES}]))"
        yield Panel(
            "Requests sent back", "For want of KV cache, to be computed again.", [(sent, "{{instance}}")], "reqps"
        )
    if has_gpus(subject):
        where = "{{instance}} GPU {{gpu}}"
        yield Panel(
            "GPUs: busy", "Needs NVIDIA's dcgm-exporter. A GPU that loads or waits is busy too.",
            [("DCGM_FI_DEV_GPU_UTIL", where)], "percent",
        )  # fmt: skip
        used = "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)"
        yield Panel(
            "GPUs: memory in use", "Needs NVIDIA's dcgm-exporter. An engine takes its share at its start.",
            [(used, where)], "percentunit",
        )  # fmt: skip


def dashboard(subject: Subject) -> dict[str, Any]:
    """The whole of it: figures in a row on top, then two panels a row."""
    panels = list(_panels(subject))
    flat = [panel for panel in panels if panel.kind == "stat"]
    tall = [panel for panel in panels if panel.kind != "stat"]
    width = _COLUMNS // len(flat)
    placed = [panel.to_dict(n, ((n - 1) * width, 0, width, _FLAT)) for n, panel in enumerate(flat, 1)]
    for n, panel in enumerate(tall):
        at = (n % 2 * 12, _FLAT + n // 2 * _HEIGHT, 12, _HEIGHT)
        placed.append(panel.to_dict(len(flat) + n + 1, at))
    return {
        "uid": subject.name,
        "title": f"{subject.name}: planned and real",
        "tags": ["llm", subject.engine],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0,
                 "refresh": 1, "regex": "", "multi": False, "includeAll": False, "options": [], "current": {}}
            ]
        },
        "panels": placed,
    }  # fmt: skip


def files(subject: Subject) -> list[File]:
    """One dashboard."""
    text = json.dumps(dashboard(subject), indent=2) + "\n"
    return [File("grafana/dashboard.json", "grafana", text, language="json")]


def steps(subject: Subject) -> list[str]:
    """Import it."""
    return [
        "In Grafana import `grafana/dashboard.json` and choose the Prometheus that collects the engine.",
        "Or put it into a folder that Grafana's provisioning reads.",
    ]


TARGET = Target(
    id="grafana",
    title="Grafana",
    about="A dashboard of what the engine does, with what was planned drawn as lines.",
    files=files,
    steps=steps,
    obstacle=_watch.obstacle,
    source="https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/",
    without=_watch.blind(),
)
