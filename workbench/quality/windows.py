"""Which tokens are scored, and what each may see: whole documents, in windows that slide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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


def passages(documents: Sequence[str], encode: Callable[[str], Sequence[int]], max_tokens: int) -> list[list[int]]:
    """Token ids of whole documents until about so many tokens can be scored; each begins a context of its own.

    Parameters
    ----------
    documents : sequence of str
        Texts.
    encode : callable
        Text -> token ids, with the special tokens the model is used to (a leading one is context, never scored).
    max_tokens : int
        Enough.

    Raises
    ------
    ValueError
        If no document has two tokens.

    Examples
    --------
    >>> passages(["ab", "c", "defg", "hi"], lambda text: [ord(letter) for letter in text], 4)
    [[97, 98], [100, 101, 102, 103]]
    """
    chosen: list[list[int]] = []
    scored = 0
    for document in documents:
        ids = list(encode(document))
        if len(ids) < 2:
            continue
        chosen.append(ids)
        scored += len(ids) - 1
        if scored >= max_tokens:
            break
    if not chosen:
        raise ValueError("no text to measure perplexity on")
    return chosen
