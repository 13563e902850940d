"""What watches the endpoint: Prometheus, Grafana, or files that say what they are to do."""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING, Any

from workbench.checklist import rules as ruling
from workbench.checklist.asking import Reply
from workbench.checklist.finding import Evidence, bad, doubt, good, unknown
from workbench.checklist.manifests import at, items, named, of_kind
from workbench.checklist.rules import Rule

if TYPE_CHECKING:
    from workbench.checklist.inspection import Inspection

#: Most dashboards of Grafana that are opened.
DASHBOARDS = 12


async def query(inspection: Inspection, expr: str) -> tuple[Reply, float | None]:
    """An expression asked of Prometheus: what came back, and its first finite value.

    The HTTP API is https://prometheus.io/docs/prometheus/latest/querying/api/.
    """
    assert inspection.subject.prometheus is not None
    base = inspection.subject.prometheus
    reply = await inspection.ask("GET", "/api/v1/query", base=base, params={"query": expr})
    for row in items(at(reply.json(), "data", "result")) if reply.ok else []:
        try:
            value = float(at(row, "value", 1))
        except (TypeError, ValueError):
            continue
        if math.isfinite(value):
            return reply, value
    return reply, None


async def rules(inspection: Inspection) -> tuple[list[Rule], list[Evidence]]:
    """All rules that are known, and how they were looked for."""

    async def make() -> tuple[list[Rule], list[Evidence]]:
        found = ruling.in_files(inspection.manifests)
        said: list[Evidence] = []
        if found:
            files = ", ".join(sorted({rule.where for rule in found}))
            said.append(good(f"read the rules of {files}", f"{len(found)} rules"))
        if base := inspection.subject.prometheus:
            reply = await inspection.ask("GET", "/api/v1/rules", base=base)
            if reply.ok and at(reply.json(), "status") == "success":
                live = ruling.in_prometheus(reply.json())
                found += live
                said.append(good("Prometheus: GET /api/v1/rules", f"{len(live)} rules are loaded"))
            else:
                said.append(bad("Prometheus: GET /api/v1/rules", reply.line, "Correct the address of Prometheus."))
        return found, said

    return await inspection.once("rules", make)


async def dashboards(inspection: Inspection) -> tuple[list[str], list[Evidence]]:
    """Expressions of the dashboards' panels, and how they were looked for."""

    async def make() -> tuple[list[str], list[Evidence]]:
        base, key = inspection.subject.grafana, inspection.subject.grafana_key
        found: list[str] = []
        for one in inspection.manifests:  # a dashboard's JSON among the files
            if isinstance(one.get("panels"), list):
                found += _expressions(one)
        said = [good("read the dashboards among the files", f"{len(found)} queries")] if found else []
        if base is None:
            return found, said
        reply = await inspection.ask("GET", "/api/search", base=base, key=key, params={"type": "dash-db"})
        if not reply.ok or not isinstance(reply.json(), list):
            asked = "Grafana: GET /api/search?type=dash-db"
            return found, [*said, bad(asked, reply.line, "Correct Grafana's address, or give a key that may look.")]
        listed = [str(one.get("uid")) for one in items(reply.json())][:DASHBOARDS]
        asks = (inspection.ask("GET", f"/api/dashboards/uid/{uid}", base=base, key=key) for uid in listed)
        for opened in await asyncio.gather(*asks):
            found += _expressions(at(opened.json(), "dashboard"))
        said.append(good("Grafana: open its dashboards", f"{len(listed)} dashboards with {len(found)} queries"))
        return found, said

    return await inspection.once("dashboards", make)


def _expressions(dashboard: Any) -> list[str]:
    """Queries of all panels; panels may lie in rows."""
    found: list[str] = []
    waiting = [*items(at(dashboard, "panels")), *items(at(dashboard, "rows"))]
    for _ in range(1000):
        if not waiting:
            break
        panel = waiting.pop(0)
        found += [str(target["expr"]) for target in items(panel.get("targets")) if target.get("expr")]
        waiting += items(panel.get("panels"))
    return found


