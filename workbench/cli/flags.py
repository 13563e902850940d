"""``workbench flags``: a plan in its engine's own words; an old command, file or query in a newer release's."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.arguments import add_plan_arguments, deployment_fields, read_plan, workload
from workbench.errors import InvalidInput

if TYPE_CHECKING:
    from workbench.translation import Part

HELP = "print the engine's command for a plan, or translate an old command with --translate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_plan_arguments(parser)
    parser.add_argument(
        "--translate",
        metavar="FILE",
        help="translate an old vLLM command, YAML, Python call, environment, Prometheus query or dashboard; - reads"
        " what is piped in",
    )
    parser.add_argument("--to", metavar="VERSION", help="the release of vLLM to translate for (the one planned for)")
    parser.add_argument("--json", action="store_true", help="print its words as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the command; exit status 1 if the plan does not fit, or if something could not be translated."""
    if args.translate:
        return _translate(args)
    if args.to:
        raise InvalidInput("--to belongs to --translate FILE; for a plan say --engine-version")
    found = read_plan(args)
    print(json.dumps({"command": found.words}, indent=2) if args.json else found.command)
    return 0 if found.fits else 1


def _translate(args: argparse.Namespace) -> int:
    from workbench.translation import translate

    if args.model or args.plan:
        raise InvalidInput("--translate FILE reads a text of its own; leave the model and --plan out")
    done = translate(_read(args.translate), args.to)
    plans = [_planned(part, args) for part in done.parts]
    if args.json:
        parts = [part.to_dict() | {"plan": plan} for part, plan in zip(done.parts, plans, strict=True)]
        print(json.dumps(done.to_dict() | {"parts": parts}, indent=2, ensure_ascii=False))
    else:
        for part, plan in zip(done.parts, plans, strict=True):
            _print(part, plan)
    return 1 if done.lost else 0


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise InvalidInput(f"{name} cannot be read: {reason}") from error


def _planned(part: Part, args: argparse.Namespace) -> dict[str, Any] | None:
    """Whether what it describes would fit; None of what describes no server."""
    if not part.describes or not part.model:
        return None
    try:
        plan = part.plan(workload(args), **deployment_fields(args))
    except InvalidInput as error:
        return {"refused": str(error)}
    cards = f"{plan.deployment.gpus} x {plan.card.name}"
    return {"gpu": cards, "fits": plan.fits, "verdict": plan.verdict, "reasons": plan.reasons}


def _print(part: Part, plan: dict[str, Any] | None) -> None:
    release = f" {part.version}" if part.version else ""
    print(f"line {part.line}: {part.form} for {part.engine}{release}")
    for change in part.changes:
        given = " ".join(word for word in (change.given, change.value) if word)
        becomes = f" -> {change.becomes}" if change.becomes and change.status != "kept" else ""
        print(f"  {change.status:8}{given[:200]}{becomes[:300]}")
        if change.text:
            source = f" ({change.source})" if change.source else ""
            print(textwrap.fill(change.text + source, 110, initial_indent=" " * 10, subsequent_indent=" " * 10))
    for remark in part.remarks:
        print(textwrap.fill(remark, 110, initial_indent="  ", subsequent_indent="  "))
    print("\n" + part.text if part.text else "")
    if plan is None:
        return
    if "refused" in plan:
        print(f"not planned: {plan['refused']}\n")
    else:
        print(f"on {plan['gpu']}: {'fits' if plan['fits'] else 'does not fit'}; {plan['reasons'][0]}\n")
