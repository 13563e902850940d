"""``workbench distill``: fine-tune a model on the answers of a served one."""

from __future__ import annotations

import argparse
import inspect
import json
import os
from typing import Any

from workbench.cli.watching import result_of
from workbench.errors import InvalidInput

HELP = "fine-tune a model on the answers of a served one"

_DOCS: dict[str, tuple[Any, str]] = {
    "limit": (int, "prompts used, from the first"),
    "max-tokens": (int, "longest answer"),
    "temperature": (float, "of the teacher's sampling"),
    "concurrency": (int, "requests under way at once"),
    "retries": (int, "further attempts at a prompt"),
    "timeout": (float, "longest time of a request [s]"),
    "epochs": (int, "times each answer is learned from"),
    "learning-rate": (float, "highest learning rate"),
    "batch-size": (int, "conversations in a step"),
    "max-length": (int, "tokens of a conversation; the rest is cut"),
    "held-out": (float, "share of the answers that is only measured on"),
    "seed": (int, "of the split and the order"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    from workbench.distillation import distill

    parser.add_argument("teacher", help="address of a server that speaks OpenAI's API, http://host:port")
    parser.add_argument(
        "--prompts", metavar="FILE", help="a .txt with a prompt in each line, or a .jsonl with prompt or messages "
        "(default: questions about Python's standard library)",
    )  # fmt: skip
    parser.add_argument("--student", default="builtin", help="builtin, a folder, or a hub id (%(default)s)")
    parser.add_argument("--out", metavar="DIR", help="folder to make (default: STUDENT-distilled here)")
    parser.add_argument("--teacher-model", metavar="NAME", help="the model's name there (default: the first it serves)")
    parser.add_argument("--api-key-env", metavar="VARIABLE", help="environment variable that holds the teacher's key")
    parser.add_argument("--answers", metavar="FILE", help="where answers are kept (default: OUT-answers.jsonl)")
    defaults = inspect.signature(distill).parameters
    for name, (kind, doc) in _DOCS.items():
        default = defaults[name.replace("-", "_")].default
        shown = doc if default is None else f"{doc} ({default:g})"
        parser.add_argument(f"--{name}", type=kind, default=default, help=shown)
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument("--download", action="store_true", help="fetch a hub model that is not on this machine")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder if it exists")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Distil and print what came out; 1 if the job failed."""
    from workbench.distillation import distill

    key = None
    if args.api_key_env is not None:
        key = os.environ.get(args.api_key_env)
        if not key:
            raise InvalidInput(f"the environment variable {args.api_key_env} is empty; put the teacher's key there")
    options = {name.replace("-", "_"): getattr(args, name.replace("-", "_")) for name in _DOCS}
    job = distill(
        args.teacher, args.prompts, args.student, args.out, teacher_model=args.teacher_model, api_key=key,
        answers=args.answers, revision=args.revision, download=args.download, overwrite=args.overwrite, **options,
    )  # fmt: skip
    result = result_of(job, "the answers stay, nothing else will be left")
    if result is None:
        return 1
    print(json.dumps(result, indent=2) if args.json else summary(result))
    return 0


def summary(result: dict[str, Any]) -> str:
    """A result in a few lines."""
    lost = result["empty"] + result["failed"]
    lines = [
        f"{result['out']}",
        f"  answers     {result['answered']:,} of {result['prompts']:,} prompts by {result['teacher_model']}"
        f" ({result['kept']:,} from before, {lost:,} without an answer), in {result['answers']}",
        f"  trained     on {result['trained_on']:,} answers, {result['tokens']:,} tokens, {result['epochs']} epochs, "
        f"{result['steps']:,} steps",
        f"  loss        {result['loss_before']:.3f} -> {result['loss_after']:.3f} nats a token on "
        f"{result['held_out']:,} held-out answers",
        f"  took        {result['seconds']:.0f} s to train",
    ]
    lines += [f"  note        {note}" for note in result["notes"]]
    return "\n".join(lines)
