"""Pruning and distillation, by :mod:`workbench.theory.pruning` and :mod:`workbench.theory.distillation`."""

from __future__ import annotations

import numpy as np

from workbench.audit.registry import computes
from workbench.audit.rules import EXACT, Found, number, statement, worst
from workbench.theory.distillation.losses import soft_gradient
from workbench.theory.distillation.losses import softened as softened_by
from workbench.theory.pruning.magnitude import bitmask_bits, dense_bits
from workbench.theory.pruning.saliency import damage, rise


@computes("C003-036", temperature=5)
def softened(temperature: float) -> Found:
    """Probabilities at a temperature."""
    found = softened_by(np.log([[0.9, 0.05, 0.05]]), temperature)[0]
    parts = [number(told, each, limits=EXACT) for told, each in zip((0.4, 0.3, 0.3), found, strict=True)]
    return worst(parts, ", ".join(f"{each:.2f}" for each in found))


@computes("C003-037")
def squared_temperature() -> Found:
    """Gradients of the divergence at a temperature of 20, over those at 10: with the factor they keep their size."""
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 64, 100))
    with_factor = [np.abs(soft_gradient(teacher, student, temperature)).sum() for temperature in (10.0, 20.0)]
    kept = with_factor[1] / with_factor[0]
    lost = kept * (10 / 20) ** 2
    right = number(kept, 1.0).verdict == "correct"
    return statement(right, f"{kept:.2f} with the factor, {lost:.2f} without", number=kept)


@computes("C003-038", told=1.33, layers=32, left_out=8)
def fewer_layers(told: float, layers: int, left_out: int) -> Found:
    """Time by layers."""
    return number(told, layers / (layers - left_out), "times", limits=EXACT)


@computes("C003-039", told=(30, 70), bits=16)
def zeroes(told: tuple[int, int], bits: int) -> Found:
    """What zeroes save of 16-bit weights: nothing in a dense matrix; nearly their share where a mask lists the rest."""
    saved = [100 * (1 - bitmask_bits(share / 100, bits) / bits) for share in told]
    dense = 100 * (1 - dense_bits(bits) / bits)
    near = all(abs(each - share) < 10 for each, share in zip(saved, told, strict=True))
    shown = f"dense {dense:.0f} %; listed by a mask {saved[0]:.0f} to {saved[1]:.0f} %"
    return statement(near, shown, but=dense < min(told))


@computes("C004-020")
def saliency() -> Found:
    """The formula beside the rise of a quadratic loss when one weight becomes zero."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(6, 6))
    weights, hessian = rng.normal(size=6), half @ half.T
    told = damage(weights, np.diag(hessian))
    risen = [rise(-weights[at] * np.eye(6)[at], np.zeros(6), hessian) for at in range(6)]
    apart = float(np.abs(told - risen).max())
    return statement(apart < 1e-12, f"apart by {apart:.0e}", number=apart)
