"""The mathematics of quantising, by :mod:`workbench.theory.quantisation` on small made-up data."""

from __future__ import annotations

import numpy as np

from workbench.audit.registry import computes
from workbench.audit.rules import EXACT, Found, number, statement, worst
from workbench.theory.quantisation.awq import awq, reversed_as_often_told
from workbench.theory.quantisation.clipping import coverage
from workbench.theory.quantisation.codebook import expected_error
from workbench.theory.quantisation.density import Normal
from workbench.theory.quantisation.error import mean_square_error, sqnr, sqnr_as_often_told, sqnr_of
from workbench.theory.quantisation.float8 import E4M3FN, E5M2, FloatFormat, e4m3_as_often_told, quantise_float
from workbench.theory.quantisation.gptq import gptq, hessian_of, output_error, with_hessian_as_often_told
from workbench.theory.quantisation.lloyd_max import lloyd_max
from workbench.theory.quantisation.normal_float import normal_float, normal_float_as_often_told, quantise_blocks
from workbench.theory.quantisation.uniform import asymmetric_scale, quantise, symmetric_scale


def _weights(rows: int = 64, columns: int = 512) -> np.ndarray:
    """Bell-shaped weights, always the same."""
    return np.random.default_rng(0).normal(size=(rows, columns))


# ------------------------------------------------------------------------------------------------ even steps


@computes("C000-024")
def eight_bits_beside_four() -> Found:
    """Signal over error of bell-shaped weights in INT8 by channel and in INT4 by groups of 128 [dB]."""
    weights = _weights()
    int8 = sqnr(weights, quantise(weights, 8, axis=0).values())
    int4 = sqnr(weights, quantise(weights, 4, group=128, symmetric=False).values())
    return statement(int8 < int4, f"INT8 {int8:.0f} dB, INT4 {int4:.0f} dB: more is better", number=int8 - int4)


@computes("C003-029", bits=(8,))
@computes("C004-001", bits=(8, 4))
def symmetric(bits: tuple[int, ...]) -> Found:
    """The symmetric scale of a row, beside its largest magnitude over the highest code."""
    most = float(np.abs(_weights()[0]).max())
    codes = {each: most / float(symmetric_scale(most, each)) for each in bits}
    right = all(round(code) == 2 ** (each - 1) - 1 for each, code in codes.items())
    return statement(right, ", ".join(f"largest over {code:.0f} ({each} bits)" for each, code in codes.items()))


@computes("C004-002")
def asymmetric() -> Found:
    """The map by the minimum: within half a step everywhere, but zero is no level; a whole zero point makes it one."""
    x = np.linspace(-0.37, 1.0, 101)
    step = (x.max() - x.min()) / 15
    rounded = np.rint((x - x.min()) / step) * step + x.min()
    zero = abs(np.rint(-x.min() / step) * step + x.min())
    scale, zero_point = asymmetric_scale(x.min(), x.max(), 4)
    whole = float(abs(scale * (zero_point - zero_point)))
    right = bool(np.abs(x - rounded).max() <= step / 2 + 1e-12)
    return statement(right, f"zero becomes {zero:.3f}; with a whole zero point {whole:.0f}", but=zero > whole)


@computes("C004-003", told=1 / 12)
def rounding_error(told: float) -> Found:
    """Mean squared error of rounding evenly spread values to whole numbers."""
    x = np.linspace(0, 100, 100_001)
    found = mean_square_error(x, np.rint(x))
    return number(told, found, limits=EXACT, shown=f"1/{1 / found:.2f} of a squared step")


@computes("C004-004", bits=8)
def signal_to_noise(bits: int) -> Found:
    """The formula beside bell-shaped weights clipped at four deviations [dB]."""
    return number(sqnr_as_often_told(bits), sqnr_of(Normal(), bits, 4.0), "dB", limits=EXACT)


@computes("C004-005", told=0.003, deviations=6)
def outside(told: float, deviations: float) -> Found:
    """The share outside so many deviations."""
    found = 1 - coverage(deviations)
    return number(told, found, limits=EXACT, shown=f"{found:.0e} outside; three leave {1 - coverage(3):.1%}")


# ------------------------------------------------------------------------------------------------ eight-bit floats


@computes("C003-053", told=448, format=E4M3FN)
@computes("C003-054", told=57344, format=E5M2)
def largest(told: float, format: FloatFormat) -> Found:
    """The largest number."""
    return number(told, format.largest, limits=EXACT, shown=f"{format.largest:.0f}")


@computes("C003-055", told=-9, format=E4M3FN)
@computes("C003-056", told=-16, format=E5M2)
def smallest_normal(told: int, format: FloatFormat) -> Found:
    """The smallest normal number, and the smallest there is."""
    normal, least = (round(float(np.log2(value))) for value in (format.smallest_normal, format.smallest))
    return number(2.0**told, format.smallest_normal, limits=EXACT, shown=f"2^{normal}; the smallest of all 2^{least}")


@computes("C003-057")
def biases() -> Found:
    """Both biases."""
    return statement((E4M3FN.bias, E5M2.bias) == (7, 15), f"{E4M3FN.bias} and {E5M2.bias}")


@computes("C003-058")
def three_bits_throughout() -> Found:
    """Mean error between 2^-9 and 2^-6 in the guide's simulator and in the format."""
    x = np.exp2(np.linspace(-9, -6, 10_001))
    told, found = (float(np.abs(x - rounded).mean()) for rounded in (e4m3_as_often_told(x), E4M3FN.round(x)))
    return number(told, found, limits=EXACT, shown=f"error {found / told:.1f} times that of the simulator there")


