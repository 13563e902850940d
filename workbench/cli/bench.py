"""``workbench bench``: put load on a server, running or started for it, and say what came back."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from typing import Any

from workbench.cli.arguments import deployment_fields
from workbench.cli.clusters import add_cluster_arguments, cluster_from
from workbench.cli.serve import add_source_arguments, is_url
from workbench.deployment import ServiceLevel, Workload
from workbench.errors import InvalidInput, WorkbenchError
from workbench.planner import Plan
from workbench.progress import Progress
from workbench.quantities import show_seconds

HELP = "put load on a running server, or on one started for it: times, rates, the largest load within a service level"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_source_arguments(parser, "address of a running server (http://…), or a folder, GGUF file, model id or builtin")
    add_cluster_arguments(parser)
    load = parser.add_argument_group("load")
    load.add_argument("--concurrency", type=int, nargs="+", metavar="N", help="requests in flight, a load each")
    load.add_argument("--request-rate", type=float, nargs="+", metavar="PER_S", help="requests a second, at random")
    load.add_argument("--sweep", action="store_true", help="raise the load until it saturates or breaks the level")
    load.add_argument("--isl", type=int, help="input tokens of a request (default: the plan's, else 1024)")
    load.add_argument("--osl", type=int, help="output tokens of a request (default: the plan's, else 256)")
    load.add_argument("--isl-cv", type=float, help="spread of the input lengths: deviation ÷ mean")
    load.add_argument("--osl-cv", type=float, help="spread of the output lengths")
    load.add_argument("--prefix-hit", type=float, help="share of the prompts that all have in common, 0 to 1")
    load.add_argument("--requests", type=int, metavar="N", help="of each load (default: four rounds, or 20 s)")
    load.add_argument("--warmups", type=int, metavar="N", help="requests before it that do not count")
    load.add_argument("--load-seed", type=int, metavar="N", help="of the prompts (default: never the same)")
    load.add_argument("--time-limit", type=float, default=600.0, metavar="S", help="longest load (%(default)g s)")
    level = parser.add_argument_group("service level", "exit status 1 where it is not held")
    level.add_argument("--max-ttft", type=float, metavar="SECONDS", help="time to first token at most")
    level.add_argument("--max-tpot", type=float, metavar="SECONDS", help="time per output token at most")
    level.add_argument("--percentile", type=float, default=50.0, help="of the requests: 50, 90, 95 or 99 (%(default)g)")
    parser.add_argument("--served-model", metavar="ID", help="which model of the server (default: its first)")
    parser.add_argument("--tokenizer", metavar="FOLDER", help="makes the prompts (default: the served model's)")
    parser.add_argument("--api-key-env", metavar="VARIABLE", help="environment variable with the server's key")
    parser.add_argument("--out", metavar="DIR", help="add results and a table for `workbench validate latency` here")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if the server fails, or the service level is not held."""
    from workbench.benchmark.bench import bench

    slo = ServiceLevel(ttft=args.max_ttft, tpot=args.max_tpot, percentile=args.percentile)
    asked = slo if slo.ttft is not None or slo.tpot is not None else None
    cancel = threading.Event()
    try:
        source, options = _source(args)
        found = bench(
            source, workload=_workload(args, options.get("plan")), concurrency=args.concurrency,
            request_rate=args.request_rate, sweep=args.sweep, slo=asked, out=args.out, requests=args.requests,
            warmups=args.warmups, seed=args.load_seed, model=args.served_model, tokenizer=args.tokenizer,
            api_key=_key(args), time_limit=args.time_limit, tell=Teller(), cancel=cancel, **options,
        )  # fmt: skip
    except InvalidInput:
        raise
    except WorkbenchError as error:
        if args.json:
            print(json.dumps({"ok": False, "error": str(error)}))
        print(f"workbench: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    finally:
        cancel.set()
    print(json.dumps(found.to_json(), indent=2) if args.json else text(found))
    return 0 if found.ok else 1


class Teller:
    """Shows progress on stderr, a line a stage."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._stage = progress.stage
            print(f"  {progress.stage} {progress.detail}".rstrip(), file=sys.stderr, flush=True)


def _source(args: argparse.Namespace) -> tuple[Plan | str, dict[str, Any]]:
    """What is measured, and how it is started if it is."""
    import shlex

    plan = Plan.read(args.plan) if args.plan else None
    on = cluster_from(args)
    if is_url(args.model):
        if on is not None:
            raise InvalidInput("a running server stays where it is; leave out --on, or say what shall be started there")
        if args.checkpoint or args.engine_arguments or args.port or deployment_fields(args):
            raise InvalidInput("a running server keeps its own settings; give its address, and its --plan FILE if any")
        return args.model, {"plan": plan}
    if bool(plan) == bool(args.model):
        raise InvalidInput("give a server's address, a model (a folder, an id, builtin) or --plan FILE")
    try:
        words = shlex.split(args.engine_arguments)
    except ValueError as error:
        raise InvalidInput(f"--engine-arguments cannot be split into words: {error}") from error
    started = {"port": args.port, "checkpoint": args.checkpoint, "arguments": words, "on": on}
    return plan or args.model, {**started, **deployment_fields(args)}


def _workload(args: argparse.Namespace, plan: Plan | None) -> Workload | None:
    """The lengths that were given, on top of the plan's."""
    names = ("isl", "osl", "isl_cv", "osl_cv", "prefix_hit")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    if not given:
        return None
    base = plan or (Plan.read(args.plan) if args.plan else None)
    return Workload(**{**(base.workload.to_dict() if base and base.workload else {}), **given})


def _key(args: argparse.Namespace) -> str | None:
    if args.api_key_env is None:
        return None
    key = os.environ.get(args.api_key_env)
    if not key:
        raise InvalidInput(f"the environment variable {args.api_key_env} is empty; put the server's key there")
    return key


def text(found: Any) -> str:
    """The result for people."""
    head = (
        f"{'load':<16}{'TTFT':>10}{'p95':>10}{'TPOT':>10}{'p95':>10}{'ITL p99':>10}{'output/s':>11}{'requests/s':>12}"
    )
    lines = [head]
    for each in found.results:
        shown = [
            each.ttft.mean, each.ttft.p95, each.tpot and each.tpot.mean, each.tpot and each.tpot.p95,
            each.itl and each.itl.p99,
        ]  # fmt: skip
        times = "".join(f"{'–' if value is None else show_seconds(value):>10}" for value in shown)
        mark = "  ←" if each is found.within and found.ended else ""
        lines.append(
            f"{each.level.label:<16}{times}{each.output_tokens_per_s:>11,.1f}{each.requests_per_s:>12,.2f}{mark}"
        )
    told = [each for each in found.results if each.served is not None]
    lines += [f"{each.level.label}, the engine says: {_served(each.served)}" for each in told]
    lines += ["", *found.sentences]
    if found.planned:
        lines += ["", *(each.sentence for each in found.planned)]
    if found.kept:
        lines += ["", found.kept]
    return "\n".join(lines)


def _served(served: Any) -> str:
    parts = [
        ("KV cache {:.1%} full at most", served.kv_cache_usage),
        ("{:.0f} waiting at most", served.waiting),
        ("{:.0f} preemptions", served.preemptions),
        ("{:.0%} of the prompts cached", served.prefix_hit),
        ("{:.0%} of the drafts accepted", served.acceptance),
    ]
    return ", ".join(words.format(value) for words, value in parts if value is not None)
