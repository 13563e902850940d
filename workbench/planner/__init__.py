"""Plans and searches: one evaluation of arrays, a plan being the array of one."""

from workbench.planner.plan import Plan, plan
from workbench.planner.search import search
from workbench.planner.value_of_information import next_measurement

__all__ = ["Plan", "next_measurement", "plan", "search"]