def scraped(inspection: Inspection) -> Evidence | None:
    """Evidence of files that tell Prometheus to collect; None where no file was given."""
    monitors = of_kind(inspection.manifests, "ServiceMonitor", "PodMonitor")
    configs = [one for one in inspection.manifests if isinstance(one.get("scrape_configs"), list)]
    annotated = [
        one for one in inspection.manifests
        if str(at(one, "metadata", "annotations", "prometheus.io/scrape")).casefold() == "true"
        or str(at(one, "spec", "template", "metadata", "annotations", "prometheus.io/scrape")).casefold() == "true"
    ]  # fmt: skip
    found = [named(one) for one in (*monitors, *annotated)] + [f"scrape_configs of {c.get('_file')}" for c in configs]
    if found:
        return good("look for who collects in the files", f"{', '.join(found[:3])} would collect it")
    return None


async def collected(inspection: Inspection, expr: str, what: str) -> Evidence:
    """Whether somebody collects it: Prometheus answers the expression, or files say so."""
    if inspection.subject.prometheus:
        reply, value = await query(inspection, expr)
        asked = f"Prometheus: {expr}"
        if value is not None:
            return good(asked, f"{value:.4g}")
        if not reply.ok:
            return bad(asked, reply.line, "Correct the address of Prometheus.")
        return bad(asked, "no value", f"Let Prometheus collect {what}; its Targets page says why it does not.")
    return scraped(inspection) or unknown(
        f"look for who collects {what}",
        "no Prometheus was named, and no file says who collects",
        "Give the address of Prometheus (--prometheus), or the ServiceMonitor or scrape_configs (--manifests).",
    )


async def shown(inspection: Inspection, pattern: str, what: str, *, needed: bool = False) -> list[Evidence]:
    """Whether a rule or a dashboard looks at it; nothing where neither was given and none is needed."""
    known, told = await rules(inspection)
    drawn, told_too = await dashboards(inspection)
    said = [piece for piece in (*told, *told_too) if piece.status != "pass"]
    users = [f"rule {rule.name}" for rule in known if re.search(pattern, f"{rule.name} {rule.expr}")]
    users += [f"a panel with {expr[:80]}" for expr in drawn if re.search(pattern, expr)]
    asked = f"look for {what} in rules and dashboards"
    if users:
        return [*said, good(asked, ", ".join(dict.fromkeys(users[:3])))]
    if known or drawn:
        return [
            *said,
            doubt(asked, f"none of {len(known)} rules and {len(drawn)} panels", f"Add a panel or a rule on {what}."),
        ]
    return [*said, unknown(asked, "no rules and no dashboards were given")] if needed else said


async def exported(inspection: Inspection, names: tuple[str, ...], what: str) -> Evidence:
    """Whether the endpoint exports one of these metrics."""
    page = await inspection.metrics_page()
    if page.ok:
        have = await inspection.exported()
        found = [name for name in names if name in have]
        asked = f"look for {what} on /metrics"
        if found:
            return good(asked, ", ".join(found))
        return bad(
            asked, f"none of {', '.join(names)}", "Serve with an engine that exports it, or measure at the gateway."
        )
    return unknown(
        "GET /metrics",
        page.line,
        "Say where /metrics can be read (--metrics), or give the address of Prometheus (--prometheus).",
    )


async def watched(inspection: Inspection, names: tuple[str, ...], expr: str, pattern: str, what: str) -> list[Evidence]:
    """Exported, collected and shown: what there is to say of one quantity."""
    out = await exported(inspection, names, what)
    into = await collected(inspection, expr, what)
    # What Prometheus holds was exported, wherever its page may be.
    pieces = [into] if out.status == "not checked" and into.asked.startswith("Prometheus") else [out, into]
    return [*pieces, *await shown(inspection, pattern, what)]
