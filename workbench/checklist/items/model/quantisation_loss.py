"""The loss by quantisation: from the record that ``wb.quantize`` leaves in the model's folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from workbench.checklist.finding import Evidence, Finding, bad, conclude, doubt, good, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.manifests import at
from workbench.checklist.registry import Check
from workbench.checklist.subject import read_text
from workbench.errors import WorkbenchError

CHECK = Check(
    id="quantisation_loss",
    title="The loss by quantisation is measured",
    item="What quantising costs in quality, measured on text of the target task.",
    prove="Quantise with wb.quantize(…, data=FILE), which measures both, and point to the result (--folder).",
)
MEND = "Quantise less (FP8, 8 bit), calibrate on text of the task, or try other methods: wb.try_methods."


async def look(inspection: Inspection) -> Finding:
    """Read what was measured, and on which text."""
    folder = inspection.subject.folder
    if folder is None:
        return conclude([unknown("read workbench.json", "no folder was given")], CHECK.prove)
    record = folder / "workbench.json"
    if not record.is_file():
        return conclude(
            [_original(folder) or unknown(f"read {folder.name}/workbench.json", "there is none")], CHECK.prove
        )
    try:
        said = json.loads(read_text(record))
    except (ValueError, RecursionError, WorkbenchError) as error:
        return conclude([unknown(f"read {folder.name}/workbench.json", f"it cannot be read: {error}")], CHECK.prove)
    result = at(said, "result")
    if not isinstance(result, Mapping) or "perplexity_after" not in result:
        nothing = f"it is a record of {at(said, 'job', default='something else')}, which measured no loss"
        return conclude([_original(folder) or unknown(f"read {folder.name}/workbench.json", nothing)], CHECK.prove)
    pieces = _measured(inspection, said, result)
    return conclude(pieces, CHECK.prove, f"perplexity {pieces[0].answered}")


def _measured(inspection: Inspection, said: Mapping[str, Any], result: Mapping[str, Any]) -> list[Evidence]:
    before, after = result.get("perplexity_before"), result.get("perplexity_after")
    numbers = [
        value for value in (before, after) if isinstance(value, int | float) and math.isfinite(value) and value > 0
    ]
    asked = f"{result.get('method')}: perplexity before and after"
    if len(numbers) != 2:
        return [bad(asked, f"{before} and {after}", MEND)]
    rise = numbers[1] / numbers[0] - 1
    words = f"{numbers[0]:.4g} → {numbers[1]:.4g} ({rise:+.2%})"
    pieces = [inspection.thresholds["perplexity_change"].judge(asked, max(rise, 0.0), MEND, said=words)]
    agreement = result.get("top1_agreement")
    if isinstance(agreement, int | float) and math.isfinite(agreement):
        asked = "share of words at which both say the same"
        pieces.append(inspection.thresholds["top1_agreement"].judge(asked, float(agreement), MEND))
    text = str(at(result, "evaluation", "text", default="a text nobody named"))
    asked = "on which text it was measured"
    if text.startswith("built-in") and said.get("model") != "builtin":
        mend = "Measure on text of your own task: wb.quantize(…, data=FILE)."
        pieces.append(doubt(asked, f"{text}: not the text of your task", mend))
    else:
        pieces.append(good(asked, text))
    return pieces


def _original(folder: Any) -> Evidence | None:
    """Evidence that nothing was quantised; None where that is not known."""
    try:
        config = json.loads(read_text(folder / "config.json"))
    except (ValueError, RecursionError, WorkbenchError):
        return None
    if not isinstance(config, dict) or (folder / "hf_quant_config.json").exists():
        return None
    inner = config.get("text_config")
    if config.get("quantization_config") or (isinstance(inner, dict) and inner.get("quantization_config")):
        return None
    kept = config.get("dtype") or config.get("torch_dtype") or "its own precision"
    return good(f"read {folder.name}/config.json", f"not quantised ({kept}): nothing was lost")
