"""``workbench validate``: check the planner on measurements, a file of them or one start-up log."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from workbench.datafiles import rows_as_text, write_whole
from workbench.errors import InvalidInput

HELP = "check the planner on measurements: memory or latency of a CSV file, or one start-up log"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("kind", choices=("memory", "latency"), help="vLLM's start-up report, or a benchmark's results")
    parser.add_argument(
        "file", nargs="?", metavar="FILE.csv", help="measurements, a row each; `config` names the model"
    )
    parser.add_argument(
        "--models", metavar="DIR", help="configurations named owner__name.json, besides the bundled ones"
    )
    parser.add_argument("--out", metavar="FILE.csv", help="write the rows with their predictions to this file")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--log", metavar="FILE", help="read one start-up log of vLLM instead (- is standard input)")
    known = parser.add_argument_group("with --log, what the log does not show")
    known.add_argument("--model", help="the model: a bundled id, or one of --models")
    known.add_argument("--gpu", help="the card")
    known.add_argument("--tensor-parallel-size", type=int, metavar="N")
    known.add_argument("--vllm-version", metavar="VERSION")


def run(args: argparse.Namespace) -> int:
    """Print how far estimates are from measurements; exit status 1 if no row could be predicted."""
    if bool(args.log) == bool(args.file):
        raise InvalidInput("give either FILE.csv or --log FILE")
    if args.log:
        return _log(args)
    from workbench.evidence import validate

    found = validate(args.kind, args.file, args.models)
    if args.out:
        write_rows(args.out, found.predicted_rows())
    result = found.to_dict()
    print(json.dumps(result, indent=2) if args.json else text(result))
    return 0 if result["covered"] else 1


def write_rows(path: str, rows: list[dict[str, str]]) -> None:
    """Write rows as CSV, whole or not at all.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    write_whole(Path(path), rows_as_text(rows))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}" if value < 0.1 else f"{value:.0%}"


def _lines(quantities: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"{name:<22}{s['n']:>6}{_share(s['median']):>9}{_share(s['mean']):>9}{_share(s['p90']):>9}{_share(s['inside']):>9}"
        for name, s in quantities.items()
    ]


def text(result: dict[str, Any]) -> str:
    """The result for people."""
    head = f"{'':<22}{'n':>6}{'median':>9}{'mean':>9}{'p90':>9}{'inside':>9}"
    lines = [f"{result['covered']} of {result['rows']} rows predicted", "", head, *_lines(result["quantities"])]
    if (outcome := result.get("outcome")) and outcome["n"]:
        lines.append(f"{'outcome':<22}{outcome['n']:>6}   {outcome['correct']} right")
    for name, group in result["by_engine"].items():
        lines += ["", f"{name}, {group['rows']} rows", *_lines(group["quantities"])]
    if result["refused"]:
        lines += ["", "Not predicted"]
        lines += [f"  row {each['row']}: {each['reason']}" for each in result["refused"][:10]]
        if more := len(result["refused"]) - 10:
            lines += [f"  and {more} more (--json lists them all)"] if more > 0 else []
    if result["remarks"]:
        lines += ["", f"Assumed in {len(result['remarks'])} rows (--json says what), for example"]
        lines += [f"  row {each['row']}: {each['text']}" for each in result["remarks"][:3]]
    return "\n".join(lines)


def _log(args: argparse.Namespace) -> int:
    from workbench.evidence import compare_log

    if args.kind != "memory":
        raise InvalidInput("--log reads start-up memory: use `validate memory --log FILE`")
    try:
        words = sys.stdin.read() if args.log == "-" else Path(args.log).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidInput(f"{args.log} cannot be read: {error.strerror}") from error
    known = {
        "config": args.model,
        "gpu_name": args.gpu,
        "tp": args.tensor_parallel_size,
        "vllm_version": args.vllm_version,
    }
    found = compare_log(words, args.models, **known)
    if args.out:
        write_rows(args.out, [found.row])
    if args.json:
        print(json.dumps(found.to_dict(), indent=2))
        return 0
    lines = [found.sentence, *([f"({found.remark})"] if found.remark else []), ""]
    lines.append(f"{'':<22}{'planned':>14}{'low':>14}{'high':>14}{'reported':>14}")
    for line in found.to_dict()["quantities"]:
        seen = "" if line["measured"] is None else f"{line['measured']:,.2f}" + ("" if line["inside"] else " !")
        lines.append(
            f"{line['quantity']:<22}{line['value']:>14,.2f}{line['low']:>14,.2f}{line['high']:>14,.2f}{seen:>14}"
        )
    print("\n".join(lines))
    return 0
