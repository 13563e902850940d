"""The Advisor panel: what a service is to be in, three plans out, and why the rest was not taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from workbench.errors import WorkbenchError
from workbench.ui import advising, choices
from workbench.ui.answering import AnsweringPanel
from workbench.ui.panel import Refused, log
from workbench.ui.plain import plain

if TYPE_CHECKING:
    from workbench.planner.advice import Advice


class AdvisorPanel(AnsweringPanel):
    """Say who is to be served, how well and for how much; see three plans.

    Parameters
    ----------
    url : bool
        Whether an app page keeps the choice in its address.
    **choice
        Fields of the first choice: ``model``, ``users``, ``ttft``, ``tokens_per_s``, ``usd_per_month`` …; all are in
        :data:`workbench.ui.advising.DEFAULTS`.

    Attributes
    ----------
    choice : dict
        What is asked for; assigning a part of it changes that part.
    answer : dict
        The advice, as ``advice.to_dict`` writes it.
    advice : workbench.planner.advice.Advice
        The advice itself.
    more : dict
        What would change it, and rules of thumb tried on it, once the page has asked.
    picked : dict
        The planner's choice for a plan that was picked; empty at first.

    Examples
    --------
    >>> panel = AdvisorPanel(model="meta-llama/Llama-3.1-8B-Instruct", gpu="L40S", users=100)
    >>> panel.answer["verdict"]
    'yes'
    """

    script = "advisor.js"
    style = "advisor.css"
    actions: ClassVar[dict[str, str]] = {"more": "work_out_more", "pick": "pick"}
    defaults = advising.DEFAULTS

    more = traitlets.Dict(read_only=True).tag(sync=True)
    picked = traitlets.Dict(read_only=True)

    def __init__(self, *, url: bool = False, **choice: Any) -> None:
        self._advice: Advice | None = None
        super().__init__(url=url, **choice)

    @property
    def advice(self) -> Any:
        """The advice for the present choice."""
        return self._advice

    def pick(self, plan: int = 0) -> None:
        """Say that one of the plans is to be looked at more closely: one replica of it under its share of the load."""
        plans = self.answer["plans"]
        if isinstance(plan, bool) or not isinstance(plan, int) or not 0 <= plan < len(plans):
            raise Refused("that plan is not there any more")
        chosen, load = plans[plan]["deployment"], plans[plan]["workload"]
        named = {name: chosen[name] for name in choices.ENGINE if name in chosen}
        if (rate := load["request_rate"]) is not None:  # the planner's page asks for requests at once: Little's law
            time = plans[plan]["ttft"]["value"] + load["osl"] * plans[plan]["tpot"]["value"]
            load = {**load, "concurrency": max(1, round(rate * time))}
        load = {name: load[name] for name in choices.WORKLOAD}
        choice = self.choice
        asked = {"ttft": choice["ttft"], "tpot": None if choice["tokens_per_s"] is None else 1 / choice["tokens_per_s"]}
        asked["percentile"] = choice["percentile"]
        self.set_trait("picked", {})
        taken = {**choices.DEFAULTS, **named, **load, **asked, "model": choice["model"], "gpu": chosen["gpu"]}
        self.set_trait("picked", taken)

    def work_out_more(self, number: int = 0) -> None:
        """What takes longer than the plans; the page asks for it once they are painted."""
        from workbench.planner.changes import changes, rules

        try:
            assert self._advice is not None
            found: dict[str, Any] = {
                "changes": [
                    {**each.to_dict(), "fields": advising.fields_of(each.fields)} for each in changes(self._advice)
                ],
                "rules": [rule.to_dict() for rule in rules(self._advice)],
            }
        except Exception:
            # The plans stand without it.
            log.exception("what would change the advice could not be worked out for %r", self.choice)
            found = {"failed": True}
        self.set_trait("more", plain({**found, "number": number}))

    def _offered(self) -> Mapping[str, Any]:
        return advising.options()

    def _checked(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return advising.checked(choice)
        except WorkbenchError as error:
            words = advising.in_words(str(error))
            if words == str(error):
                raise
            field = str(error).partition(" ")[0]
            raise Refused(words[:1].upper() + words[1:] + ".", field) from error

    def _work_out(self, choice: Mapping[str, Any]) -> None:
        from workbench.planner.advice import advise

        self._advice = advise(advising.model(choice), advising.need(choice))

    def _shown(self) -> dict[str, Any]:
        assert self._advice is not None
        return dict(plain(self._advice.to_dict()))
