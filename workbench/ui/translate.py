"""Translate: an old command, file, call or query on the left; what becomes of it, and whether it fits, on the right."""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets

from workbench.engines.vllm.schema import bundled
from workbench.engines.vllm.versions import DEFAULT
from workbench.errors import WorkbenchError
from workbench.planner import plan
from workbench.translation import Part, translate
from workbench.ui import choices
from workbench.ui.panel import Panel, Refused, sentence
from workbench.ui.plain import plain

#: What stands there first: something of everything that happens to old commands.
EXAMPLE = """\
python -m vllm.entrypoints.openai.api_server \\
    --model meta-llama/Llama-3.1-8B-Instruct \\
    --gpu-memory-utilization 95 \\
    --max-model-len 8192 \\
    --use-v2-block-manager \\
    --swap-space 4 \\
    --enable-chunked-prefill
"""
#: A page takes no more than this [letters]; the command line does.
_LONGEST = 100_000


class TranslatePanel(Panel):
    """Paste an old vLLM command, configuration, call or query; see what the chosen release makes of it.

    Parameters
    ----------
    text : str
        What is pasted first.
    version : str, optional
        The release; by default the one planned for.
    gpu : str
        The card the plan is for, since commands name none.

    Attributes
    ----------
    choice : dict
        ``text``, ``version``, ``gpu``, and ``model``: what is planned where the text's own model is not bundled.
    answer : dict
        ``version``, ``lost`` (how many need a person), ``parts``: as ``Translation.to_dict``, each with ``plan``.
    """

    script = "translate.js"
    style = "translate.css"
    from_page: ClassVar[frozenset[str]] = frozenset({"choice"})

    choice = traitlets.Dict(key_trait=traitlets.Unicode()).tag(sync=True)
    answer = traitlets.Dict(read_only=True).tag(sync=True)
    options = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(self, text: str = EXAMPLE, *, version: str | None = None, gpu: str = "L40S") -> None:
        self._whole: dict[str, Any] = {}  # the last good choice, which a part of one is added to
        super().__init__()
        known = choices.options()
        offered = {"versions": list(reversed(bundled())), "models": known["models"], "gpus": known["gpus"]}
        self.set_trait("options", offered)
        self.choice = {"text": text, "version": version or DEFAULT, "gpu": gpu, "model": None}

    @traitlets.validate("choice")
    def _check(self, proposal: Any) -> dict[str, Any]:
        proposed = {**self._whole, **proposal["value"]}
        for name, value in proposed.items():
            if name not in ("text", "version", "gpu", "model"):
                raise Refused(f"there is no {name!r} to choose", name)
            if not isinstance(value, str) and not (name == "model" and value is None):
                raise Refused(f"the {name} is a text", name)
        if len(proposed["text"]) > _LONGEST:
            raise Refused(f"that is {len(proposed['text']):,} letters; paste at most {_LONGEST:,}", "text")
        if proposed["version"] not in bundled():
            raise Refused(f"vLLM {proposed['version']} is not bundled", "version")
        if proposed["gpu"] not in self._names("gpus"):
            raise Refused(f"{proposed['gpu']} is no card that is known", "gpu")
        # Only what is bundled: a page must not read folders of the machine that serves it.
        if proposed["model"] is not None and proposed["model"] not in self._names("models"):
            raise Refused(f"{proposed['model']} is not bundled", "model")
        self._whole = proposed
        return proposed

    def _names(self, of: str) -> set[str]:
        return {option["value"] for option in self.options[of]}

    @traitlets.observe("choice")
    def _translate(self, _change: Any) -> None:
        self.problems = {}
        chosen = self.choice
        try:
            found = translate(chosen["text"], chosen["version"])
        except WorkbenchError as error:
            self.set_trait("answer", {"version": chosen["version"], "lost": 0, "parts": []})
            self.problems = {"text": sentence(error)}
            return
        parts = [part.to_dict() | {"plan": self._planned(part)} for part in found.parts]
        self.set_trait("answer", plain(found.to_dict() | {"parts": parts}))

    def _planned(self, part: Part) -> dict[str, Any] | None:
        """Whether what it describes would fit; None of what describes no server."""
        if not part.describes:
            return None
        named = part.model in self._names("models")
        model = part.model if named else self.choice["model"]
        if model is None:
            return {"state": "unknown", "text": f"{part.model or 'It names no model and'} is not bundled here."}
        draft = (part.fields.get("speculative_config") or {}).get("model")
        if draft is not None and draft not in self._names("models"):
            return {"state": "unknown", "text": f"The draft {draft} is not bundled here."}
        try:
            found = plan(model, **{**part.fields, "gpu": self.choice["gpu"]})
        except WorkbenchError as error:
            return {"state": "unknown", "text": sentence(error)}
        about = f"{model} on {found.deployment.gpus} × {found.card.name}"
        told = found.reasons[0] if found.reasons else ""
        return {"state": "yes" if found.fits else "no", "about": about, "text": told}
