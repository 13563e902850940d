"""The report as Markdown: a table a stage, then the evidence of all that did not pass."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.checklist.report import Report

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&$])")
#: Where a renderer would make a link of bare text.
_LINK = re.compile(r"(?i)\b(https?|ftp|mailto|www)([:.])")


def plain(text: str) -> str:
    """A text that says the same, whatever is in it: no markup, no link, one line.

    >>> plain("<b>x</b> | `y` [z](http://q)")
    '\\\\<b\\\\>x\\\\</b\\\\> \\\\| \\\\`y\\\\` \\\\[z\\\\](http\\u200b://q)'
    """
    printable = "".join(c if c.isprintable() else " " for c in text)
    return _LINK.sub("\\1\u200b\\2", _SPECIAL.sub(r"\\\1", " ".join(printable.split())))


def markdown(report: Report) -> str:
    """The whole report."""
    counts = ", ".join(f"{count} {status}" for status, count in report.counts.items())
    url = report.url.replace("`", "")
    lines = [
        f"# Readiness: {report.verdict}",
        "",
        f"{plain(report.summary)}.",
        "",
        f"{plain(report.model)} at `{url}`, profile {report.profile}, {report.started}; {counts}; "
        f"{report.asked} questions in {report.seconds:.0f} s.",
    ]
    for title, answers in report.stages():
        lines += ["", f"## {title}", "", "| | item | found |", "|---|---|---|"]
        lines += [f"| {a.status} | {plain(a.check.title)} | {plain(a.finding.said)} |" for a in answers]
        for answer in answers:
            if answer.status == "pass":
                continue
            finding = answer.finding
            lines += ["", f"**{plain(answer.check.title)}: {answer.status}**", ""]
            lines += [f"- {plain(e.asked)} → {plain(e.answered)} ({e.status})" for e in finding.evidence]
            word = "How to prove it" if answer.status == "not checked" else "What to do"
            if finding.mend:
                lines += ["", f"{word}: {plain(finding.mend)}"]
    lines += ["", "## The figures that decided", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value:g} |" for name, value in report.thresholds.items()]
    return "\n".join(lines) + "\n"
