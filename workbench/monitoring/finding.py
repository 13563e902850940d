"""What a finding is: a sentence, the numbers it rests on, what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What a finding is about, in the words of those who look for it.
About = Literal["memory", "throughput", "latency"]


@dataclass(frozen=True, slots=True)
class Change:
    """What to change: a flag of ``vllm serve`` or a thing to do, and what it brings."""

    setting: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the numbers say.

    Parameters
    ----------
    kind : str
        A word for it: "preemption", "kv_cache", "max_num_seqs" …
    about : str
        "memory", "throughput" or "latency".
    limits : bool
        Whether it holds the engine back now; else it is good to know.
    text : str
        One sentence.
    evidence : tuple of (str, str)
        The numbers it rests on: name, and value with its unit.
    changes : tuple of Change
        The cheapest first.
    """

    kind: str
    about: About
    limits: bool
    text: str
    evidence: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...] = ()
