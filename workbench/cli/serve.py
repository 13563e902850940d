"""``workbench serve``: start vLLM, transformers or llama.cpp, show how it comes up, stop it with Ctrl-C."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
import time
from typing import Any

from workbench.cli.arguments import add_deployment_arguments, deployment_fields
from workbench.cli.clusters import add_cluster_arguments, cluster_from
from workbench.errors import InvalidInput, WorkbenchError
from workbench.planner import Plan
from workbench.quantities import show_bytes, show_count
from workbench.serving import Server, serve

HELP = "start vLLM or transformers on a plan, a folder or a model, or llama.cpp on a GGUF file; Ctrl-C stops it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_source_arguments(parser, "folder, GGUF file, model id, or builtin")
    add_cluster_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object once it is ready")


def add_source_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """What to serve and how: shared with the verbs that start a server for themselves."""
    parser.add_argument("model", nargs="?", help=what)
    parser.add_argument("--plan", metavar="FILE", help="a plan written by `workbench plan --json`")
    parser.add_argument("--checkpoint", metavar="FOLDER", help="load this instead of what the plan names")
    parser.add_argument(
        "--engine-arguments",
        metavar="WORDS",
        default="",
        help="further flags of the server itself, as one quoted text",
    )
    parser.add_argument("--port", type=int, help="port on this machine (default: any free one)")
    add_deployment_arguments(parser)


def is_url(text: str | None) -> bool:
    """Whether the argument is a server's address."""
    return bool(text) and str(text).startswith(("http://", "https://"))


def start(args: argparse.Namespace) -> Server:
    """The server that the arguments ask for, coming up."""
    if bool(args.plan) == bool(args.model):
        raise InvalidInput("give either a model (a folder, an id, builtin) or --plan FILE")
    source: Plan | str = Plan.read(args.plan) if args.plan else args.model
    try:
        words = shlex.split(args.engine_arguments)
    except ValueError as error:
        raise InvalidInput(f"--engine-arguments cannot be split into words: {error}") from error
    fields = deployment_fields(args)
    on = cluster_from(args)  # of those verbs that have it
    return serve(source, port=args.port, checkpoint=args.checkpoint, arguments=words, on=on, **fields)


def watch(server: Server, out: Any = None) -> None:
    """Print each stage as it is reached, until the server is ready.

    Raises
    ------
    WorkbenchError
        It failed; the message says why.
    """
    out = out or sys.stderr
    begin, shown = time.monotonic(), ""
    changed = threading.Event()
    forget = server.observe(lambda _: changed.set())
    try:
        while server.status == "starting":
            progress = server.progress
            if progress.stage not in (shown, "ready"):
                shown = progress.stage
                left = f", about {progress.seconds_left:.0f} s left" if progress.seconds_left else ""
                print(f"{time.monotonic() - begin:7.1f} s  {shown}{left}", file=out, flush=True)
            changed.wait(0.5)
            changed.clear()
    finally:
        forget()
    server.wait_ready()
    print(f"{time.monotonic() - begin:7.1f} s  ready", file=out, flush=True)


def facts(server: Server) -> dict[str, Any]:
    """A ready server as plain data."""
    return {
        "status": server.status,
        "url": server.url,
        "version": server.version,
        "ready_seconds": server.ready_seconds,
        "pid": server.pid,
        "command": list(server.command),
        "log": str(server.log_path) if server.log_path else None,
        "report": vars(server.report),
    }


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C (or SIGTERM); exit status 1 if it does not come up or dies."""
    if is_url(args.model):
        raise InvalidInput("that is a running server; try `workbench smoke URL`")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with start(args) as server:
        watcher = threading.Thread(target=_until, args=(server, stop), daemon=True)
        watcher.start()
        try:
            watch(server)
        except WorkbenchError as error:
            if stop.is_set():
                return 0
            return _failed(args, server, error)
        print(json.dumps(facts(server)) if args.json else _text(server), flush=True)
        while server.status == "ready" and not stop.wait(0.5):
            pass
        if server.status == "failed":
            return _failed(args, server, WorkbenchError(server.error or "the server ended"))
    print("stopped", file=sys.stderr)
    return 0


def _until(server: Server, stop: threading.Event) -> None:
    """End a start that the user interrupts."""
    while server.status == "starting":
        if stop.wait(0.2):
            server.stop()
            return


def _failed(args: argparse.Namespace, server: Server, error: WorkbenchError) -> int:
    if args.json:
        print(json.dumps({"status": "failed", "error": str(error), "log": str(server.log_path)}))
    print(f"workbench: {error}\nworkbench: the whole log is in {server.log_path}", file=sys.stderr)
    return 1


def _text(server: Server) -> str:
    report = server.report
    lines = [f"{server.engine} {server.version} answers at {server.url}/v1"]
    if report.kv_cache is not None and report.kv_cache_tokens is not None:
        room = f"KV cache {show_bytes(report.kv_cache)}, {show_count(report.kv_cache_tokens)} tokens"
        if report.max_concurrency is not None and report.max_model_len is not None:
            room += f": {report.max_concurrency:.1f} requests of {show_count(report.max_model_len)} tokens at a time"
        lines.append(room)
    return "\n".join([*lines, f"try it: workbench smoke {server.url}", "Ctrl-C stops it"])
