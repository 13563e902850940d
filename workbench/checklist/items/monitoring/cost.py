"""Cost is watched: what a request or a token comes to."""

from __future__ import annotations

import re

from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check
from workbench.checklist.watching import collected, shown

CHECK = Check(
    id="cost",
    title="Cost is watched",
    item="What a request and a token cost.",
    prove="Record the GPUs' price over the tokens as a metric, draw it, and name it in the needs (cost_metric).",
)


async def look(inspection: Inspection) -> Finding:
    """Look for the metric that was named, else for a rule or a panel on cost."""
    named = inspection.subject.needs.get("cost_metric")
    pattern = re.escape(named) if named else r"(?i)cost|usd|eur(?:os?)?\b|dollar|price"
    pieces = []
    if named and inspection.subject.prometheus:
        pieces.append(await collected(inspection, named, "the cost"))
    pieces += await shown(inspection, pattern, "cost", needed=not pieces)
    return conclude(pieces, CHECK.prove)
