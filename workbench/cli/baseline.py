"""``workbench baseline``: what transformers' generate reaches without an engine, batch by batch."""

from __future__ import annotations

import argparse
import inspect
import json

from workbench.cli.arguments import add_deployment_arguments, deployment_fields
from workbench.cli.watching import result_of
from workbench.serving import baseline

HELP = "measure transformers' generate without an engine, batch by batch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    defaults = inspect.signature(baseline).parameters
    parser.add_argument("model", help="folder, model id, or builtin")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=list(defaults["batches"].default), metavar="N",
        help="prompts at once, one batch after the other (default: 1 2 4 8)",
    )  # fmt: skip
    for name, what in (
        ("prompt-tokens", "length of every prompt"),
        ("new-tokens", "length of every answer"),
        ("warmup", "runs before those that count"),
        ("repeats", "runs that count"),
    ):
        default = defaults[name.replace("-", "_")].default
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_deployment_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print a row a batch; 1 if it failed."""
    job = baseline(
        args.model,
        batches=args.batches,
        prompt_tokens=args.prompt_tokens,
        new_tokens=args.new_tokens,
        warmup=args.warmup,
        repeats=args.repeats,
        **deployment_fields(args),
    )
    result = result_of(job, "nothing will be left")
    if result is None:
        return 1
    if args.json:
        print(json.dumps(result))
        return 0
    where = f"{result['device']}, {result['dtype']}, {result['prompt_tokens']} + {result['new_tokens']} tokens"
    print(f"transformers {result['version']} on {where}")
    print(f"{'batch':>6}{'first token':>14}{'next token':>13}{'tokens/s':>11}   slowest to fastest run")
    for row in result["rows"]:
        spread = f"{row['output_tokens_per_s_low']:.0f} to {row['output_tokens_per_s_high']:.0f}"
        times = f"{row['ttft'] * 1000:>11.1f} ms{row['tpot'] * 1000:>10.2f} ms{row['output_tokens_per_s']:>11.0f}"
        print(f"{row['batch']:>6}{times}   {spread}")
    if result["stopped"]:
        print(result["stopped"])
    return 0
