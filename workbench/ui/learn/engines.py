"""Which engine for a need: controls, and below them every engine with what speaks for it and against it."""

from __future__ import annotations

from typing import Any

import traitlets
from ipywidgets import Box, Checkbox, Dropdown, Layout, SelectionSlider, VBox

from workbench.engines.choice import EngineVerdict, choose_engine
from workbench.engines.facts import TITLES, address
from workbench.ui.panel import Panel, sentence

#: As a reader says it -> ``EngineNeeds.on``.
PLATFORMS = {
    "NVIDIA H100": "H100 SXM", "NVIDIA B200": "B200 SXM", "NVIDIA L40S": "L40S", "NVIDIA RTX 4090": "RTX 4090",
    "NVIDIA T4": "T4", "AMD Instinct MI300X": "Instinct MI300X", "Intel Gaudi 3": "gaudi", "a CPU": "cpu",
    "a Mac": "apple", "a TPU": "tpu", "a phone": "phone", "a web page": "browser",
}  # fmt: skip
PLACES = {"a server for others": "server", "one person's computer": "desktop", "inside an app": "app"}
FORMATS = {
    "whichever it reads": "", "FP8": "fp8", "AWQ": "awq", "GPTQ": "gptq", "NVFP4": "nvfp4",
    "bitsandbytes NF4": "nf4", "GGUF Q4_K_M": "q4_k_m",
}  # fmt: skip


class Verdicts(Panel):
    """Every engine with its reasons, as the page shows it.

    Attributes
    ----------
    rows : list of dict
        Of :func:`shown`, the best first.
    said : str
        The first, in a sentence.
    problem : str
        Why nothing could be chosen.
    """

    script = "engines.js"
    style = "engines.css"

    rows = traitlets.List(read_only=True).tag(sync=True)
    said = traitlets.Unicode(read_only=True).tag(sync=True)
    problem = traitlets.Unicode(read_only=True).tag(sync=True)


class EngineChooser(VBox):
    """The choice of an engine, to be moved: an ordinary widget.

    Attributes
    ----------
    controls : dict of str to ipywidgets.ValueWidget
        By the names of ``wb.choose_engine``.
    verdicts : Verdicts
    """

    def __init__(self) -> None:
        self.controls: dict[str, Any] = {
            "on": _menu("Runs on", PLATFORMS),
            "place": _menu("For", PLACES),
            "concurrency": SelectionSlider(
                options=[1, 2, 4, 8, 16, 32, 64, 128, 256], value=16, description="Requests"
            ),
            "quantization": _menu("Checkpoint", FORMATS),
            "nodes": SelectionSlider(options=[1, 2, 4], value=1, description="Machines"),
            "lora": SelectionSlider(options=[0, 1, 4, 16], value=0, description="LoRA adapters"),
            "already": _menu("Serves now", {"nothing": "", **{title: name for name, title in TITLES.items()}}),
            "shared_prefixes": Checkbox(value=False, description="Requests begin alike"),
            "new_models": Checkbox(value=True, description="New models to come"),
            "tune": Checkbox(value=False, description="Weeks to tune one model"),
            "windows": Checkbox(value=False, description="On Windows itself"),
        }
        self.verdicts = Verdicts()
        for control in self.controls.values():
            control.style.description_width = "initial"
            control.layout = Layout(flex="1 1 230px", max_width="420px", min_width="0")
            if isinstance(control, Checkbox):
                control.indent = False
            control.observe(self._moved, "value")
        row = Box(
            list(self.controls.values()),
            layout=Layout(display="flex", flex_flow="row wrap", grid_gap="2px 18px", margin="0 0 6px"),
        )
        super().__init__([row, self.verdicts])
        self.add_class("wb-explorer")  # looks like the other pictures' controls
        self._moved(None)

    def __repr__(self) -> str:
        return f"EngineChooser: {self.verdicts.said}"

    def _moved(self, _: Any) -> None:
        try:
            # A menu cannot hold None as a value: "" stands for what is left out.
            asked = {name: control.value for name, control in self.controls.items() if control.value != ""}
            found = choose_engine(**asked)
        except Exception as error:  # a page shows a sentence, never a traceback
            self.verdicts.set_trait("problem", sentence(error))
            return
        with self.verdicts.hold_sync():
            self.verdicts.set_trait("problem", "")
            self.verdicts.set_trait("rows", [shown(one) for one in found])
            self.verdicts.set_trait("said", told(found))


def shown(one: EngineVerdict) -> dict[str, Any]:
    """A verdict for the page: its reasons with the addresses of their sources."""
    row = one.to_dict()
    for kind in ("out", "why", "against"):
        row[kind] = [{**reason, "address": address(reason["source"])} for reason in row[kind]]
    return row


def told(found: list[EngineVerdict]) -> str:
    """The first of the engines, and why, in a sentence.

    >>> told(choose_engine(on="browser", place="app", concurrency=1)).split(":")[0]
    'MLC LLM'
    """
    able = [one for one in found if one.suits]
    if not able:
        return "No engine does all of this; ask for less, or see what rules each out."
    first = able[0]
    why = "; ".join(reason.text for reason in first.why) or "nothing speaks against it as much as against the others"
    return f"{first.title}: {why}."


def _menu(description: str, options: dict[str, Any]) -> Dropdown:
    return Dropdown(options=options, value=next(iter(options.values())), description=description)
