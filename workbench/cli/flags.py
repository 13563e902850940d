"""``workbench flags``: a plan in its engine's own words."""

from __future__ import annotations

import argparse
import json

from workbench.cli.arguments import add_plan_arguments, read_plan
from workbench.engines.vllm import flags

HELP = "print the engine's command and environment for a plan"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_plan_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print words and variables as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the command; exit status 1 if the plan does not fit."""
    found = read_plan(args)
    if args.json:
        print(
            json.dumps({"command": found.words, "environment": flags.environment(found.deployment)}, indent=2)
        )
    else:
        print(found.command)
    return 0 if found.fits else 1
