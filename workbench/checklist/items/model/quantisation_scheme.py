"""The precision: what the checkpoint is stored in, and whether the engine that runs loads it."""

from __future__ import annotations

from workbench.architecture import Model
from workbench.checklist.finding import Finding, bad, conclude, good, unknown
from workbench.checklist.identity import identify
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import Check
from workbench.errors import WorkbenchError
from workbench.formats.checkpoint import checkpoint_scheme
from workbench.formats.support import obstacle

CHECK = Check(
    id="quantisation_scheme",
    title="The precision is chosen",
    item="FP16, FP8, INT8 or INT4 is a decision, and the engine runs what was decided.",
    prove="Point to the folder of the served checkpoint (--folder); its config.json says what it is stored in.",
)


async def look(inspection: Inspection) -> Finding:
    """Read the checkpoint's own words and ask the table of engines."""
    folder = inspection.subject.folder
    if folder is None:
        return conclude([unknown("read the checkpoint's config.json", "no folder was given")], CHECK.prove)
    asked = f"read {folder.name}/config.json"
    try:
        model = Model.from_config(folder)
        scheme = checkpoint_scheme(model)
    except WorkbenchError as error:
        return conclude([unknown(asked, str(error), "Give the folder of a checkpoint that the workbench can read.")])
    if scheme is None:
        return conclude([good(asked, "not quantised: 16- or 32-bit floats, which every engine runs")])
    pieces = [good(asked, f"stored as {scheme.id}")]
    known = await identify(inspection)
    if known.id == "vllm":
        against = obstacle(scheme, "vllm", known.version or None)
        asked = f"look {scheme.id} up among what vLLM {known.version} loads"
        pieces.append(
            bad(asked, against, "Quantise into a format that it loads.") if against else good(asked, "it loads it")
        )
    return conclude(pieces, CHECK.prove)
