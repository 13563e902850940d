"""A small multiple-choice task of our own: which of four stretches of text comes next.

Made of the held-out part of the built-in text, so it is on every machine, and the same for the same Python. Guessing
answers a quarter. It says whether a model lost its grip, not how good a model is: that is what the field's own tasks
are for (``mmlu``, ``hellaswag`` …), which need a network.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

#: The task's name, beside those that lm-eval knows.
NAME = "what_comes_next"
#: Words of the beginning, words of each way to go on, ways to choose from.
BEGINNING, NEXT, CHOICES = 24, 12, 4


def questions(documents: Sequence[str], most: int) -> list[dict[str, Any]]:
    """Questions, always the same for the same documents.

    Parameters
    ----------
    documents : sequence of str
        Texts; short ones are left out.
    most : int
        Questions at most; of a long document several.

    Returns
    -------
    list of dict
        ``context``, ``choices`` (four, each beginning with a blank), ``answer`` (index of the right one).

    Examples
    --------
    >>> texts = [" ".join(f"{letter}{n}" for n in range(60)) for letter in "abcdef"]
    >>> found = questions(texts, 2)
    >>> before, after = found[0]["context"].split()[-1], found[0]["choices"][found[0]["answer"]].split()[0]
    >>> before[1:], after[1:], before[0] == after[0]
    ('23', '24', True)
    """
    stretches = [stretch for number, text in enumerate(documents) for stretch in _stretches(number, text.split())]
    drawn = random.Random(0)
    drawn.shuffle(stretches)
    found = []
    for document, words in stretches[:most]:
        others = [" ".join(other[BEGINNING:]) for number, other in stretches if number != document]
        right = drawn.randrange(CHOICES)
        choices = [f" {other}" for other in drawn.sample(others, CHOICES - 1)]
        choices.insert(right, " " + " ".join(words[BEGINNING:]))
        found.append({"context": " ".join(words[:BEGINNING]), "choices": choices, "answer": right})
    return found


def _stretches(document: int, words: Sequence[str]) -> list[tuple[int, Sequence[str]]]:
    """Beginnings with what comes next, one after the other."""
    size = BEGINNING + NEXT
    return [(document, words[at : at + size]) for at in range(0, len(words) - size + 1, size)]
