"""What a weight is worth, which ones a layer can spare, what 2:4 gains, and what leaves with layers and channels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache

import numpy as np

from workbench.hardware import gpu
from workbench.theory.pruning import patterns, sparsegpt, structured, wanda
from workbench.theory.pruning.magnitude import keep_highest
from workbench.theory.pruning.network import Network, trained
from workbench.theory.pruning.patterns import TWO_OF_FOUR, Floats
from workbench.theory.pruning.saliency import damage
from workbench.ui.chart import BLUE, GREEN, GREY, ORANGE, RED
from workbench.ui.learn import Picture, drawing

#: Llama-3.1-8B.
LLAMA = structured.Decoder(32, 4096, 14336, 32, 8, 128, 128256)
#: The menu's name -> share of zeros, or a pattern.
CHOICES = {"a half, anywhere": 0.5, "2 of every 4": TWO_OF_FOUR}
GPUS = ["A100 SXM 80GB", "L40S", "H100 SXM"]
TOKENS = np.geomspace(1, 8192, 79)


def worth(weights_removed: int = 6) -> Picture:
    """The loss of a small network as weights leave, by their size and by w² H / 2.

    Parameters
    ----------
    weights_removed : int
        Weights that are set to zero.
    """
    by_size, by_curvature, size_order, curvature_order = _removed()
    count = np.arange(len(by_size))
    figure = drawing.lines(
        {"smallest |w| first": (count, by_size), "smallest w² H / 2 first": (count, by_curvature)},
        x={"title": "weights set to zero, of 24", "range": [0, 18.3]},
        y={"title": "loss", "type": "log", "range": [-2.05, -0.1], "tickvals": [0.01, 0.03, 0.1, 0.3]},
        colours={"smallest |w| first": ORANGE, "smallest w² H / 2 first": BLUE},
    )
    size, curvature = by_size[weights_removed], by_curvature[weights_removed]
    drawing.mark(figure, "here", [weights_removed] * 2, [size, curvature], colour=GREEN)
    alike = len(set(size_order[:weights_removed]) & set(curvature_order[:weights_removed]))
    return Picture(
        figure,
        f"Without {weights_removed} weights the loss is {curvature:.4f} by curvature and {size:.4f} by size "
        f"({by_size[0]:.4f} with all). The two choose {alike} of {weights_removed} alike.",
    )


def spared(zeros: float | patterns.Pattern = 0.5, loudness: int = 10, correlation: float = 0.7) -> Picture:
    """What a layer's output loses, by the method that chose its zeros.

    Parameters
    ----------
    zeros : float or Pattern
        Share of zeros, or 2:4.
    loudness : int
        How many times as loud every 16th input is.
    correlation : float
        How much of each input is shared with others, from 0 to 1.
    """
    w, x, fresh = _layer(loudness, correlation)
    size = np.abs(w)
    by_size = zeros.mask(size) if isinstance(zeros, patterns.Pattern) else keep_highest(size, zeros)
    made = sparsegpt.prune(w, x, zeros)
    weights = {
        "size": np.where(by_size, w, 0),
        "size × input (Wanda)": np.where(wanda.mask(w, x, zeros), w, 0),
        "SparseGPT": made.weight,
    }
    errors = [100 * sparsegpt.output_error(w, weight, fresh) for weight in weights.values()]
    figure = drawing.bars(
        {"error of the output": (list(weights), errors)},
        y={"title": "error [% of the output's energy]", "range": [0, 20]},
        colours={"error of the output": BLUE},
    )
    return Picture(
        figure,
        f"Half of the weights gone, on tokens not calibrated on: {errors[0]:.1f} % of the output lost by size, "
        f"{errors[1]:.1f} % by Wanda, {errors[2]:.1f} % by SparseGPT, which also changes the weights that stay.",
    )


def faster(tokens: int = 1, card: str = "A100 SXM 80GB") -> Picture:
    """The most that 2:4 can gain in a matrix of Llama-3.1-8B's MLP, multiplied in 16 bit.

    Parameters
    ----------
    tokens : int
        Multiplied at once.
    card : str
        Of the hardware table.
    """
    rate, bandwidth = _card(card)
    series = {
        f"{bits}-bit weights": (TOKENS, patterns.gain(TOKENS, 4096, 14336, bits, rate, bandwidth))
        for bits in (16, 8, 4)
    }
    figure = drawing.lines(
        {"as told: 2": (TOKENS, np.full(len(TOKENS), 2.0)), **series},
        x={"title": "tokens at once", "type": "log", "range": [-0.06, 3.92], "tickvals": [1, 10, 100, 1000]},
        y={"title": "times as fast, at most", "range": [0.95, 2.1]},
        colours={"as told: 2": RED, **dict(zip(series, (BLUE, GREEN, ORANGE), strict=True))},
        dashed=["as told: 2"],
    )
    here = [float(patterns.gain(tokens, 4096, 14336, bits, rate, bandwidth)) for bits in (16, 8, 4)]
    drawing.mark(figure, "here", [tokens] * 3, here, colour=GREY)
    return Picture(
        figure,
        f"Tokens at once: {tokens:,}. At most {here[0]:.2f} times as fast with 16-bit weights, {here[1]:.2f} with "
        f"8-bit and {here[2]:.2f} with 4-bit ones, if a kernel for it exists.",
    )


def smaller(layers: int = 24, channels_percent: int = 100, key_value_heads: int = 8, context: int = 0) -> Picture:
    """What is left of Llama-3.1-8B without layers, channels and heads.

    Parameters
    ----------
    layers : int
        Of 32.
    channels_percent : int
        Of the MLP's 14336 [%].
    key_value_heads : int
        Of 8, each with the four query heads that share it.
    context : int
        Tokens that each token attends to.
    """
    left = replace(
        LLAMA,
        layers=layers,
        channels=LLAMA.channels * channels_percent // 100,
        heads=4 * key_value_heads,
        key_value_heads=key_value_heads,
    )
    shares = {
        "parameters": left.parameters / LLAMA.parameters,
        "FLOPs of a token": 1 / LLAMA.speedup(left, context),
        "KV cache": left.kv_values_per_token() / LLAMA.kv_values_per_token(),
    }
    told, names = layers / 32 * channels_percent / 100, list(shares)
    figure = drawing.bars(
        {"what is left": (names, [100 * share for share in shares.values()])},
        y={"title": "left [%]", "range": [0, 104]},
        colours={"what is left": BLUE},
    )
    drawing.mark(figure, "layers × channels", names[1:2], [100 * told], colour=RED, size=14)
    return Picture(
        figure,
        f"{left.parameters / 1e9:.2f} of {LLAMA.parameters / 1e9:.2f} thousand million parameters are left, "
        f"{100 * shares['KV cache']:.0f} % of the KV cache. At most {LLAMA.speedup(left, context):.2f} times as fast "
        f"where computing limits; layers × channels alone would say {1 / told:.2f}.",
    )


@cache
def _network() -> Network:
    return trained(np.random.default_rng(0))


@cache
def _removed() -> tuple[list[float], list[float], tuple[int, ...], tuple[int, ...]]:
    """Loss after so many weights, by size and by curvature, and both orders."""
    net = _network()
    orders = [np.argsort(np.abs(net.weights)), np.argsort(damage(net.weights, np.diag(net.hessian())))]
    losses = [[net.without(*order[:gone]).loss() for gone in range(19)] for order in orders]
    size, curvature = (tuple(int(at) for at in order) for order in orders)
    return losses[0], losses[1], size, curvature


@lru_cache(64)
def _layer(loud: int, alike: float) -> tuple[Floats, Floats, Floats]:
    """A weight, inputs to calibrate on and others: some loud, all of them with a few common causes."""
    generator = np.random.default_rng(0)
    w, causes = generator.standard_normal((48, 64)), generator.standard_normal((12, 64)) / np.sqrt(12)
    both = []
    for _ in range(2):
        own, shared = generator.standard_normal((400, 64)), generator.standard_normal((400, 12)) @ causes
        x = np.sqrt(1 - alike) * own + np.sqrt(alike) * shared
        x[:, ::16] *= loud
        both.append(x)
    return w, both[0], both[1]


@cache
def _card(name: str) -> tuple[float, float]:
    """Dense 16-bit rate [FLOP/s] and bandwidth [bytes/s]."""
    known = gpu(name)
    return float(known.flops["bf16"]), float(known.bandwidth)
