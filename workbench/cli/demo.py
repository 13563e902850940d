"""``workbench demo``: plan, AWQ, vLLM, smoke test and comparison on the built-in model, in one go."""

from __future__ import annotations

import argparse
import json
import sys

from workbench.demo import demo
from workbench.errors import InvalidInput, WorkbenchError

HELP = "do the whole loop on the built-in model: plan, quantise, serve, try, compare"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--out", metavar="DIR", help="keep the plan and the quantised model in this new folder")
    parser.add_argument("--json", action="store_true", help="print the results as JSON; progress goes to stderr")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if a step fails or the engine's report is outside the plan."""

    def tell(line: str) -> None:
        print(line, file=sys.stderr if args.json else sys.stdout, flush=True)

    try:
        result = demo(args.out, tell)
    except InvalidInput:
        raise
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(result.to_json(), indent=2))
    elif result.folder is not None:
        print(f"kept in {result.folder}: plan.json, {result.quantized['method']} model")
    return 0 if result.ok else 1
