"""Pruning and distillation."""

from __future__ import annotations

import numpy as np

from workbench.audit.registry import computes
from workbench.audit.rules import EXACT, Found, number, worst


@computes("C003-036")
def softened() -> Found:
    """Probabilities at a temperature of 5: their fifth roots, made to sum to one."""
    roots = np.array([0.9, 0.05, 0.05]) ** (1 / 5)
    found = roots / roots.sum()
    parts = [number(told, each, limits=EXACT) for told, each in zip((0.4, 0.3, 0.3), found, strict=True)]
    return worst(parts, ", ".join(f"{each:.2f}" for each in found))


@computes("C003-038", told=1.33, layers=32, left_out=8)
def fewer_layers(told: float, layers: int, left_out: int) -> Found:
    """Time by layers."""
    return number(told, layers / (layers - left_out), "times", limits=EXACT)
