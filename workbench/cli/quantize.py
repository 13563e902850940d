"""``workbench quantize``: make a smaller checkpoint, or list the methods."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from typing import Any

from workbench.cli.clusters import add_cluster_arguments, cluster_from
from workbench.cli.watching import result_of
from workbench.errors import InvalidInput
from workbench.quantities import show_bytes

HELP = "quantise a model into a folder that vLLM loads"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("model", nargs="?", help="builtin, a folder, or a hub id")
    parser.add_argument(
        "--method",
        action="append",
        metavar="METHOD",
        help="how (awq); METHOD:NAME=VALUE,… with parameters; repeated, or `all`, tries them side by side; "
        "with --on, each on a node; --list shows them",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder to make (NAME-METHOD here); of several, the folder that keeps them (trials)",
    )
    parser.add_argument(
        "--no-load", action="store_true", help="of several: do not start the engines that each result is for"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the library; repeatable",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="calibration data: a .txt of paragraphs, a .jsonl or .csv with text or messages, the folder of a data "
        "set, or the id of one on the Hub, owner/name[/configuration][:split][#column] (default: built-in text)",
    )
    parser.add_argument(
        "--chat", action="store_true", help="put each plain text as a user's turn, by the model's chat template"
    )
    parser.add_argument("--gpu", help="card it is for; refused if the result would not run there")
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument("--download", action="store_true", help="fetch a hub model or data set that is not here")
    parser.add_argument(
        "--evaluate-tokens", type=int, metavar="N", help="held-out tokens for perplexity; 0 leaves it out"
    )
    parser.add_argument(
        "--task", action="append", default=[], dest="tasks", metavar="TASK",
        help="a task of lm-eval asked before and after (what_comes_next, a small one of our own; mmlu …); repeatable",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace the folder if it exists")
    add_cluster_arguments(parser)
    parser.add_argument("--advise", action="store_true", help="say which method suits the model on --gpu, and why")
    parser.add_argument(
        "--map", action="store_true",
        help="all methods side by side for a model (Llama 3.1 8B) on --gpu (H100 SXM): bits, needs, measured loss, and "
        "how much faster the roofline would let each be",
    )  # fmt: skip
    parser.add_argument(
        "--floor", default="small", help="with --advise: none, unmeasurable, small (default) or any loss"
    )
    parser.add_argument(
        "--recipe",
        metavar="SCHEME",
        help="print a script for NVIDIA Model Optimizer (TensorRT-LLM) instead: fp8, nvfp4, awq; it is not run here",
    )
    parser.add_argument("--list", action="store_true", help="list the methods and their parameters")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Quantise and print what came out; 1 if the job failed."""
    from workbench.quantizers import quantize
    from workbench.quantizers.recipes import modelopt
    from workbench.trials import Choice

    if args.list:
        _print_methods(args.json)
        return 0
    if args.map:
        return _map(args)
    if not args.model:
        raise InvalidInput("give a model: builtin, a folder, or a hub id (`workbench quantize --list` for methods)")
    if args.recipe:
        print(modelopt(args.model, args.recipe, args.out or "quantised", texts=args.data or "calibration.txt"), end="")
        return 0
    if args.advise:
        return _advise(args)
    words = args.method or ["awq"]
    options = {
        name: getattr(args, name) for name in ("data", "chat", "gpu", "revision", "download", "tasks", "overwrite")
    }
    if args.evaluate_tokens is not None:
        options["evaluate_tokens"] = args.evaluate_tokens
    options["on"] = cluster_from(args)
    if len(words) > 1 or words == ["all"]:
        return _side_by_side(args, words, options)
    chosen = Choice.parse(words[0])
    parameters = {**chosen.parameters, **settings(args.set)}
    job = quantize(args.model, chosen.method, args.out, **options, **parameters)
    result = result_of(job, "nothing will be left")
    if result is None:
        return 1
    print(json.dumps(result, indent=2) if args.json else summary(result))
    return 0


