"""The audit of five public guides: what each says, whether it is so, and what the workbench computes for it.

The claims are a table, ``data/claims.csv``, in words of our own (``claims.py``). Most are computed anew whenever
somebody asks (``registry.py``, ``computed/``), by rules that stand in one place (``rules.py``); the rest are cited.

>>> from workbench.audit import claims, found
>>> [claim.guide_value for claim in claims(topic="memory", verdict="wrong")][:2]
['quantise to fit', '50 %']
>>> found("C000-026").value
'3.89 GB'
"""

from workbench.audit.claims import GUIDES, TOPICS, VERDICTS, Claim, claim, claims, table
from workbench.audit.registry import computable, found, found_all
from workbench.audit.rules import Found

__all__ = [
    "GUIDES",
    "TOPICS",
    "VERDICTS",
    "Claim",
    "Found",
    "claim",
    "claims",
    "computable",
    "found",
    "found_all",
    "table",
]
