"""How much faster a format could make a step at best: two rooflines held against one another.

A step reads its weights and its cache once and multiplies; it takes at least as long as the slower of the two. Held
against BF16's, that says what a format can gain and where: fewer bytes where reading limits (few requests), faster
units where multiplying limits (prompts, many requests). Real kernels reach less of both; nothing here is measured.

References
----------
Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009; bytes and FLOPs of a step: ``performance/floor.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench.choices import Setup
from workbench.formats import Scheme
from workbench.formats.scheme import LINEAR
from workbench.performance.floor import compute_rate, step_totals
from workbench.performance.step import Batch


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many times as fast as BF16 a step could be, by the roofline.

    Parameters
    ----------
    decode_alone : float
        One request.
    decode : float
        The batch that was asked for.
    prefill : float
        One prompt.
    """

    decode_alone: float
    decode: float
    prefill: float


def in_format(setup: Setup, scheme: Scheme, kv_bytes: float | None = None) -> Setup:
    """The same deployment with weights (and a cache of so many bytes a value) in another format.

    A scheme that models store their experts in alone (MXFP4) is taken for all of a layer's matrices, as quantisers
    write it.
    """
    whole = replace(scheme, roles=LINEAR) if scheme.quantized and scheme.family != "gguf" else scheme
    return replace(setup, scheme=whole, kv_element_bytes=kv_bytes or setup.kv_element_bytes)


def bounds(setup: Setup, changed: Setup, *, requests: int, context: int, prompt: int) -> Bounds:
    """A format's rooflines over those of 16 bit.

    Parameters
    ----------
    setup : Setup
        Model and card in 16 bit.
    changed : Setup
        As of :func:`in_format`.
    requests, context : int
        In a step of decoding: how many, and tokens cached of each.
    prompt : int
        Tokens of the prompt.

    Examples
    --------
    Weights of 4 bits are read faster, less than four times as fast because the output projection stays in 16 bit, and
    multiply in 16 bit:

    >>> from workbench.formats import SCHEMES
    >>> from workbench.planner import plan
    >>> base = plan("meta-llama/Llama-3.1-8B", gpu="A100 80GB SXM").setup
    >>> found = bounds(base, in_format(base, SCHEMES["awq"]), requests=32, context=1024, prompt=2048)
    >>> round(found.decode_alone, 1), round(found.prefill, 1)
    (3.1, 1.0)
    """
    one, many = (Batch.decode(np.array([float(n)]), np.array([float(context)])) for n in (1, requests))
    none, length = np.zeros(1), np.array([float(prompt)])
    read = Batch(none, none, np.ones(1), length, none)
    alone, decode, prefill = (seconds(setup, batch) / seconds(changed, batch) for batch in (one, many, read))
    return Bounds(alone, decode, prefill)


def seconds(setup: Setup, batch: Batch) -> float:
    """The roofline of a step [s]: bytes over bandwidth, or FLOPs over the rate of the format's own unit."""
    moved, flops = step_totals(setup, batch)
    return max(float(moved[0]) / setup.card.bandwidth, float(flops[0]) / rate(setup))


def rate(setup: Setup) -> float:
    """Dense FLOP/s of the unit that multiplies the format.

    llama.cpp's own kernels round activations to 8 bits and multiply in INT8 where the card can (ggml-cuda/mmq.cu).
    """
    own = compute_rate(setup)
    if setup.scheme.family == "gguf" and setup.scheme.format.bits < 16:
        return max(own, setup.card.flops.get("int8", 0.0))
    return own
