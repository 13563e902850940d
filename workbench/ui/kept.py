"""Plans kept by name, to be compared: what the pages of one address share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from workbench.errors import WorkbenchError
from workbench.ui import choices
from workbench.ui.answering import listed
from workbench.ui.panel import Panel, Refused, sentence

#: An address holds them all.
MOST_PLANS = 8
LONGEST_NAME = 60


class KeepsPlans(Panel):
    """A panel that knows plans by name.

    Attributes
    ----------
    plans : dict of str to dict
        Name to choice, each as far as it differs from :data:`workbench.ui.choices.DEFAULTS`.
    """

    plans = traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Dict()).tag(sync=True)

    @traitlets.validate("plans")
    def _check_plans(self, proposal: Any) -> dict[str, dict[str, Any]]:
        given = proposal["value"]
        if len(given) > MOST_PLANS:
            raise Refused(f"{MOST_PLANS} plans are kept at most: remove one first", "plans")
        return {_named(name): self._kept(choice) for name, choice in given.items()}

    def _kept(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        try:
            whole = choices.checked(choice)
        except WorkbenchError as error:
            raise Refused(sentence(error), "plans") from error
        if getattr(self, "_serving_page", False):
            listed(whole["model"])
        return stated(whole)


def stated(choice: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a whole choice that is not the default, and always the model and the GPU.

    >>> stated({**choices.DEFAULTS, "quantization": "awq"})
    {'model': 'meta-llama/Llama-3.1-8B-Instruct', 'gpu': 'L40S', 'quantization': 'awq'}
    """
    always = {"model", "gpu"}
    return {name: value for name, value in choice.items() if name in always or value != choices.DEFAULTS[name]}


def _named(name: str) -> str:
    text = " ".join(name.split())
    if not text or len(text) > LONGEST_NAME:
        raise Refused(f"a plan needs a name of 1 to {LONGEST_NAME} characters", "plans")
    return text
