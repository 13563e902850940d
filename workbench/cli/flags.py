"""``workbench flags``: a plan in its engine's own words."""

from __future__ import annotations

import argparse
import json

from workbench.cli.arguments import add_plan_arguments, read_plan

HELP = "print the engine's command for a plan"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_plan_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print its words as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the command; exit status 1 if the plan does not fit."""
    found = read_plan(args)
    print(json.dumps({"command": found.words}, indent=2) if args.json else found.command)
    return 0 if found.fits else 1
