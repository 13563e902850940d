"""``workbench plan``: does it fit, how fast, what does it cost, and if not, what to change."""

from __future__ import annotations

import argparse

from workbench.cli.arguments import add_plan_arguments, read_plan
from workbench.engines.registry import engine
from workbench.planner import Plan
from workbench.quantities import Estimate, show_bytes, show_count, show_seconds, show_usd

HELP = "plan one deployment: does it fit, how fast, at what cost, and what to change if not"

_TITLES = {
    "starts": "fits",
    "max_model_len_too_large": "does not fit: the context is too long",
    "no_kv_cache": "does not fit: no room for a KV cache",
    "oom_loading": "does not fit: out of memory while loading",
    "oom_cuda_graphs": "does not fit: out of memory while capturing CUDA graphs",
    "unsupported": "not supported",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    add_plan_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the plan as JSON, which --plan FILE reads")


def run(args: argparse.Namespace) -> int:
    """Print the plan; exit status 1 if it does not fit."""
    found = read_plan(args)
    print(found.to_json() if args.json else text(found))
    return 0 if found.fits else 1


def _line(name: str, estimate: Estimate, show: object) -> str:
    assert callable(show)
    return f"  {name:<16}{show(estimate.value):>12}   {show(estimate.low)} to {show(estimate.high)}   {estimate.basis}"


def text(found: Plan) -> str:
    """A plan for people."""
    d = found.deployment
    scheme = f", {found.setup.scheme.title}" if found.setup else ""
    scheme += "" if d.engine == type(d).engine else f", {engine(d.engine).title}"
    title = _TITLES[found.verdict] + (", tightly" if found.tight else "")
    lines = [f"{found.model.id} on {d.gpus} x {d.gpu}{scheme}: {title}", ""]
    lines += [f"  {reason}" for reason in found.reasons]
    memory = found.memory
    if memory is not None:
        lines += [
            "",
            f"Memory of one GPU: {show_bytes(memory.capacity)}; the engine may use {show_bytes(memory.requested)}",
        ]
        for name in ("weights", "activation_peak", "non_torch", "cuda_graphs", "kv_cache"):
            lines.append(_line(name.replace("_", " "), getattr(memory, name), show_bytes))
        lines.append(_line("KV cache tokens", memory.kv_cache_tokens, show_count))
    speed = found.performance()
    if speed is not None:
        w = found.workload
        load = f"{w.request_rate:g} requests a second" if w.request_rate else f"{w.concurrency} requests"
        lines += ["", f"Speed at {load} of {w.isl} + {w.osl} tokens"]
        for name, estimate in (
            ("TTFT", speed.ttft),
            ("TTFT, 95 %", speed.ttft_p95),
            ("TPOT", speed.tpot),
            ("TPOT, 95 %", speed.tpot_p95),
        ):
            if estimate is not None:
                lines.append(_line(name, estimate, show_seconds))
        lines.append(_line("tokens/s", speed.output_tokens_per_s, show_count))
        if speed.usd_per_million_tokens:
            lines.append(_line("USD/M tokens", speed.usd_per_million_tokens, show_usd))
    if found.fixes:
        lines += ["", "Cheapest ways to make it fit"]
        for fix in found.fixes:
            price = f"{show_usd(fix['usd_per_hour'])}/h" if fix["usd_per_hour"] is not None else "price unknown"
            lines.append(f"  {fix['text']} ({price}; {fix['cost']})")
    return "\n".join([*lines, "", found.command])
