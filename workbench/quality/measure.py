"""One pass over the text: perplexity, and the distance from the original where that was measured before.

References
----------
Perplexity: exp of the mean negative log-likelihood of a token [nats], token-weighted, over held-out documents.
Kullback-Leibler divergence of the original P from the changed model Q, per token: sum over the vocabulary of
P log(P / Q) [nats]; Kullback and Leibler, "On Information and Sufficiency", 1951. Top-1 agreement: share of tokens at
which both would say the same, decoding greedily.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.quality.windows import STRIDE, WINDOW, windows

Floats = NDArray[np.float32]

#: Tokens whose whole distributions are compared: the original's lie on disk meanwhile, 4 bytes for each word of the
#: vocabulary (1 GiB for 128,256 words).
COMPARED = 2048
#: Tokens whose layers are compared, tokens of a prompt, tokens said.
LAYER_TOKENS, PROMPT_TOKENS, SAID_TOKENS, PROMPTS = 128, 16, 32, 3


class Scored(Protocol):
    """A model that can be asked, whatever runs it."""

    #: Most tokens of one context.
    longest: int
    #: The engine that loaded the checkpoint as it stands ("transformers", "llama.cpp"); empty where it was unpacked.
    runs_in: str

    def log_probs(self, ids: Sequence[int], first: int) -> Floats:
        """Log-probabilities [nats] of every word for the tokens ``first`` and later, shape (len(ids) - first, vocab).

        ``first`` is at least 1: each row is predicted from the tokens before it.
        """
        ...

    def layers(self, ids: Sequence[int]) -> list[Floats]:
        """What leaves each layer, each of shape (tokens, hidden); empty if it cannot be seen."""
        ...

    def say(self, ids: Sequence[int], tokens: int) -> list[int]:
        """So many tokens after these, decoded greedily; fewer if the model ends."""
        ...


@dataclass(slots=True)
class Measured:
    """What a pass found.

    Parameters
    ----------
    blocks : list of (int, float)
        Tokens and their negative log-likelihood [nats], a window each, in order: what is resampled to say how sure
        a difference is.
    divergence : float or None
        Mean Kullback-Leibler divergence from the original [nats a token].
    agreement : float or None
        Share of tokens whose likeliest word is the original's.
    compared : int
        Tokens that the last two are of.
    layers : list of float
        Relative error of what leaves each layer, the root of the ratio of the sums of squares.
    said : list of list of int
        What it says after each prompt.
    runs_in : str
        See :class:`Scored`.
    """

    blocks: list[tuple[int, float]] = field(default_factory=list)
    divergence: float | None = None
    agreement: float | None = None
    compared: int = 0
    layers: list[float] = field(default_factory=list)
    said: list[list[int]] = field(default_factory=list)
    runs_in: str = ""

    @property
    def tokens(self) -> int:
        """Tokens scored."""
        return sum(tokens for tokens, _ in self.blocks)

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood."""
        return math.exp(min(sum(nll for _, nll in self.blocks) / self.tokens, 700.0))  # beyond, exp overflows


