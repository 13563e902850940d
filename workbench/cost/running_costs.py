"""What is assumed of owning GPUs where nobody says otherwise: the table ``running_costs.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from workbench.datafiles import read_rows


@cache
def assumed() -> Mapping[str, float]:
    """The values by name.

    >>> assumed()["pue"]
    1.54
    """
    return MappingProxyType({row["name"]: float(row["value"]) for row in read_rows("running_costs.csv")})


@cache
def sources() -> Mapping[str, str]:
    """Where each value is from, by name."""
    return MappingProxyType({row["name"]: row["source"] for row in read_rows("running_costs.csv")})
