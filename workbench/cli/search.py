"""``workbench search``: cross the values of any fields, rank what fits."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

from workbench.cli.arguments import (
    add_deployment_arguments,
    add_workload_arguments,
    deployment_fields,
    workload,
)
from workbench.deployment import ServiceLevel

HELP = "cross GPUs, sizes and precisions, rank what fits by cost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("model", help="bundled id (`workbench models`), folder with a config.json, or that file")
    add_deployment_arguments(parser, several=True)
    add_workload_arguments(parser)
    parser.add_argument("--max-ttft", type=float, metavar="SECONDS", help="time to first token at most")
    parser.add_argument("--max-tpot", type=float, metavar="SECONDS", help="time per output token at most")
    parser.add_argument(
        "--percentile", type=float, default=50.0, help="of the requests that keep to both (%(default)g)"
    )
    parser.add_argument("--most", type=int, default=20, help="rows printed (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print all rows as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the ranked table; exit status 1 if nothing fits."""
    from workbench.planner import next_measurement, search

    slo = ServiceLevel(ttft=args.max_ttft, tpot=args.max_tpot, percentile=args.percentile)
    table = search(args.model, workload=workload(args), slo=slo, **deployment_fields(args))
    if args.json:
        rows = [{k: _plain(v) for k, v in row.items()} for row in table.to_dict("records")]
        print(json.dumps({**table.attrs, "rows": rows}, indent=2))
    elif len(table):
        crossed = [name for name in deployment_fields(args) if table[name].nunique(dropna=False) > 1]
        shown = [
            *crossed,
            "gpus",
            "ttft",
            "tpot",
            "output_tokens_per_s",
            "usd_per_hour",
            "usd_per_million_tokens",
            *(["probability"] if slo.ttft or slo.tpot else []),
        ]
        print(table[[*shown, "pareto"]].head(args.most).to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    if not args.json:
        rejected = ", ".join(f"{count} {verdict}" for verdict, count in table.attrs["rejected"].items())
        print(f"{table.attrs['evaluated']} deployments evaluated; rejected: {rejected or 'none'}")
        if len(table) and (slo.ttft or slo.tpot) and table["usd_per_hour"].notna().any():
            print(next_measurement(table).attrs["sentence"])
    return 0 if len(table) else 1


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value
