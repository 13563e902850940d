"""``workbench gpus``: the table of cards."""

from __future__ import annotations

import argparse

HELP = "list the GPUs a plan can name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--json", action="store_true", help="print all columns as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from workbench.hardware import gpus

    table = gpus()
    if args.json:
        print(table.reset_index().to_json(orient="records", indent=2))
    else:
        shown = ["architecture", "capacity_gib", "bandwidth_gb_s", "bf16_tflops", "fp8_tflops", "link"]
        print(table[shown].to_string(float_format=lambda x: f"{x:g}", na_rep="-"))
    return 0
