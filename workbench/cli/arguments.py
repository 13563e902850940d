"""Options several verbs share: a deployment's fields, a workload, a plan file."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any, get_type_hints

from workbench.deployment import OPTIONS, Deployment, Options, Workload
from workbench.errors import InvalidInput

if TYPE_CHECKING:
    from workbench.planner import Plan


def _reader(kind: Any) -> Any:
    """The argparse type of a field's annotation; "none" means leave it to the engine."""
    base = next(t for t in (bool, int, float, str) if t in getattr(kind, "__args__", (kind,)))

    def read(text: str) -> Any:
        if text.casefold() == "none":
            return None
        if base is bool:
            if text.casefold() not in ("true", "false"):
                raise argparse.ArgumentTypeError(f"{text!r} is not true or false")
            return text.casefold() == "true"
        try:
            return base(text)
        except ValueError:
            what = "whole number" if base is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is not a {what}") from None

    return read


def _json(name: str) -> Any:
    """The argparse type of a field that the engine takes as JSON."""

    def read(text: str) -> Any:
        try:
            return None if text.casefold() == "none" else Options.read(name, text)
        except InvalidInput as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def add_deployment_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """One option for every field of a Deployment, under vLLM's names.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    several : bool
        Whether an option takes several values (a search).
    """
    group = parser.add_argument_group("deployment", "vLLM's own names; an omitted field takes the engine's default")
    hints = get_type_hints(Deployment)
    for field in dataclasses.fields(Deployment):
        flag = "--" + field.name.replace("_", "-")
        if hints[field.name] is bool and not several:
            group.add_argument(flag, action="store_true", default=argparse.SUPPRESS)
        else:
            more: dict[str, Any] = {"nargs": "+"} if several else {}
            reader = _json(field.name) if field.name in OPTIONS else _reader(hints[field.name])
            group.add_argument(flag, type=reader, default=argparse.SUPPRESS, metavar="VALUE", **more)


def deployment_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of a Deployment that were given."""
    names = [f.name for f in dataclasses.fields(Deployment)]
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def add_workload_arguments(parser: argparse.ArgumentParser) -> None:
    """Lengths, their spread, and how many requests come."""
    group = parser.add_argument_group("workload")
    default = Workload()
    group.add_argument("--isl", type=int, default=default.isl, help="input tokens of a request (%(default)s)")
    group.add_argument("--osl", type=int, default=default.osl, help="output tokens of a request (%(default)s)")
    group.add_argument(
        "--concurrency",
        type=int,
        default=default.concurrency,
        help="requests in flight at a time (%(default)s)",
    )
    group.add_argument("--request-rate", type=float, metavar="PER_S", help="requests a second instead, at random times")
    group.add_argument("--isl-cv", type=float, default=0.0, help="spread of the input lengths: deviation ÷ mean")
    group.add_argument("--osl-cv", type=float, default=0.0, help="spread of the output lengths")
    group.add_argument("--prefix-hit", type=float, default=0.0, help="share of the input that is cached, 0 to 1")
    group.add_argument("--acceptance", type=float, help="share of drafted tokens that are accepted, 0 to 1")
    group.add_argument("--offline", action="store_true", help="a batch inside the engine's own process: no streaming")


def workload(args: argparse.Namespace) -> Workload:
    """The workload that was given."""
    return Workload(
        args.isl,
        args.osl,
        args.concurrency,
        request_rate=args.request_rate,
        isl_cv=args.isl_cv,
        osl_cv=args.osl_cv,
        prefix_hit=args.prefix_hit,
        acceptance=args.acceptance,
        streamed=not args.offline,
    )


def add_plan_arguments(parser: argparse.ArgumentParser, *, model_required: bool = True) -> None:
    """A model or a plan file, the deployment's fields and a workload."""
    parser.add_argument(
        "model", nargs="?", help="bundled id (`workbench models`), folder with a config.json, or that file"
    )
    parser.add_argument("--plan", metavar="FILE", help="a plan written by `workbench plan --json`")
    add_deployment_arguments(parser)
    add_workload_arguments(parser)
    parser.set_defaults(model_required=model_required)


def read_plan(args: argparse.Namespace) -> Plan:
    """The plan that was asked for: from the file, or computed.

    Raises
    ------
    InvalidInput
        If neither or both of model and file are given.
    """
    from workbench.planner import Plan, plan

    if args.plan and args.model:
        raise InvalidInput("give a model or --plan FILE, not both")
    if args.plan:
        if deployment_fields(args):
            raise InvalidInput("--plan FILE holds the whole deployment; leave its fields out")
        return Plan.read(args.plan)
    if not args.model:
        raise InvalidInput("give a model (`workbench models` lists the bundled ones) or --plan FILE")
    return plan(args.model, workload=workload(args), **deployment_fields(args))
