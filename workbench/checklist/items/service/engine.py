"""The engine: which one runs, and whether its release is one that is known."""

from __future__ import annotations

import re

from workbench.checklist.finding import Finding, conclude, doubt, good, unknown
from workbench.checklist.identity import identify
from workbench.checklist.inspection import Inspection
from workbench.checklist.manifests import at, named, serving
from workbench.checklist.registry import Check
from workbench.engines import registry
from workbench.errors import WorkbenchError

CHECK = Check(
    id="engine",
    title="The engine is chosen and pinned",
    item="One inference engine (vLLM, TensorRT-LLM, TGI …) in a release that is known.",
    prove="Say where /metrics can be read (--metrics); give the manifests, whose image names the release.",
)


async def look(inspection: Inspection) -> Finding:
    """Let it tell its name, and read the images of the manifests."""
    known = await identify(inspection)
    pieces, well = [good(asked, answered) for asked, answered in known.told], ""
    if not known.id:
        pieces.append(unknown("ask the engine for its name", "it does not show itself at this address"))
    else:
        try:
            title = registry.engine(known.id).title
        except WorkbenchError:
            title = known.id
        well = f"{title} {known.version or 'of a release it does not tell'}"
    for workload, container in serving(inspection.manifests):
        image = str(at(container, "image", default=""))
        asked = f"image of {named(workload)}"
        if not image:
            continue
        if re.search(r"(?::latest|^[^:@]+|/[^:@]+)$", image):
            mend = "Name a release (image:v0.33.0) or a digest, so that a restart brings back the same engine."
            pieces.append(doubt(asked, f"{image}: whatever is newest on that day", mend))
        else:
            pieces.append(good(asked, image))
    return conclude(pieces, CHECK.prove, well)
