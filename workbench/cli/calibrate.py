"""``workbench calibrate``: learn the planner's constants and intervals from measurements."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from workbench.cli.validate import write_rows
from workbench.errors import InvalidInput

HELP = "learn constants and intervals from measurements: start-up memory, serving latency, or timed kernels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "kind",
        choices=("memory", "latency", "kernels", "here"),
        help="vLLM's start-up report: intervals; a serving benchmark: an engine's overheads; timed kernels: rates; "
        "loads put on an engine of this machine (workbench bench --out): its overheads here, used by every later plan",
    )
    parser.add_argument("file", metavar="FILE.csv", help="measurements, a row each; `config` names the model")
    parser.add_argument(
        "--models", metavar="DIR", help="configurations named owner__name.json, besides the bundled ones"
    )
    parser.add_argument("--level", type=float, default=0.9, help="share of measurements to hold (%(default)s)")
    parser.add_argument("--out", metavar="FILE.csv", help="write the learned table here")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    latency = parser.add_argument_group("latency")
    latency.add_argument("--engine", default="", help="which engine's rows (vllm; here: the file's own)")
    latency.add_argument("--gpu", default="", metavar="SM", help="only cards of a compute capability: 9 or 10")
    latency.add_argument(
        "--without", action="append", default=[], metavar="COLUMN=TEXT", help="leave out rows with this cell"
    )
    here = parser.add_argument_group("here")
    here.add_argument("--dry-run", action="store_true", help="say what would be learned, and keep nothing")
    latency.add_argument(
        "--belief", type=float, default=2.0, help="how many measurements a prior belief weighs (%(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Print what was learned, and how well it holds on what was left out."""
    if args.kind == "here":
        return _here(args)
    rows, checked = {"memory": _memory, "latency": _latency, "kernels": _kernels}[args.kind](args)
    if args.out:
        write_rows(args.out, rows)
    if args.json:
        print(json.dumps({"intervals" if args.kind == "memory" else "rows": rows, **checked}, indent=2))
        return 0
    names = [name for name in rows[0] if name != "source"]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) + 2 for name in names}
    print("".join(f"{name:<{widths[name]}}" for name in names))
    for row in rows:
        print("".join(f"{row[name]:<{widths[name]}}" for name in names))
    for title, found in checked.items():
        print(f"\n{_TITLES[title]}")
        for name, each in found.items():
            print(f"{name:<36}" + "   ".join(f"{key} {value:.1%}" for key, value in each.items() if key != "n"))
    return 0


_TITLES = {"held_out_by_model": "Held with each model left out in turn", "errors": "Errors"}

Checked = dict[str, dict[str, dict[str, Any]]]


def _memory(args: argparse.Namespace) -> tuple[list[dict[str, str]], Checked]:
    """Half-widths of memory's intervals, and how many measurements they hold with each model left out in turn."""
    from workbench.evidence import validate
    from workbench.evidence.intervals import held_out, learn

    table = validate(args.kind, args.file, args.models).table
    source = f"{Path(args.file).name}, {int(table['row'].nunique())} rows"
    rows = [each.row(source) for each in learn(table, args.level)]
    return rows, {"held_out_by_model": held_out(table, level=args.level)}


def _kernels(args: argparse.Namespace) -> tuple[list[dict[str, str]], Checked]:
    """Rates of kernels, a row for each operator, format and card."""
    from workbench.calibration.kernels import FEWEST, fit_kernels

    rows = [each.row() for each in fit_kernels(args.file)]
    if not rows:
        raise InvalidInput(f"{args.file} has fewer than {FEWEST} timed kernels of any operator, format and card")
    return rows, {}


def _latency(args: argparse.Namespace) -> tuple[list[dict[str, str]], Checked]:
    """An engine's overheads, and the errors with each model and card left out in turn."""
    from workbench.calibration.overheads import learn

    without = [tuple(each.split("=", 1)) for each in args.without]
    if any(len(each) != 2 for each in without):
        raise InvalidInput("--without takes COLUMN=TEXT")
    learned = learn(
        args.file, args.models, args.engine or "vllm", args.gpu, dict(without), strength=args.belief, level=args.level
    )
    return [learned.row()], {"errors": learned.errors}


def _here(args: argparse.Namespace) -> int:
    """What an engine of this machine costs, kept for later plans."""
    from workbench.calibration.here import learn_here
    from workbench.performance.here import keep

    found = learn_here(args.file, args.models, engine=args.engine, level=args.level)
    kept = None if args.dry_run else keep(found.here)
    if args.out:
        write_rows(args.out, [found.here.row()])
    if args.json:
        print(json.dumps({**found.to_dict(), "kept": str(kept) if kept else None}, indent=2))
        return 0
    print(*found.sentences, sep="\n")
    print(f"kept in {kept}: plans for it say 'measured here'" if kept else "nothing was kept")
    return 0