def _map(args: argparse.Namespace) -> int:
    """Print the methods side by side."""
    from pathlib import Path

    from workbench.trials import methods_map, open_folder

    trials = open_folder(args.out) if args.out and Path(args.out).is_dir() else None
    asked = {name: value for name, value in (("model", args.model), ("gpu", args.gpu)) if value}
    table = methods_map(**asked, trials=trials)
    if args.json:
        rows = json.loads(table.reset_index().to_json(orient="records"))
        print(json.dumps({**table.attrs, "methods": rows}, indent=2))
        return 0
    print(
        f"{table.attrs['model']} on {table.attrs['gpu']}: bits a weight, loss measured on {_on(table)}, and how many "
        f"times as fast as 16 bit at most (a bound of the roofline, not measured)"
    )
    print(f"{'method':36} {'layers':>6} {'whole':>6} {'KL':>8} {'ppl':>7} {'1 req':>6} {'batch':>6} {'prompt':>6}  in")
    for word, row in table.iterrows():
        lost = f"{'–':>8} {'–':>7}" if row["change"] != row["change"] else _lost(row)
        fast = " ".join(
            f"{row[n]:6.2f}" if row[n] == row[n] else f"{'–':>6}" for n in ("decode_alone", "decode", "prefill")
        )
        where = row["multiplies_in"] or "does not run there"
        print(f"{str(word)[:36]:36} {row['bits_linear']:6.2f} {row['bits_whole']:6.2f} {lost} {fast}  {where}")
    return 0


def _lost(row: Any) -> str:
    return f"{row['kl_divergence']:8.5f} {row['change']:+7.2%}"


def _on(table: Any) -> str:
    """What the losses were measured on."""
    return " or ".join(sorted({name for name in table["measured_on"] if name and name != "by definition"})) or "nothing"


def _advise(args: argparse.Namespace) -> int:
    """Print which methods suit; 1 if none does."""
    from pathlib import Path

    from workbench.trials import open_folder, which_method

    if not args.gpu:
        raise InvalidInput("say for which card: --gpu L40S")
    trials = open_folder(args.out) if args.out and Path(args.out).is_dir() else None
    found = which_method(args.model, args.gpu, floor=args.floor, trials=trials)
    if args.json:
        print(json.dumps([one.to_dict() for one in found], indent=2))
    else:
        for one in found:
            speed = f"{one.output_tokens_per_s:,.0f} tokens/s" if one.output_tokens_per_s else "no speed"
            print(f"{'yes' if one.suits else 'no ':3} {one.title}" + (f"  [--method {one.word}]" if one.word else ""))
            print(f"      {speed}; loses {one.loss}")
            for reason in (*one.why, *(f"but {reason}" for reason in one.against)):
                print(f"      {reason}")
    return 0 if any(one.suits for one in found) else 1


def _side_by_side(args: argparse.Namespace, words: list[str], options: dict[str, Any]) -> int:
    """Try several methods; 1 if one failed. What a preflight refused, or what cannot run here, is told, no failure."""
    from workbench.trials import try_methods

    if args.set:
        raise InvalidInput("--set is of one method; write METHOD:NAME=VALUE where several are tried")
    methods: Any = "all" if words == ["all"] else words
    series = try_methods(args.model, methods, args.out or "trials", load=not args.no_load, **options)
    try:
        _watch_series(series)
    except KeyboardInterrupt:
        series.cancel()
        print("cancelling; what is done stays", file=sys.stderr)
        series.wait()
        raise
    tried = series.wait()
    chosen = [step.choice for step in series.steps]
    rows = [row for row in tried.rows if row.choice in chosen]
    if args.json:
        fields = {"model": tried.model, "folder": str(tried.folder), "trials": [_told(row) for row in rows]}
        print(json.dumps(fields, indent=2))
    else:
        print(trials_table(rows))
    return int(any(step.status in ("failed", "cancelled") for step in series.steps))


def _watch_series(series: Any) -> None:
    """A line on stderr whenever a step changes its stage."""
    seen: dict[str, str] = {}
    changed = threading.Event()
    forget = series.observe(lambda _: changed.set())
    try:
        while True:
            running = series.running
            for step in series.steps:
                at = step.progress.stage if step.status == "running" else step.status
                if step.status != "queued" and seen.get(step.choice.word) != at:
                    seen[step.choice.word] = at
                    print(f"{step.choice.word}: {at} {step.reason}".rstrip(), file=sys.stderr, flush=True)
            if not running:
                return
            changed.wait(0.5)
            changed.clear()
    finally:
        forget()


def _told(row: Any) -> dict[str, Any]:
    """A trial without what is long: the figures of each block of text."""
    fields: dict[str, Any] = row.to_dict()
    if evaluation := fields["result"].get("evaluation"):
        fields["result"]["evaluation"] = {k: v for k, v in evaluation.items() if k != "blocks"}
    change = row.change
    return {"label": row.choice.word, **fields, "log_perplexity_ratio": change}


