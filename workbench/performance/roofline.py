"""The relations a step is made of, each a function of numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def operator_time(moved: Floats, flops: Floats, bandwidth: Floats | float, rate: Floats | float) -> Floats:
    """Time of an operator that moves bytes and computes at once [s]: ∛((moved / bandwidth)³ + (flops / rate)³).

    Far from the ridge it is the slower of the two, at the ridge 26 % more: there neither memory nor arithmetic is kept
    quite busy. Among exponents 1, 2, 3, 4 and ∞ the third fits measured kernels best (``data/kernels.csv``).

    Parameters
    ----------
    moved : ndarray
        Bytes read and written [B].
    flops : ndarray
        Floating-point operations, 2 a multiply-add.
    bandwidth, rate : float or ndarray
        Achieved bytes/s and FLOP/s.

    References
    ----------
    Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.

    Examples
    --------
    Llama-3.1-8B BF16 on an L40S: 16.06 GB at 864 GB/s is 18.6 ms a token at batch 1.

    >>> operator_time(np.array(16.06e9), np.array(16.06e9), 864e9, 362e12).round(4)
    np.float64(0.0186)
    """
    reading, computing = moved / bandwidth, flops / rate
    return np.asarray(np.cbrt(reading * reading * reading + computing * computing * computing))


def grouped_time(moved: Floats, flops: Floats, bandwidth: float, rate: float) -> Floats:
    """Time of many small multiplications one after another, as a layer's experts are [s]: reading + computing.

    Few overlap, so the two add up; on measured kernels this fits better than :func:`operator_time`, most of all for
    prompts, where its estimate is 10 to 40 % too long.

    >>> float(grouped_time(np.array(1e9), np.array(1e12), 1e12, 1e15))
    0.002
    """
    return np.asarray(moved / bandwidth + flops / rate)


def distinct_experts(experts: float, per_token: float, tokens: Floats) -> Floats:
    """Expected number of experts that ``tokens`` independent tokens touch.

    E (1 − (1 − k/E)^n): each token picks k of E at random. Real routers are less even, so this is an upper estimate.

    Examples
    --------
    >>> distinct_experts(8, 2, np.array([1.0, 16.0])).round(2)
    array([2.  , 7.92])
    """
    return np.asarray(experts * -np.expm1(tokens * np.log1p(-min(per_token / experts, 1 - 1e-12))))


def all_reduce_bytes(size: Floats, gpus: int) -> Floats:
    """Bytes of an all-reduce of ``size`` that cross each GPU's link, one direction [B]: 2 (n − 1) / n of them.

    References
    ----------
    Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", 2005.

    Examples
    --------
    >>> float(all_reduce_bytes(np.array(1e9), 4))
    1500000000.0
    """
    return np.asarray(2 * (gpus - 1) / gpus * size)
