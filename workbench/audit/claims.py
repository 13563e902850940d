"""The claims: one row of ``data/claims.csv`` each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from workbench.datafiles import read_rows
from workbench.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    import pandas as pd

#: What can be said of a claim. "outdated": it was so once; "unverifiable": it names no source or setting to check.
VERDICTS = ("correct", "approximately", "outdated", "wrong", "unverifiable")
#: What a claim is about.
TOPICS = (
    "hardware", "memory", "formats", "methods", "quality", "mathematics", "attention", "serving", "speed",
    "speculation", "pruning", "distillation", "vllm options", "monitoring", "kubernetes", "other engines", "checklist",
)  # fmt: skip
#: The five guides by the first letters of their claims' ids; neutral names, since it is the claims that are judged.
GUIDES = {
    "C000": "L40S quantisation guide",
    "C001": "Kubernetes deployment sheet",
    "C002": "L40S inference notes",
    "C003": "model optimisation handbook",
    "C004": "compression course",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a guide says, and what is to be said of it.

    Attributes
    ----------
    id : str
        Such as "C000-026".
    guide, topic : str
        Of :data:`GUIDES` and :data:`TOPICS`.
    claim : str
        What the guide says, in our words.
    guide_value : str
        Its number, option or name.
    verdict : str
        Of :data:`VERDICTS`.
    why : str
        What is so instead, or why nothing can be said.
    sources : tuple of str
        Addresses, arXiv numbers, files of a repository, modules and tables of the workbench; "guide" where the guide's
        own text shows it. Empty for some that cannot be verified.
    """

    id: str
    guide: str
    topic: str
    claim: str
    guide_value: str
    verdict: str
    why: str
    sources: tuple[str, ...]

    def to_dict(self) -> dict[str, str | list[str]]:
        """Ready for JSON."""
        return {
            name: list(value) if isinstance(value := getattr(self, name), tuple) else value for name in self.__slots__
        }


@cache
def _all() -> dict[str, Claim]:
    rows = read_rows("claims.csv")
    return {
        row["id"]: Claim(
            **{name: row[name] for name in ("id", "guide", "topic", "claim", "guide_value", "verdict", "why")},
            sources=tuple(part.strip() for part in row["source"].split(";") if part.strip()),
        )
        for row in rows
    }


def claim(id: str) -> Claim:
    """One claim by its id.

    Raises
    ------
    UnknownName
        For an id that no claim has.
    """
    try:
        return _all()[id]
    except KeyError:
        raise UnknownName("claim", id, _all()) from None


def claims(topic: str | None = None, verdict: str | None = None, words: str = "") -> tuple[Claim, ...]:
    """Claims, in the order of the guides.

    Parameters
    ----------
    topic, verdict : str, optional
        Only those.
    words : str
        Only claims whose text holds all of these.

    Raises
    ------
    InvalidInput
        For a topic or verdict that there is not.

    Examples
    --------
    >>> [claim.id for claim in claims(words="swap_space")]
    ['C000-035', 'C004-042']
    """
    for name, chosen, known in (("topic", topic, TOPICS), ("verdict", verdict, VERDICTS)):
        if chosen is not None and chosen not in known:
            raise InvalidInput(f"{name} {chosen!r} is not one of {', '.join(known)}")
    asked = words.casefold().split()
    return tuple(
        claim
        for claim in _all().values()
        if (topic is None or claim.topic == topic)
        and (verdict is None or claim.verdict == verdict)
        and all(word in _text(claim) for word in asked)
    )


def _text(claim: Claim) -> str:
    return " ".join((claim.id, claim.guide, claim.topic, claim.claim, claim.guide_value, claim.why)).casefold()


def table(topic: str | None = None, verdict: str | None = None, words: str = "") -> pd.DataFrame:
    """Claims as a DataFrame by their ids; chosen as in :func:`claims`."""
    import pandas as pd

    rows = [claim.to_dict() for claim in claims(topic, verdict, words)]
    return pd.DataFrame(rows, columns=list(Claim.__slots__)).set_index("id")
