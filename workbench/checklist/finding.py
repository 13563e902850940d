"""What a check answers: pass, warn, fail or not checked, with what was asked and what came back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["pass", "warn", "fail", "not checked"]

#: From the worst to the best; the worst piece of evidence decides.
STATUSES: tuple[Status, ...] = ("fail", "warn", "not checked", "pass")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One question and its answer.

    Parameters
    ----------
    asked : str
        What was sent, read or counted.
    answered : str
        What came back.
    status : {"pass", "warn", "fail", "not checked"}
        What follows from it.
    mend : str
        What to do about it, or how to prove it.
    """

    asked: str
    answered: str
    status: Status
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check.

    Parameters
    ----------
    status : {"pass", "warn", "fail", "not checked"}
        The worst of its evidence.
    said : str
        In a sentence.
    evidence : tuple of Evidence
        All of it.
    mend : str
        What to do, or how to prove it; empty where all is well.
    """

    status: Status
    said: str
    evidence: tuple[Evidence, ...] = ()
    mend: str = ""


def good(asked: str, answered: str) -> Evidence:
    """Evidence for it."""
    return Evidence(asked, answered, "pass")


def doubt(asked: str, answered: str, mend: str) -> Evidence:
    """Evidence that one should look at."""
    return Evidence(asked, answered, "warn", mend)


def bad(asked: str, answered: str, mend: str) -> Evidence:
    """Evidence against it."""
    return Evidence(asked, answered, "fail", mend)


def unknown(asked: str, answered: str, mend: str = "") -> Evidence:
    """Nothing that proves it either way; without ``mend`` the check's own words say how to prove it."""
    return Evidence(asked, answered, "not checked", mend)


def conclude(evidence: Iterable[Evidence], prove: str = "", well: str = "") -> Finding:
    """The finding that follows: the worst piece of evidence decides.

    Parameters
    ----------
    evidence : iterable of Evidence
        At least one piece.
    prove : str
        How to prove what was not checked, where the evidence itself does not say.
    well : str
        What is said where all speaks for it; else the last piece of evidence does.

    Examples
    --------
    >>> finding = conclude([good("GET /health", "200 OK"), bad("GET /v1/models", "500", "look into its log")])
    >>> finding.status, finding.said, finding.mend
    ('fail', '500', 'look into its log')
    """
    found = tuple(evidence)
    worst = min((piece.status for piece in found), key=STATUSES.index)
    deciding = [piece for piece in found if piece.status == worst]
    answers = list(dict.fromkeys(piece.answered for piece in deciding))
    more = f"; and {len(answers) - 2} more" if len(answers) > 2 else ""
    told = "; ".join(answers[:2]) + more
    said = (well or deciding[-1].answered) if worst == "pass" else told
    mends = list(dict.fromkeys(piece.mend for piece in deciding if piece.mend))
    if worst == "not checked" and not mends:
        mends = [prove]
    return Finding(worst, said, found, " ".join(mends) if worst != "pass" else "")


def as_data(finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    return {
        "status": finding.status,
        "said": finding.said,
        "mend": finding.mend,
        "evidence": [
            {"asked": e.asked, "answered": e.answered, "status": e.status, "mend": e.mend} for e in finding.evidence
        ],
    }