def trials_table(rows: list[Any]) -> str:
    """Trials as lines of text, the smallest first; why the others are not there below."""
    done = sorted((row for row in rows if row.outcome == "done"), key=lambda row: row.result["bytes_after"])
    lines = [f"{'method':32} {'size':>10} {'bits':>6} {'ppl':>8} {'KL':>9} {'top-1':>6} {'took':>6}  loads in"]
    for row in done:
        result = row.result
        measured = result.get("kl_divergence") is not None
        quality = (
            f"{result['perplexity_after']:8.2f} {result['kl_divergence']:9.5f} {result['top1_agreement']:6.1%}"
            if measured
            else f"{'–':>8} {'–':>9} {'–':>6}"
        )
        lines.append(
            f"{row.choice.word:32} {show_bytes(result['bytes_after']):>10} {result['bits_per_weight']:6.2f} {quality} "
            f"{result['seconds']:5.0f}s  {', '.join(row.loads_in) or '–'}"
        )
    lines += [f"{row.choice.word}: {row.outcome}: {row.reason}" for row in rows if row.outcome != "done"]
    return "\n".join(lines)


def settings(given: list[str]) -> dict[str, Any]:
    """``NAME=VALUE`` words as a dictionary of text.

    Raises
    ------
    InvalidInput
        For a word without ``=``, or a name given twice.
    """
    found: dict[str, Any] = {}
    for word in given:
        name, sign, value = word.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name:
            raise InvalidInput(f"--set {word!r}: NAME=VALUE is needed")
        if name in found:
            raise InvalidInput(f"--set {name} is given twice")
        found[name] = value
    return found


def summary(result: dict[str, Any]) -> str:
    """A result in a few lines."""
    before, after = result["bytes_before"], result["bytes_after"]
    lines = [
        f"{result['out']}",
        f"  size        {show_bytes(before)} -> {show_bytes(after)} ({after / before:.0%}), "
        f"{result['bits_per_weight']:.2f} bits a quantised weight",
    ]
    if result["perplexity_before"] is not None:
        lines.append(
            f"  perplexity  {result['perplexity_before']:.2f} -> {result['perplexity_after']:.2f} on "
            f"{result['evaluation']['tokens']:,} held-out tokens"
        )
    for task, told in (result.get("tasks") or {}).items():
        lines.append(
            f"  {task:11} {told['metric']} {told['before']:.3f} ± {told['before_error']:.3f} -> "
            f"{told['after']:.3f} ± {told['after_error']:.3f} of {told['questions']} questions"
        )
    if result["calibration"]:
        facts = result["calibration"]
        lines.append(f"  calibrated  on {facts['used']} texts, {facts['tokens']:,} tokens, of {facts['source']}")
    guess = result.get("seconds_estimated")
    beforehand = f", estimated {guess['low']:.0f} to {guess['high']:.0f} s" if guess else ""
    lines.append(f"  took        {result['seconds']:.0f} s{beforehand}")
    lines += [f"  note        {note}" for note in result["notes"]]
    return "\n".join(lines)


def _print_methods(as_json: bool) -> None:
    from workbench.quantizers import methods
    from workbench.trials.choice import shown

    if as_json:
        print(json.dumps({id: _described(m) for id, m in methods().items()}, indent=2))
        return
    for id, m in methods().items():
        print(f"{id}: {m.title} (by {m.library})")
        if m.note:
            print(f"  {m.note}")
        for p in m.parameters:
            print(f"  --set {p.name}={shown(p.default)}")
            print(f"      {p.doc} Accepts {p.accepts()}.")


def _described(m: Any) -> dict[str, Any]:
    return {
        "title": m.title,
        "library": m.library,
        "scheme": m.scheme,
        "calibrates": m.calibrates,
        "engines": list(m.engines),
        "min_compute_capability": ".".join(map(str, m.capability)),
        "native_compute_capability": ".".join(map(str, m.native)),
        "model_types": sorted(m.model_types),
        "note": m.note,
        "parameters": [
            {
                "name": p.name,
                "type": p.type.__name__,
                "default": p.default,
                "accepts": p.accepts(),
                "doc": p.doc,
            }
            for p in m.parameters
        ],
    }
