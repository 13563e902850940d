"""``workbench export``: files that deploy a plan."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any, get_type_hints

from workbench.cli.arguments import add_plan_arguments, read_plan
from workbench.errors import InvalidInput
from workbench.exports.wishes import Wishes

HELP = "write files that deploy a plan: engines, Docker, Kubernetes, proxies, monitoring"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_plan_arguments(parser)
    parser.add_argument(
        "--to", nargs="+", metavar="TARGET", help="targets or groups (default: all that can express it)"
    )
    parser.add_argument("--out", metavar="PATH", help="a folder to make, or a file ending in .zip")
    parser.add_argument("--targets", action="store_true", help="list the targets, and for which engines they are")
    parser.add_argument("--programs", action="store_true", help="let programs of this machine read the files too")
    parser.add_argument("--json", action="store_true", help="print files, texts and checks as JSON")
    group = parser.add_argument_group("wishes", "what is exported besides the plan")
    group.add_argument("--beside", nargs="+", default=[], metavar="FILE", help="plans that the same server answers for")
    hints = get_type_hints(Wishes)
    for field in _plain():
        kind = next(t for t in (int, float, str) if t in getattr(hints[field.name], "__args__", (hints[field.name],)))
        shown = "" if field.default is None else f"default: {field.default}"
        group.add_argument(f"--{_flag(field.name)}", type=kind, dest=f"wish_{field.name}", metavar="X", help=shown)


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if the plan does not fit or a file does not pass its check."""
    if args.targets:
        return _list(args.json)
    from workbench.exports import export
    from workbench.planner import Plan

    plan = read_plan(args)
    if not plan.fits:
        print(f"{plan.verdict}: {'; '.join(plan.reasons)}")
        return 1
    if not args.out and not args.json:
        raise InvalidInput("say where to: --out FOLDER, --out FILE.zip, or --json")
    wishes = {field.name: value for field in _plain() if (value := getattr(args, f"wish_{field.name}")) is not None}
    made = export(plan, args.to, args.out, beside=tuple(map(Plan.read, args.beside)), **wishes)
    checks = made.checks(programs=args.programs)
    failed = any(check.outcome == "fail" for found in checks.values() for check in found)
    if args.json:
        print(json.dumps(made.to_dict(), indent=2))
        return 1 if failed else 0
    for path, found in checks.items():
        told = ", ".join(f"{c.reader}: {c.outcome}{f' ({c.detail})' if c.detail else ''}" for c in found)
        print(f"{path:<44} {told}")
    for id, why in made.refused.items():
        print(f"not written: {id}: {why}")
    if args.out:
        print(f"written to {args.out}")
    return 1 if failed else 0


def _plain() -> list[dataclasses.Field[Any]]:
    """Wishes that are one value each."""
    return [field for field in dataclasses.fields(Wishes) if field.name != "beside"]


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _list(as_json: bool) -> int:
    from workbench.exports.registry import targets

    known: dict[str, Any] = {
        id: {"title": t.title, "group": t.group, "about": t.about, "engines": t.engines, "without": dict(t.without)}
        for id, t in targets().items()
    }
    if as_json:
        print(json.dumps(known, indent=2))
    else:
        for id, facts in known.items():
            print(f"{id:<22} {facts['group']:<12} {', '.join(facts['engines'])}")
    return 0