class Original:
    """What the original said, kept in a folder: its distributions, layers and words.

    Parameters
    ----------
    folder : Path
        Made if it is missing; whoever calls removes it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.rows, self.layers = folder / "log_probs.f32", folder / "layers.npz"


def prompts(passages: Sequence[Sequence[int]]) -> list[list[int]]:
    """Beginnings of the first passages, to be continued."""
    return [list(ids[:PROMPT_TOKENS]) for ids in passages[:PROMPTS]]


def measure(
    model: Scored,
    passages: Sequence[Sequence[int]],
    *,
    keep: Original | None = None,
    against: Original | None = None,
    window: int = WINDOW,
    stride: int = STRIDE,
    progress: Callable[[float], None] = lambda _: None,
) -> Measured:
    """Score a model.

    Parameters
    ----------
    model : Scored
        What is measured.
    passages : sequence of sequence of int
        Token ids, as :func:`windows.passages` makes them.
    keep : Original, optional
        Where what it says is kept, for those that come after it.
    against : Original, optional
        What was kept of the original.
    window, stride : int
        Tokens seen at once, tokens the window moves.

    Returns
    -------
    Measured
    """
    found = Measured(runs_in=model.runs_in)
    window = min(window, model.longest)
    stride = min(stride, window // 2)
    total = sum(len(ids) - 1 for ids in passages)
    apart, same = 0.0, 0
    writing = keep.rows.open("wb") if keep else None
    reading = against.rows.open("rb") if against else None
    try:
        for ids in passages:
            for start, end, first in windows(len(ids), window, stride):
                rows = model.log_probs(ids[start:end], first - start)
                scored = np.asarray(ids[first:end])
                nll = -rows[np.arange(len(scored)), scored].astype(np.float64).sum()
                found.blocks.append((len(scored), float(nll)))
                compared = rows[: max(COMPARED - found.compared, 0)]
                if writing:
                    np.ascontiguousarray(compared, dtype=np.float32).tofile(writing)
                if reading and len(compared):
                    theirs = np.fromfile(reading, np.float32, compared.size).reshape(compared.shape)
                    apart += float(divergence(theirs, compared).sum())
                    same += int((theirs.argmax(1) == compared.argmax(1)).sum())
                found.compared += len(compared)
                progress(found.tokens / total)
    finally:
        for file in (writing, reading):
            if file:
                file.close()
    if against:
        found.divergence, found.agreement = apart / found.compared, same / found.compared
    found.layers = _layers(model, passages[0][:LAYER_TOKENS], keep, against)
    found.said = [model.say(prompt, SAID_TOKENS) for prompt in prompts(passages)]
    return found


def _layers(model: Scored, ids: Sequence[int], keep: Original | None, against: Original | None) -> list[float]:
    """Keep what leaves the layers, or hold it against what was kept."""
    if keep is None and against is None:
        return []
    ours = model.layers(ids)
    if keep is not None:
        np.savez(keep.layers, *ours)
    if against is None or not ours:
        return []
    with np.load(against.layers) as kept:
        return [float(relative_error(kept[name], layer)) for name, layer in zip(kept.files, ours, strict=True)]


def divergence(original: Floats, changed: Floats) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of each row [nats].

    Parameters
    ----------
    original, changed : ndarray, shape (tokens, vocab)
        Log-probabilities [nats].

    Returns
    -------
    ndarray, shape (tokens,)

    Examples
    --------
    >>> p, q = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    >>> divergence(p, q).round(4)
    array([0.1438])
    """
    p = original.astype(np.float64)
    with np.errstate(invalid="ignore"):
        terms = np.exp(p) * (p - changed)
    return np.asarray(np.where(np.isneginf(p), 0.0, terms).sum(1))


def relative_error(original: Floats, changed: Floats) -> float:
    """Norm of the difference over the norm of the original.

    >>> relative_error(np.array([[3.0, 4.0]]), np.array([[3.0, 4.5]]))
    0.1
    """
    difference = np.linalg.norm(changed.astype(np.float64) - original)
    return float(difference / np.linalg.norm(original.astype(np.float64)))


def facts(before: Measured, after: Measured, decode: Callable[[Sequence[int]], str], passages: Any) -> dict[str, Any]:
    """Both passes as one dictionary, ready for JSON.

    Returns
    -------
    dict
        ``perplexity_before``, ``perplexity_after``, ``kl_divergence``, ``top1_agreement``, ``layer_errors`` and
        ``generations`` [{prompt, before, after}]; ``blocks`` [[tokens, nll before, nll after]].
    """
    blocks = zip(before.blocks, after.blocks, strict=True)
    spoken = zip(prompts(passages), before.said, after.said, strict=True)
    return {
        "perplexity_before": before.perplexity,
        "perplexity_after": after.perplexity,
        "kl_divergence": after.divergence,
        "top1_agreement": after.agreement,
        "layer_errors": after.layers,
        "generations": [
            {"prompt": decode(prompt), "before": decode(first), "after": decode(second)}
            for prompt, first, second in spoken
        ],
        "blocks": [[tokens, nll, changed] for (tokens, nll), (_, changed) in blocks],
    }
