"""``workbench smoke``: ask a server everything once; one is started and stopped if none runs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from workbench.cli.serve import add_source_arguments, is_url, start, watch
from workbench.errors import InvalidInput, WorkbenchError
from workbench.serving import Server, SmokeResult, serve
from workbench.serving.smoke import PROMPT, Step

HELP = "ask a running server everything once, or start one, ask it and stop it"

_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_source_arguments(parser, "address of a running server (http://…), or a folder, model id or builtin")
    parser.add_argument("--api-key-env", metavar="VARIABLE", help="environment variable with a running server's key")
    parser.add_argument("--served-model", metavar="ID", help="which model of a running server (default: its first)")
    add_smoke_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_smoke_arguments(parser: argparse.ArgumentParser) -> None:
    """What is asked."""
    group = parser.add_argument_group("smoke test")
    group.add_argument("--prompt", default=PROMPT, help="what is completed (%(default)r)")
    group.add_argument("--max-tokens", type=int, default=64, help="length of the timed answer (%(default)s)")
    group.add_argument("--temperature", type=float, help="of the timed answer (default: the server's)")
    group.add_argument("--top-p", type=float, help="of the timed answer (default: the server's)")
    group.add_argument("--seed", type=int, help="of the timed answer (default: none)")


def open_server(args: argparse.Namespace) -> Server:
    """The running server at the address, or one that is started."""
    if not is_url(args.model):
        if args.api_key_env is not None or args.served_model is not None:
            raise InvalidInput("--api-key-env and --served-model are for a running server, named by its address")
        return start(args)
    key = None
    if args.api_key_env is not None:
        key = os.environ.get(args.api_key_env)
        if not key:
            raise InvalidInput(f"the environment variable {args.api_key_env} is empty; put the server's key there")
    server = serve(args.model, api_key=key, model=args.served_model)
    if server.status == "failed":
        raise WorkbenchError(server.error or "")
    return server


def ask(server: Server, args: argparse.Namespace, *, quiet: bool = False) -> SmokeResult:
    """Run the smoke test, printing each step as it ends."""
    sampling: dict[str, Any] = {
        name: value for name in ("temperature", "top_p", "seed") if (value := getattr(args, name)) is not None
    }

    def show(step: Step) -> None:
        if not quiet:
            print(f"{step.name:<12}{_MARKS[step.status]:<9}{step.detail}", flush=True)

    return server.smoke(prompt=args.prompt, max_tokens=args.max_tokens, on_step=show, **sampling)


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if a step fails or the server does not come up."""
    if is_url(args.model) and (args.plan or args.port or args.checkpoint):
        raise InvalidInput("a running server keeps its own settings; give its address alone")
    try:
        with open_server(args) as server:
            if not server.attached:
                watch(server)
            result = ask(server, args, quiet=args.json)
    except InvalidInput:
        raise
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        print("the server answers" if result.ok else "the server does not answer as it should")
    return 0 if result.ok else 1
