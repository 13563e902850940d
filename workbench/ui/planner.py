"""The planner panel: a choice in, a plan out, drawn at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from workbench import cpu
from workbench.engines.registry import engine
from workbench.errors import WorkbenchError
from workbench.quantities import show_usd
from workbench.ui import choices
from workbench.ui.answering import AnsweringPanel
from workbench.ui.kept import KeepsPlans
from workbench.ui.panel import sentence
from workbench.ui.plain import plain
from workbench.ui.plan_chart import LEGEND

if TYPE_CHECKING:
    from workbench.planner.curve import Curve
    from workbench.ui.plan_chart import PlanChart


class PlannerPanel(KeepsPlans, AnsweringPanel):
    """Pick a model, a GPU and the engine's settings; see fit, speed and cost.

    An ordinary widget: observe ``answer``, link ``choice``, put it in a ``VBox``.

    Parameters
    ----------
    url : bool
        Whether an app page keeps the choice in its address.
    **choice
        Fields of the first choice, named as in ``wb.plan``: ``model``, ``gpu``, ``max_model_len``, ``isl`` …; and what
        is asked of it, as in ``wb.ServiceLevel``: ``ttft``, ``tpot`` [s], ``output_tokens_per_s``.

    Attributes
    ----------
    choice : dict
        What is chosen. Assigning a part of it changes that part; what cannot be is refused with a
        ``traitlets.TraitError`` whose message says why, and the last good choice stays.
    answer : dict
        The plan of that choice as ``plan.to_dict`` writes it, and the texts around it.
    plan : workbench.planner.Plan
        The plan itself.
    plans : dict of str to dict
        Choices kept by name, to be compared.
    curve : dict
        The throughput-latency curve, once the page has asked for its chart.

    Examples
    --------
    >>> panel = PlannerPanel(gpu="L40S", max_model_len=8192)
    >>> panel.plan.fits
    True
    >>> panel.choice = {"model": "meta-llama/Llama-3.1-70B-Instruct"}
    >>> panel.plan.verdict
    'oom_loading'
    """

    script = "planner.js"
    from_page: ClassVar[frozenset[str]] = frozenset({"choice", "plans", "narrow"})
    defaults = choices.DEFAULTS

    curve = traitlets.Dict(read_only=True).tag(sync=True)
    #: The chart's widget, as anywidget refers to one; empty until the page has asked for it.
    chart = traitlets.Unicode("", read_only=True).tag(sync=True)
    narrow = traitlets.Bool(False).tag(sync=True)

    def __init__(self, *, url: bool = False, **choice: Any) -> None:
        self._plan: Any = None
        self._curve: Curve | None = None
        self._chart: PlanChart | None = None
        super().__init__(url=url, **choice)

    @property
    def plan(self) -> Any:
        """The plan of the present choice."""
        return self._plan

    def keep(self, name: str) -> None:
        """Keep the present choice under a name, to be compared with others.

        Raises
        ------
        traitlets.TraitError
            If there are too many, or the name is empty.
        """
        self.plans = {**self.plans, name: self.choice}

    def _offered(self) -> Mapping[str, Any]:
        return {**choices.options(), "legend": LEGEND}

    def _checked(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        return choices.checked(choice)

    def _work_out(self, choice: Mapping[str, Any]) -> None:
        self._plan, self._curve = _planned(choice), None

    def _shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = {**answer(self._plan, self.choice), "asked": [], "best": None}
        if any(self.choice[name] is not None for name in choices.SERVICE_LEVEL):
            found = self._curved()
            shown["asked"] = asked(found, self.choice)
            shown["best"] = plain(found.best.to_dict()) if found.best else None
        return shown

    def _curved(self) -> Curve:
        """The curve of the present plan, computed when something first asks for it."""
        if self._curve is None:
            from workbench.planner.curve import curve

            self._curve = curve(self._plan, choices.service_level(self.choice))
        return self._curve

    def _draw(self) -> None:
        from workbench.planner.roofline_points import roofline

        found, slo = self._curved(), choices.service_level(self.choice)
        if self._plan.fits:
            roof = roofline(self._plan)
            if self._chart is None:
                from workbench.ui.plan_chart import PlanChart

                self._chart = PlanChart(found, slo, roof, narrow=self.narrow)
                self.set_trait("chart", f"anywidget:{self._chart.widget.model_id}")
            else:
                self._chart.show(found, slo, roof)
        self.set_trait("curve", plain({"points": [point.to_dict() for point in found.points]}))

    @traitlets.observe("narrow")
    def _turn(self, _change: Any) -> None:
        if self._chart is not None:
            self._chart.turn(self.narrow)


def _planned(choice: Mapping[str, Any]) -> Any:
    from workbench.planner import plan  # late: a page's frame may be drawn before the planner is loaded

    model, card, settings, workload = choices.arguments(choice)
    return plan(model, gpu=card, workload=workload, **settings)


def answer(plan: Any, choice: Mapping[str, Any]) -> dict[str, Any]:
    """What the page draws for a plan: the plan's own JSON and the sentences around it."""
    fields = plan.to_dict()
    on_cpu = cpu.is_cpu(plan.deployment.gpu)
    # The page has the choice already, and a config.json can be long.
    del fields["config"]
    return {
        "plan": fields,
        "explanations": plan.explanations,
        "card": "this machine" if on_cpu else plan.card.name,
        "engine": engine(plan.deployment.engine).title,
        "where": "In memory" if on_cpu else "On each GPU" if plan.deployment.gpus > 1 else "On the GPU",
        "summary": summary(plan),
        "limits": [text[:1].upper() + text[1:] for text in plan.reasons[0 if plan.fits else 1 :]],
        "name": name(plan),
        "python": choices.python(choice),
        "max_context": plan.model.max_model_len,
        "max_model_len": plan.deployment.max_model_len or plan.model.max_model_len,
    }


def summary(plan: Any) -> str:
    """One sentence under the verdict."""
    if not plan.fits:
        return sentence(WorkbenchError(plan.reasons[0])) if plan.reasons else ""
    price = plan.usd_per_hour
    cost = f", about {show_usd(price.value)} an hour" if price else ""
    return f"{name(plan)}{cost}."


def name(plan: Any) -> str:
    """What a plan is called unless somebody names it."""
    deployment = plan.deployment
    if cpu.is_cpu(deployment.gpu):
        where = "this machine's CPU"
    else:
        where = f"one {plan.card.name}" if deployment.gpus == 1 else f"{deployment.gpus} × {plan.card.name}"
    return f"{plan.model.id.rsplit('/', 1)[-1]} on {where}"


def asked(found: Curve, choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the service level asks, what the plan gives, and whether that will do; nothing where it does not fit."""
    lines = []
    for field in choices.SERVICE_LEVEL:
        if choice[field] is not None and found.chosen is not None:
            value, limit = getattr(found.chosen.speed, field).value, choice[field]
            met = value >= limit if field == "output_tokens_per_s" else value <= limit
            lines.append({"field": field, "asked": limit, "value": value, "met": met})
    return plain(lines)
