"""The report as a page: one file without scripts, calm, dark where the reader's system is, legible on a phone."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.checklist.report import Answer, Report

_STYLE = """
:root { color-scheme: light dark; --page: #f4f6fb; --card: #fff; --line: #dfe4ee; --soft: #eef1f7; --text: #12192b;
  --muted: #566078; --pass: #0f5c33; --pass-soft: #e4f5ea; --warn: #7a4a00; --warn-soft: #fdf1d8; --fail: #9c1c1c;
  --fail-soft: #fde9e8; --accent: #2d4bbf; }
@media (prefers-color-scheme: dark) { :root { --page: #0f131c; --card: #181e2a; --line: #2c3546; --soft: #232b3a;
  --text: #e9edf6; --muted: #a2adc2; --pass: #86dfa9; --pass-soft: #143224; --warn: #f5c668; --warn-soft: #3a2c10;
  --fail: #ffa8a2; --fail-soft: #421b1c; --accent: #8ea6ff; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 28px 20px 48px; background: var(--page); color: var(--text); overflow-wrap: anywhere;
  font: 15px/1.5 -apple-system, BlinkMacSystemFont, "Segoe UI", Inter, Roboto, system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; }
h1 { font-size: 24px; line-height: 1.25; letter-spacing: -0.02em; margin: 0; }
h2 { font-size: 15px; margin: 30px 0 8px; display: flex; gap: 12px; align-items: baseline;
  justify-content: space-between; }
h2 span, .about, .item { color: var(--muted); font-weight: 450; font-size: 13.5px; }
p { margin: 4px 0; }
.verdict { border-radius: 14px; padding: 20px 22px; }
.verdict.ready { background: var(--pass-soft); color: var(--pass); }
.verdict.not { background: var(--fail-soft); color: var(--fail); }
.about { margin: 14px 2px; }
.counts { display: flex; flex-wrap: wrap; gap: 8px; margin: 14px 0 0; padding: 0; list-style: none; }
.verdict .tag { background: var(--card); }
.list { background: var(--card); border: 1px solid var(--line); border-radius: 14px; overflow: hidden; }
details + details { border-top: 1px solid var(--line); }
summary { display: grid; grid-template-columns: 104px minmax(0, 1fr); gap: 2px 14px; padding: 11px 16px;
  cursor: pointer; list-style: none; align-items: baseline; }
summary::-webkit-details-marker { display: none; }
summary:hover { background: var(--soft); }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
summary b { font-weight: 600; }
summary .said { grid-column: 2; color: var(--muted); font-size: 13.5px; display: -webkit-box; -webkit-line-clamp: 2;
  -webkit-box-orient: vertical; overflow: hidden; }
details[open] .said { display: block; }
.tag { font-size: 12.5px; font-weight: 600; padding: 2px 10px; border-radius: 20px; width: max-content;
  background: var(--soft); color: var(--muted); }
.tag.pass { background: var(--pass-soft); color: var(--pass); }
.tag.warn { background: var(--warn-soft); color: var(--warn); }
.tag.fail { background: var(--fail-soft); color: var(--fail); }
.evidence { padding: 2px 16px 16px 134px; }
dl { margin: 8px 0 12px; }
dt { font-size: 13px; color: var(--muted); }
dt::before { content: "● "; font-size: 10px; vertical-align: 1px; }
dt.pass::before { color: var(--pass); } dt.warn::before { color: var(--warn); } dt.fail::before { color: var(--fail); }
dd { margin: 0 0 9px; font-size: 14px; }
.mend { background: var(--soft); border-radius: 9px; padding: 9px 13px; font-size: 14px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
td { padding: 5px 16px; border-top: 1px solid var(--line); } tr:first-child td { border-top: 0; }
td + td { text-align: right; }
@media (max-width: 560px) { body { padding: 14px 10px 36px; }
  summary { grid-template-columns: minmax(0, 1fr); padding: 11px 14px; }
  summary .said { grid-column: 1; } .evidence { padding: 0 14px 14px; } h2 { margin-top: 24px; } }
@media print { details > :not(summary) { display: block; } }
"""


def page(report: Report) -> str:
    """The whole report as HTML; whatever an endpoint said is text in it."""
    counts = "".join(
        f'<li class="tag {_class(status)}">{count} {status}</li>' for status, count in report.counts.items() if count
    )
    stages = "".join(
        f"<h2>{escape(title)}<span>{_passed(answers)}</span></h2>"
        f'<div class="list">{"".join(map(_answer, answers))}</div>'
        for title, answers in report.stages()
    )
    figures = "".join(f"<tr><td>{escape(n)}</td><td>{v:g}</td></tr>" for n, v in report.thresholds.items())
    verdict = "Ready" if report.ready else "Not ready"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Nothing an endpoint said can run or fetch, even if the escaping failed.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Readiness: {report.verdict}</title><style>{_STYLE}</style></head><body><main>"
        f'<header class="verdict {"ready" if report.ready else "not"}"><h1>{verdict}</h1>'
        f'<p>{escape(report.summary)}.</p><ul class="counts">{counts}</ul></header>'
        f'<p class="about">{escape(report.model)} at {escape(report.url)} · profile {escape(report.profile)} · '
        f"{escape(report.started)} · {report.asked} questions in {report.seconds:.0f} s</p>"
        f"{stages}<h2>The figures that decided</h2>"
        f'<div class="list"><table>{figures}</table></div></main></body></html>\n'
    )


def _passed(answers: list[Answer]) -> str:
    return f"{sum(a.status == 'pass' for a in answers)} of {len(answers)} pass"


def _class(status: str) -> str:
    return status.replace(" ", "-")


def _answer(answer: Answer) -> str:
    finding, check = answer.finding, answer.check
    pieces = "".join(
        f'<dt class="{_class(e.status)}">{escape(e.asked)}</dt><dd>{escape(e.answered)}</dd>' for e in finding.evidence
    )
    word = "How to prove it" if answer.status == "not checked" else "What to do"
    mend = f'<p class="mend"><b>{word}.</b> {escape(finding.mend)}</p>' if finding.mend else ""
    return (
        f"<details{' open' if answer.status == 'fail' else ''}><summary>"
        f'<span class="tag {_class(answer.status)}">{answer.status}</span><b>{escape(check.title)}</b>'
        f'<span class="said">{escape(finding.said)}</span></summary>'
        f'<div class="evidence"><p class="item">{escape(check.item)}</p><dl>{pieces}</dl>{mend}</div></details>'
    )
