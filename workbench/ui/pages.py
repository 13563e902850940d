"""The planner's page: its tabs, and what one hands over to another."""

from __future__ import annotations

from typing import Any

from workbench.ui.advisor import AdvisorPanel
from workbench.ui.compare import ComparePanel
from workbench.ui.deploy import DeployPanel
from workbench.ui.gpus import GpuTable
from workbench.ui.plan_chart import preload
from workbench.ui.planner import PlannerPanel
from workbench.ui.tabs import Tabs
from workbench.ui.translate import TranslatePanel


class PlannerPages(Tabs):
    """Advisor, Plan, Compare, Deploy and Translate as tabs of one page.

    Ordinary widgets inside: ``pages.advisor``, ``pages.planner``, ``pages.compare``, ``pages.gpus``, ``pages.deploy``,
    ``pages.translate``. What Plan and Compare both choose (model, workload, engine) goes along when the tab is changed;
    plans kept in one are known to the other. What is picked in the Advisor or from the matrix is planned, and Deploy
    exports what is planned.

    Parameters
    ----------
    url : bool
        Whether an app page keeps everything in its address.
    **choice
        The planner's first choice.

    Examples
    --------
    >>> pages = PlannerPages(gpu="H100 SXM")
    >>> pages.planner.plan.fits
    True
    >>> list(pages.titles)
    ['Advisor', 'Plan', 'Compare', 'Deploy', 'Translate']
    """

    def __init__(self, *, url: bool = False, **choice: Any) -> None:
        self.advisor = AdvisorPanel(url=url)
        self.planner = PlannerPanel(url=url, **choice)
        self.compare = ComparePanel(url=url)
        self.gpus = GpuTable(folded=True)
        self.deploy = DeployPanel()
        self.translate = TranslatePanel()
        # A tab more is an entry here; the first is the one a page opens with.
        tabs = {
            "Advisor": [self.advisor],
            "Plan": [self.planner, self.gpus],
            "Compare": [self.compare],
            "Deploy": [self.deploy],
            "Translate": [self.translate],
        }
        super().__init__(tabs, url=url)
        self.advisor.observe(self._advised, "picked")
        self.planner.observe(self._kept, "plans")
        self.compare.observe(self._kept, "plans")
        self.compare.observe(self._picked, "picked")
        self.gpus.observe(self._selected, "selected")
        self.observe(self._turned, "selected")
        if url:
            preload()

    def _turned(self, change: Any) -> None:
        """What both tabs choose goes along to the one that is opened."""
        if change.new == "Compare":
            self.compare.follow(self.planner.choice)
        elif change.old == "Compare" and change.new == "Plan":
            self.planner.choice = self.compare.shared()
        if change.new == "Deploy":
            self.deploy.plan = self.planner.plan

    def _picked(self, change: Any) -> None:
        """Plan with what was picked from the matrix."""
        if change.new:
            self.planner.choice = {**self.compare.shared(), **change.new}
            self.selected = "Plan"

    def _advised(self, change: Any) -> None:
        """Plan with what was picked from the advice."""
        if change.new:
            self.planner.choice = dict(change.new)
            self.selected = "Plan"

    def _kept(self, change: Any) -> None:
        for panel in (self.planner, self.compare):
            panel.plans = change.new

    def _selected(self, change: Any) -> None:
        self.planner.choice = {"gpu": change.new, "own_gpu": None}
