"""The precision: what the checkpoint is stored in, and whether the engine that runs loads it."""

from __future__ import annotations

import re

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
    if not known.id:
        pieces.append(unknown("ask the engine for its name", "it does not show itself at this address"))
        return conclude(pieces, CHECK.prove)
    # A build between releases carries a number that says nothing of its age.
    version = known.version if re.match(r"v?\d+\.\d+", known.version) and "dev" not in known.version else None
    against = obstacle(scheme, known.id, version)
    asked = f"look {scheme.id} up among what {known.id} {version or 'of the newest release'} loads"
    mend = "Quantise into a format that it loads."
    pieces.append(bad(asked, against, mend) if against else good(asked, "it is among them"))
    return conclude(pieces, CHECK.prove, f"stored as {scheme.id}, which {known.id} loads")
