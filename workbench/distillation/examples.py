"""A conversation as what a model reads and what of it it is to learn: the answer, never the question."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

#: A label that is not learned, as torch's cross-entropy ignores it.
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids, and which of them are learned.

    Parameters
    ----------
    ids : list of int
        The whole conversation.
    labels : list of int
        The same where it is the answer, :data:`IGNORED` elsewhere.
    """

    ids: list[int]
    labels: list[int]

    @property
    def tokens(self) -> int:
        """Tokens that are learned: each is predicted from those before it, so a first one never is."""
        return sum(label != IGNORED for label in self.labels[1:])


def example(reader: Any, messages: Sequence[Mapping[str, Any]], *, ended: bool, max_length: int) -> Example | None:
    """A conversation by the model's chat template; None if nothing of its answer is left to learn.

    Parameters
    ----------
    reader : transformers.PreTrainedTokenizerBase
        With a chat template.
    messages : sequence of message
        The last is the answer.
    ended : bool
        Whether the teacher came to an end. If not, what the template puts behind an answer is not learned: the student
        would learn to break off in the middle of a sentence.
    max_length : int
        Longer ones are cut.
    """
    plain = [dict(message) for message in messages]
    whole = reader.apply_chat_template(plain, tokenize=False)
    asked = reader.apply_chat_template(plain[:-1], tokenize=False, add_generation_prompt=True)
    ids, before = (list(reader(text, add_special_tokens=False, verbose=False).input_ids) for text in (whole, asked))
    # A template may add to a finished turn what it does not add to a question, an empty thought for one.
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ids, before, strict=False)))
    end = len(ids)
    if not ended:
        answer = plain[-1]["content"].strip()
        at = whole.rfind(answer)
        tail = whole[at + len(answer) :] if at >= 0 else ""
        end -= len(reader(tail, add_special_tokens=False, verbose=False).input_ids)
    made = Example(
        ids[:max_length], [token if start <= n < end else IGNORED for n, token in enumerate(ids[:max_length])]
    )
    return made if made.tokens else None


def split(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Examples to learn from, and at least one that is held out.

    >>> [len(part) for part in split([Example([], [])] * 20, 0.1, 0)]
    [18, 2]
    """
    mixed = list(examples)
    random.Random(seed).shuffle(mixed)
    kept = min(max(round(share * len(mixed)), 1), len(mixed) - 1)
    return mixed[kept:], mixed[:kept]
