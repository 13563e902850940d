"""``workbench readiness``: whether an endpoint is ready for production, answered from evidence."""

from __future__ import annotations

import argparse
import json
import os
import sys

from workbench.checklist import Answer, Thresholds, checks, readiness, thresholds
from workbench.checklist.figures import PROFILES
from workbench.errors import InvalidInput

HELP = "judge an endpoint by the list of what must hold in production, from evidence"

#: Where keys are taken from, so that none needs to stand in a shell's history.
KEYS = {"api_key": "WORKBENCH_API_KEY", "other_key": "WORKBENCH_OTHER_KEY", "grafana_key": "GRAFANA_TOKEN"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("url", nargs="?", help="where users come in: http://host:port, gateway included")
    parser.add_argument("--api-key", metavar="KEY", help=f"a user's key (or the variable {KEYS['api_key']})")
    parser.add_argument("--other-key", metavar="KEY", help=f"a second user's key (or {KEYS['other_key']})")
    parser.add_argument("--model", metavar="NAME", help="name under which the chosen model must be served")
    group = parser.add_argument_group("evidence")
    group.add_argument(
        "--folder", help="folder of the served checkpoint, with the workbench.json of `workbench quantize`"
    )
    group.add_argument("--needs", metavar="FILE", help="what is asked of it: task, isl, osl, examples … (YAML or JSON)")
    group.add_argument("--manifests", nargs="+", default=[], metavar="PATH",
                       help="Kubernetes manifests, Prometheus rules, dashboards: files or folders")  # fmt: skip
    group.add_argument("--log", metavar="FILE", help="the endpoint's log on this machine")
    group.add_argument("--metrics", metavar="URL", help="where /metrics can be read, if not at the endpoint")
    group.add_argument("--prometheus", metavar="URL", help="address of Prometheus")
    group.add_argument("--grafana", metavar="URL", help="address of Grafana")
    group.add_argument("--grafana-key", metavar="KEY", help=f"a token that may look (or {KEYS['grafana_key']})")
    group = parser.add_argument_group("what decides")
    group.add_argument("--profile", default="chat", help=f"{' or '.join(PROFILES)} (%(default)s)")
    group.add_argument("--thresholds", metavar="FILE", help="other figures: a YAML or JSON file of name: value")
    group.add_argument("--threshold", action="append", default=[], metavar="NAME=VALUE", help="one other figure")
    group.add_argument("--checks", nargs="+", metavar="NAME", help="only these: stage.id, an id or a stage")
    group.add_argument("--strict", action="store_true", help="what could not be checked stands in the way")
    group.add_argument("--timeout", type=float, default=20.0, help="longest time for a question [s] (%(default)g)")
    group.add_argument("--longest", type=float, default=300.0, help="longest time for all [s] (%(default)g)")
    parser.add_argument("--list", action="store_true", help="show all checks and figures, ask nothing")
    parser.add_argument("--report", action="append", default=[], metavar="FILE", help="write .html, .md or .json")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if it is not ready."""
    figures = _figures(args.threshold)
    if args.list:
        _list(thresholds(args.profile, figures, args.thresholds), args.json)
        return 0
    if not args.url:
        raise InvalidInput("give the endpoint's address: workbench readiness http://host:port")
    for path in args.report:
        if not path.endswith((".html", ".md", ".json")):
            raise InvalidInput(f"a report is written as .html, .md or .json, not {path}")
    keys = {name: getattr(args, name) or os.environ.get(variable) or None for name, variable in KEYS.items()}
    report = readiness(
        args.url, profile=args.profile, changes=figures, thresholds_file=args.thresholds, checks=args.checks,
        timeout=args.timeout, longest=args.longest, strict=args.strict, on_answer=None if args.json else _tell,
        model=args.model, folder=args.folder, needs=args.needs, manifests=args.manifests, log=args.log,
        metrics=args.metrics, prometheus=args.prometheus, grafana=args.grafana, **keys,
    )  # fmt: skip
    for path in args.report:
        report.save(path)
    if args.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        for answer in report.answers:
            if answer.finding.mend:
                word = "to prove" if answer.status == "not checked" else "to do"
                print(f"\n{answer.check.title} ({answer.status}), {word}: {answer.finding.mend}")
        print(f"\n{report.verdict}: {report.summary}")
        for path in args.report:
            print(f"written: {path}", file=sys.stderr)
    return 0 if report.ready else 1


def _tell(answer: Answer) -> None:
    said = " ".join(answer.finding.said.split())
    print(f"{answer.status:<12}{answer.name:<28}{said[:110]}{'…' if len(said) > 110 else ''}", flush=True)


def _figures(given: list[str]) -> dict[str, str]:
    found = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidInput(f"--threshold {word} is not NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def _list(figures: Thresholds, as_json: bool) -> None:
    if as_json:
        rows = {name: {"value": row.value, "unit": row.unit, "better": row.better} for name, row in figures.items()}
        listed = {name: {"title": check.title, "item": check.item} for name, check in checks().items()}
        print(json.dumps({"profile": figures.profile, "checks": listed, "thresholds": rows}, indent=2))
        return
    for name, check in checks().items():
        print(f"{name:<28}{check.item}")
    print(f"\nthe figures that decide, profile {figures.profile}:")
    for name, row in figures.items():
        print(f"{name:<28}{row.words:<32}{row.doc} ({row.source})")
