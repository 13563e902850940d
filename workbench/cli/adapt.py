"""``workbench adapt``: what to run next, from what a benchmark measured of what runs now."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from workbench.deployment import ServiceLevel
from workbench.errors import InvalidInput

HELP = "recommend the next deployment from a plan and what was measured of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--plan", required=True, metavar="FILE", help="what runs (`workbench plan … --json > FILE`)")
    parser.add_argument(
        "--result", required=True, metavar="FILE", help="what was measured of it: a file of `workbench bench --out DIR`"
    )
    parser.add_argument("--max-ttft", type=float, metavar="SECONDS", help="time to first token at most")
    parser.add_argument("--max-tpot", type=float, metavar="SECONDS", help="time per output token at most")
    parser.add_argument(
        "--percentile", type=float, default=50.0, help="of the requests that keep to both (%(default)g)"
    )
    parser.add_argument(
        "--floor", default="small", help="quality that may be lost: none, unmeasurable, small (default) or any"
    )
    parser.add_argument("--gpus", type=int, help="the most cards there are (as many as run now)")
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="SCHEME=DIR", help="a quantised checkpoint; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the step; 1 where nothing holds what is asked."""
    from workbench.adaptation import adapt
    from workbench.benchmark.load import LoadResult
    from workbench.planner import Plan

    try:
        result = LoadResult.from_json(json.loads(Path(args.result).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{args.result} is not the result of a benchmark: {error}") from error
    checkpoints = dict(word.split("=", 1) for word in args.checkpoint if "=" in word)
    if len(checkpoints) < len(args.checkpoint):
        raise InvalidInput("--checkpoint takes SCHEME=DIR, each scheme once")
    slo = ServiceLevel(ttft=args.max_ttft, tpot=args.max_tpot, percentile=args.percentile)
    step = adapt(Plan.read(args.plan), result, slo, floor=args.floor, gpus=args.gpus, checkpoints=checkpoints or None)
    print(json.dumps(step.to_dict(), indent=2) if args.json else step)
    if not args.json and step.change and step.plan.command:
        print(" ".join(step.plan.command) if not isinstance(step.plan.command, str) else step.plan.command)
    return 0 if step.holds else 1