@computes("C003-059")
def fp8_beside_int8() -> Found:
    """The guide's own test: bell-shaped weights with one scale for all, in E4M3 and in INT8 [dB]."""
    weights = _weights(1024, 1024) * 0.02
    fp8, int8 = sqnr(weights, quantise_float(weights).values()), sqnr(weights, quantise(weights, 8).values())
    return statement(fp8 > int8, f"FP8 {fp8:.1f} dB, INT8 {int8:.1f} dB: more is better", number=fp8 - int8)


# ------------------------------------------------------------------------------------------------ GPTQ and AWQ


def _layer(inputs: int = 128, outputs: int = 32, tokens: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Weights, and inputs that go together as those of a network do."""
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(tokens, inputs)) @ rng.normal(size=(inputs, inputs)) / np.sqrt(inputs)
    return rng.normal(size=(outputs, inputs)), mixed


@computes("C004-007")
def quadratic_form() -> Found:
    """The error of a layer's output beside the quadratic form with its Hessian: one is a fixed share of the other."""
    weights, inputs = _layer()
    hessian = hessian_of(inputs)
    shares = []
    for bits in (3, 4, 5):
        change = weights - quantise(weights, bits, axis=0).values()
        shares.append(np.sum((change @ inputs.T) ** 2) / np.sum((change @ hessian) * change))
    right = bool(np.ptp(shares) < 1e-6 * shares[0])
    return statement(right, f"the same up to a factor of {shares[0] / len(inputs):.3g} N")


@computes("C004-008")
def hessian_for_its_inverse() -> Found:
    """Errors of the output: rounded, by the guide's correction, by GPTQ's. A correction should gain on rounding."""
    weights, inputs = _layer()
    hessian = hessian_of(inputs)
    plain = output_error(weights, quantise(weights, 4, axis=0).values(), hessian)
    told = output_error(weights, with_hessian_as_often_told(weights, hessian, 4).values(), hessian)
    right = output_error(weights, gptq(weights, hessian, 4).values(), hessian)
    shown = f"as told {told / plain:.2f} of plain rounding's error, by the inverse {right / plain:.2f}"
    return statement(told < 0.95 * plain, shown, number=told / plain)


def _salient(inputs: int = 128, outputs: int = 32, tokens: int = 128, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Weights, and inputs of which a few are far larger than the rest."""
    rng = np.random.default_rng(seed)
    sizes = np.ones(inputs)
    sizes[rng.choice(inputs, 5, replace=False)] = rng.uniform(20, 60, 5)
    return rng.normal(size=(outputs, inputs)), rng.normal(size=(tokens, inputs)) * sizes


@computes("C004-011")
def scaled_the_wrong_way() -> Found:
    """Errors of the output: rounded, divided as the guide has it, and multiplied. Scaling should gain on rounding."""
    weights, inputs = _salient()
    plain = awq(weights, inputs, 4, group=128, exponents=[0.0]).error
    told = reversed_as_often_told(weights, inputs, 4, group=128).error
    right = awq(weights, inputs, 4, group=128, exponents=[0.5]).error
    shown = f"divided {told / plain:.1f} times plain rounding's error, multiplied {right / plain:.2f} times"
    return statement(told < plain, shown, number=told / plain)


@computes("C004-013", told=0.5)
def best_power(told: float) -> Found:
    """The powers that a search finds for three layers."""
    best = [awq(*_salient(seed=seed), 4, group=128).exponent for seed in (2, 3, 4)]
    near = any(abs(power - told) <= 0.25 for power in best)
    shown = ", ".join(f"{power:.2f}" for power in best) + " found for three layers"
    return statement(near, shown, but=any(power != told for power in best))


# ------------------------------------------------------------------------------------------------ NF4


@computes("C004-016")
def levels() -> Found:
    """The formula's levels, brought to the same end, beside NF4's."""
    told = normal_float_as_often_told()
    told, own = told / np.abs(told).max(), normal_float()
    apart = float(np.abs(told - own).max())
    return statement(apart < 1e-3, f"up to {apart:.2f} apart; NF4 has a zero", number=apart)


@computes("C004-018")
def best_levels() -> Found:
    """Error of the formula's levels beside that of the best sixteen, for a bell curve."""
    told, best = expected_error(normal_float_as_often_told(), Normal()), lloyd_max(Normal(), 16).error
    return number(told, best, shown=f"{told:.4f}, {told / best:.1f} times the least there is")


@computes("C004-019", told=0.5)
def blocks_of_64(told: float) -> Found:
    """Error of NF4 over that of even levels, in blocks of 64."""
    weights = _weights(200, 6400)
    nf4 = mean_square_error(weights, quantise_blocks(weights, normal_float()).values())
    int4 = mean_square_error(weights, quantise(weights, 4, group=64).values())
    even = mean_square_error(weights, quantise_blocks(weights, np.linspace(-1, 1, 16)).values())
    parts = [number(told, nf4 / other, shown=f"{nf4 / other:.2f} ({name})") for name, other in _beside(int4, even)]
    return worst(parts)


def _beside(int4: float, even: float) -> tuple[tuple[str, float], ...]:
    return (("over INT4", int4), ("over sixteen even levels", even))
