"""``workbench experiment``: engines by formats on one model, each really started, under the same load."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path
from typing import Any

from workbench.cli.bench import Teller
from workbench.cli.clusters import add_cluster_arguments, cluster_from
from workbench.deployment import Workload
from workbench.errors import InvalidInput
from workbench.quantities import show_bytes, show_seconds

HELP = "serve a model by several engines and formats, one after the other or side by side, and load each alike"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    default = Workload()
    parser.add_argument("model", help="builtin, a folder or a model id")
    parser.add_argument(
        "contenders", nargs="+", metavar="ENGINE[:WHAT]",
        help="vllm, vllm:awq, vllm:FOLDER, llama.cpp:Q4_K_M …: a method is run first, a folder or file is served",
    )  # fmt: skip
    parser.add_argument("--isl", type=int, default=default.isl, help="input tokens of a request (%(default)s)")
    parser.add_argument("--osl", type=int, default=default.osl, help="output tokens of a request (%(default)s)")
    parser.add_argument("--concurrency", type=int, default=8, help="requests in flight (%(default)s)")
    parser.add_argument("--requests", type=int, metavar="N", help="of each load (default: four rounds, 16 at least)")
    parser.add_argument("--load-seed", type=int, metavar="N", help="of the prompts (default: never the same)")
    parser.add_argument("--time-limit", type=float, default=600.0, metavar="S", help="longest load (%(default)g s)")
    parser.add_argument(
        "--field", action="append", default=[], metavar="ENGINE:NAME=VALUE",
        help="a Deployment field for one engine: vllm:enforce_eager=true",
    )  # fmt: skip
    add_cluster_arguments(parser)
    parser.add_argument("--out", default="experiment", metavar="DIR", help="where everything is kept (%(default)s)")
    parser.add_argument("--chart", metavar="FILE.html", help="write the bars as a page of their own")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if a contender could not be measured."""
    from workbench.benchmark.experiment import experiment

    cancel = threading.Event()
    try:
        found = experiment(
            args.model, args.contenders, folder=args.out, workload=Workload(args.isl, args.osl),
            concurrency=args.concurrency, requests=args.requests, seed=args.load_seed, fields=_fields(args.field),
            time_limit=args.time_limit, on=cluster_from(args), tell=Teller(), cancel=cancel,
        )  # fmt: skip
    finally:
        cancel.set()
    if args.chart:
        page = found.figure().to_html(include_plotlyjs=True, full_html=True)
        try:
            Path(args.chart).write_text(page, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{args.chart} cannot be written: {error.strerror}") from error
    print(json.dumps(found.to_json(), indent=2) if args.json else text(found))
    for entry in found.entries:
        if entry.outcome == "failed":
            print(f"workbench: {entry.contender.label}: {' '.join(entry.reason.split())}", file=sys.stderr)
    return 0 if found.ok else 1


def _fields(words: list[str]) -> dict[str, dict[str, Any]]:
    """``ENGINE:NAME=VALUE``; a value is JSON where it can be, else text."""
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        engine, _, told = word.partition(":")
        name, sign, value = told.partition("=")
        if not sign or not name or not engine:
            raise InvalidInput(f"--field {word!r}: ENGINE:NAME=VALUE is needed, such as vllm:enforce_eager=true")
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        found.setdefault(engine, {})[name.replace("-", "_")] = read
    return found


def text(found: Any) -> str:
    """The table for people, the best of each column marked."""
    shown = {
        "output_tokens_per_s": ("output/s", lambda n: f"{n:,.1f}"),
        "ttft": ("TTFT", show_seconds),
        "tpot": ("TPOT", show_seconds),
        "memory": ("memory", show_bytes),
        "gpu_memory": ("on cards", show_bytes),
        "disk": ("on disk", show_bytes),
        "kl_divergence": ("KL", lambda n: f"{n:.2g}"),
        "ready_seconds": ("ready in", show_seconds),
    }
    table = [entry.row() for entry in found.entries]
    names = [name for name in shown if any(row[name] is not None for row in table)]
    width = max(len(row["contender"]) for row in table) + 2
    lines = [" " * width + "".join(f"{shown[name][0]:>14}" for name in names)]
    for row in table:
        if row["outcome"] != "done":
            lines.append(f"{row['contender']:<{width}}failed")
            continue
        cells = []
        for name in names:
            value = row[name]
            mark = "*" if found.winners.get(name) == row["contender"] else " "
            cells.append(f"{'–' if value is None else shown[name][1](value) + mark:>14}")
        lines.append(f"{row['contender']:<{width}}" + "".join(cells))
    return "\n".join([*lines, "* the best of its column"])
