"""The relations a step is made of, each a function of numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def operator_time(moved: Floats, flops: Floats, bandwidth: float, rate: float) -> Floats:
    """Time of an operator that moves bytes and computes at once [s]: the slower of the two.

    Parameters
    ----------
    moved : ndarray
        Bytes read and written [B].
    flops : ndarray
        Floating-point operations, 2 a multiply-add.
    bandwidth, rate : float
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
    return np.maximum(moved / bandwidth, flops / rate)


def distinct_experts(experts: int, per_token: int, tokens: Floats) -> Floats:
    """Expected number of experts that ``tokens`` independent tokens touch.

    E (1 − (1 − k/E)^n): each token picks k of E at random. Real routers are less even, so this is an upper estimate.

    Examples
    --------
    >>> distinct_experts(8, 2, np.array([1.0, 16.0])).round(2)
    array([2.  , 7.92])
    """
    return np.asarray(experts * (1 - (1 - per_token / experts) ** tokens))


def all_reduce_time(size: Floats, gpus: int, bandwidth: float, latency: float) -> Floats:
    """Time of one ring all-reduce of ``size`` bytes over ``gpus`` cards [s].

    2 (n − 1) / n of the message crosses each link, one direction, in 2 (n − 1) steps.

    References
    ----------
    Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", 2005.

    Examples
    --------
    >>> all_reduce_time(np.array(1e9), 2, 31.5e9, 0.0).round(4)
    np.float64(0.0317)
    """
    if gpus == 1:
        return np.zeros_like(size)
    return np.asarray(2 * (gpus - 1) / gpus * size / bandwidth + 2 * (gpus - 1) * latency)
