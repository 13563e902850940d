"""The one definition of perplexity: token-weighted, over held-out documents, with a sliding window.

Before and after a quantisation are measured by this function, on the same documents, in the same environment,
with weights widened to the same float, so that a difference comes from the quantisation.

Runs inside an environment: it imports torch, and nothing of the workbench.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

#: Tokens seen at once, and how far the window moves: every token but a document's first ones is predicted from
#: at least ``WINDOW - STRIDE`` tokens before it.
WINDOW, STRIDE = 512, 256


def windows(length: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Cover ``length`` tokens: yields (start, end, first token scored); every token but the first is scored once.

    >>> list(windows(10, 6, 3))
    [(0, 6, 1), (3, 9, 6), (6, 10, 9)]
    """
    scored = 1
    for start in range(0, max(length, 1), stride):
        end = min(start + window, length)
        if end > scored:
            yield start, end, scored
            scored = end
        if end == length:
            return


def perplexity(
    model: Any,
    tokenizer: Any,
    documents: Sequence[str],
    *,
    max_tokens: int,
    window: int = WINDOW,
    stride: int = STRIDE,
    progress: Callable[[float], None] = lambda _: None,
) -> dict[str, float | int]:
    """exp of the mean negative log-likelihood [nats] of a token.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A causal language model in evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its tokenizer; adds the special tokens it is used to (a leading BOS is context, never scored).
    documents : sequence of str
        Texts; each is scored on its own, from a fresh context.
    max_tokens : int
        Stop after about so many scored tokens; whole documents only.
    window, stride : int
        Tokens seen at once, tokens the window moves.

    Returns
    -------
    dict
        ``perplexity``, and what it was measured on: ``tokens``, ``documents``, ``window``, ``stride``.

    Raises
    ------
    ValueError
        If no document has two tokens.
    """
    import torch

    total, tokens, used = 0.0, 0, 0
    longest = getattr(model.config, "max_position_embeddings", None) or window
    window = min(window, longest)
    stride = min(stride, window // 2)
    with torch.inference_mode():
        for text in documents:
            ids = tokenizer(text, return_tensors="pt", verbose=False).input_ids.to(model.device)
            if ids.shape[1] < 2:
                continue
            for start, end, first in windows(ids.shape[1], window, stride):
                logits = model(ids[:, start:end], use_cache=False).logits[0, first - start - 1 : -1]
                loss = torch.nn.functional.cross_entropy(logits.float(), ids[0, first:end], reduction="sum")
                total += float(loss)
                tokens += end - first
            used += 1
            progress(min(1.0, tokens / max_tokens))
            if tokens >= max_tokens:
                break
    if not tokens:
        raise ValueError("no text to measure perplexity on")
    return {
        "perplexity": math.exp(min(total / tokens, 700.0)),  # beyond, exp overflows
        "tokens": tokens,
        "documents": used,
        "window": window,
        "stride": stride,
    }
