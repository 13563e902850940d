"""``workbench compare``: a plan beside what an engine reports, running, just started, or only its log."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from workbench.cli.arguments import deployment_fields
from workbench.cli.serve import add_source_arguments, start, watch
from workbench.cli.smoke import add_smoke_arguments, ask
from workbench.comparison import Comparison, alarm, comparisons
from workbench.engines.vllm.logs import MemoryReport, read_log
from workbench.errors import InvalidInput, WorkbenchError
from workbench.planner import Plan, plan
from workbench.serving import Server, serve

#: Rows, and what to be warned of.
Found = tuple[list[Comparison], str]

HELP = "put a plan beside what the engine reports: a running one, one started for it, or a log"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_source_arguments(parser, "folder, bundled model id or builtin")
    parser.add_argument("--url", help="address of the running server that the plan was made for")
    parser.add_argument("--log", metavar="FILE", help="log of a vLLM that was started by the plan")
    add_smoke_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if what the engine says of its memory is outside the plan's interval."""
    if args.url and args.log:
        raise InvalidInput("give --url or --log, not both")
    found = _from_log(args) if args.log else _from_url(args) if args.url else _from_start(args)
    if found is None:
        return 1
    rows, warned = found
    if args.json:
        print(json.dumps({"rows": [row.row() for row in rows], "drift": warned}, indent=2))
    else:
        print("\n".join([text(rows), *([warned] if warned else [])]))
    return 0 if all(row.inside for row in rows if row.source == "engine") else 1


def _found(planned: Plan, server: Server | MemoryReport) -> Found:
    rows = list(comparisons(planned, server))
    return rows, alarm(planned, server, rows)


def text(rows: list[Comparison]) -> str:
    """The table for people."""
    lines = [f"{'':<24}{'planned':>14}{'reported':>14}{'error':>9}  inside the 90 % interval"]
    for row in rows:
        show = row.show
        interval = f"{show(row.planned.low)} to {show(row.planned.high)}"
        name = row.quantity.removesuffix("_bytes").replace("_", " ")
        lines.append(
            f"{name:<24}{show(row.planned.value):>14}{show(row.reported):>14}{row.error:>+9.1%}  "
            f"{'yes' if row.inside else 'NO'} ({interval}; {row.planned.basis}; {row.source})"
        )
    return "\n".join(lines)


def _plan(args: argparse.Namespace) -> Plan:
    if bool(args.plan) == bool(args.model):
        raise InvalidInput("give either a model (`workbench models` lists the bundled ones) or --plan FILE")
    if args.plan:
        return Plan.read(args.plan)
    return plan(args.model, **deployment_fields(args))


def _from_log(args: argparse.Namespace) -> Found:
    try:
        lines = Path(args.log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InvalidInput(f"{args.log} cannot be read: {error.strerror}") from error
    return _found(_plan(args), read_log(lines))


def _from_url(args: argparse.Namespace) -> Found | None:
    planned = _plan(args)
    server = serve(args.url)
    if server.status == "failed":
        print(f"workbench: {server.error}", file=sys.stderr)
        return None
    ask(server, args, quiet=True)
    return _found(planned, server)


def _from_start(args: argparse.Namespace) -> Found | None:
    try:
        with start(args) as server:
            if server.plan is None:
                raise InvalidInput("the workbench cannot plan this model, so there is nothing to compare with")
            watch(server)
            ask(server, args, quiet=True)
            return _found(server.plan, server)
    except InvalidInput:
        raise
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return None
