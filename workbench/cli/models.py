"""``workbench models``: the bundled configurations."""

from __future__ import annotations

import argparse

HELP = "list the models that can be planned by name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--json", action="store_true", help="print all columns as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from workbench.architecture import models

    table = models()
    if args.json:
        print(table.reset_index().to_json(orient="records", indent=2))
    else:
        shown = ["parameters", "layers", "max_model_len", "quantization", "kv_bytes_per_token"]
        print(table[shown].to_string(formatters={"parameters": lambda n: f"{n:,}"}))
    return 0
