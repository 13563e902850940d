"""What limits an engine now: every rule put to the numbers, and the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from workbench.monitoring import rules
from workbench.monitoring.evidence import Evidence
from workbench.monitoring.finding import Finding
from workbench.monitoring.limits import RULES, waiting_for_something

Verdict = Literal["limited", "healthy", "idle", "not known"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What limits the engine now.

    Parameters
    ----------
    verdict : str
        "limited", "healthy" (it works and nothing holds it back), "idle" (nothing was asked), "not known".
    text : str
        The verdict in a sentence.
    findings : tuple of Finding
        What limits first.
    """

    verdict: Verdict
    text: str
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {self.text}"]
        for finding in self.findings:
            lines += ["", f"{finding.about}: {finding.text}"]
            lines += [f"  {name}: {value}" for name, value in finding.evidence]
            lines += [f"  {change.setting}: {change.text}" for change in finding.changes]
        return "\n".join(lines)


def diagnose(seen: Evidence, why_unknown: str = "") -> Diagnosis:
    """Put every rule to the numbers.

    Parameters
    ----------
    seen : Evidence
    why_unknown : str
        Said where there is no evidence of requests.

    Examples
    --------
    >>> diagnose(Evidence()).verdict
    'not known'
    >>> busy = Evidence(running_least=4, running_most=9, running=6, waiting_least=0, waiting_most=1, waiting=0.2,
    ...                 kv_usage=0.4, preemptions=0.0)
    >>> diagnose(busy).verdict
    'healthy'
    """
    found = [finding for rule in RULES for finding in rule(seen)]
    found.sort(key=lambda finding: not finding.limits)  # stable: within each, the order of the rules
    limiting = [finding for finding in found if finding.limits]
    findings = tuple(found)
    if limiting:
        return Diagnosis("limited", limiting[0].text, findings)
    if seen.running_most is None or seen.waiting_most is None:
        return Diagnosis("not known", why_unknown or "A few readings more are needed.", findings)
    if rules.idle(seen.running_most, seen.waiting_most):
        return Diagnosis("idle", "Nothing was asked of the engine.", findings)
    if rules.waits_all_the_time(seen.waiting_least or 0.0):
        waiting = waiting_for_something(seen)
        return Diagnosis("limited", waiting.text, (waiting, *findings))
    return Diagnosis("healthy", "Requests are answered as they come, and nothing holds the engine back.", findings)
