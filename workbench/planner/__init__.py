"""Plans and searches: one evaluation of arrays, a plan being the array of one."""

from workbench.planner.plan import Plan, plan
from workbench.planner.search import search

__all__ = ["Plan", "plan", "search"]
