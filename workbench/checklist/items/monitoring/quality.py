"""Quality is watched: what users say of answers, or a judge."""

from __future__ import annotations

import re

from workbench.checklist.finding import Finding, conclude
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check
from workbench.checklist.watching import collected, shown

CHECK = Check(
    id="quality",
    title="Quality is watched",
    item="What users say of the answers, or an evaluation that runs by itself.",
    prove="Record feedback or scores as a metric, draw it, and name it in the needs (quality_metric).",
)


async def look(inspection: Inspection) -> Finding:
    """Look for the metric that was named, else for a rule or a panel on quality."""
    named = inspection.subject.needs.get("quality_metric")
    pattern = re.escape(named) if named else r"(?i)feedback|thumbs|rating|quality|eval(?:uation)?_|score|hallucinat"
    pieces = []
    if named and inspection.subject.prometheus:
        pieces.append(await collected(inspection, named, "the answers' quality"))
    pieces += await shown(inspection, pattern, "quality", needed=not pieces)
    return conclude(pieces, CHECK.prove)
