"""``workbench monitor``: what an engine and its machine do, a line a second, and what limits them."""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator

from workbench.cli.serve import is_url
from workbench.errors import InvalidInput
from workbench.monitoring import Monitor, Point
from workbench.quantities import GIB, show_seconds

HELP = "watch a running server and its machine, a line a second, and say what limits them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("url", help="address of a running server: http://host:port")
    parser.add_argument("--seconds", type=float, help="how long (default: until Ctrl-C)")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two readings (%(default)s)")
    parser.add_argument("--pid", type=int, help="the engine's process here, where it is not found by its port")
    parser.add_argument("--api-key", help="where something in front of the server wants one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, the diagnosis last")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if the server never answered."""
    if not is_url(args.url):
        raise InvalidInput(f"{args.url!r} is not the address of a server; write http://host:port")
    if args.seconds is not None and not 0 < args.seconds < 1e7:
        raise InvalidInput("--seconds is how long to watch: more than 0")
    end = time.monotonic() + args.seconds if args.seconds is not None else None
    came: queue.SimpleQueue[Point] = queue.SimpleQueue()
    answered, shown = False, ""
    with (
        ended_by_signals() as stop,
        Monitor(args.url, every=args.every, api_key=args.api_key, pid=args.pid) as watching,
    ):
        watching.observe(lambda point, _: came.put(point))
        while not stop.is_set() and (end is None or time.monotonic() < end):
            try:
                point = came.get(timeout=0.1)
            except queue.Empty:
                continue
            answered = answered or point.state in ("ready", "silent")
            if args.json:
                print(json.dumps(point.to_dict()), flush=True)
                continue
            if point.words and point.words != shown:
                print(point.words, file=sys.stderr)
            shown = point.words
            print(line(point), flush=True)
        diagnosis = watching.diagnosis
    print(json.dumps({"diagnosis": diagnosis.to_dict()}) if args.json else f"\n{diagnosis}", flush=True)
    return 0 if answered else 1


@contextlib.contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that the diagnosis is still printed."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def line(point: Point) -> str:
    """One moment in words; what is not known is left out.

    >>> line(Point(0.0, "unreachable")).split()[1]
    'unreachable'
    """
    now, recent, machine = point.engine, point.recent, point.machine
    words = [time.strftime("%H:%M:%S", time.localtime(point.time)), f"{point.state:<11}"]
    if now is not None:
        words += [_count("running", now.running), _count("waiting", now.waiting)]
        words += [f"cache {now.kv_usage:4.0%}" if now.kv_usage is not None else ""]
        words += [f"{now.generation_tokens:7.1f} tokens/s" if now.generation_tokens is not None else ""]
        words += [f"{now.prompt_tokens:7.1f} of prompts" if now.prompt_tokens is not None else ""]
    if recent is not None and recent.ttft is not None:
        words.append(f"TTFT {show_seconds(recent.ttft.p50)}")
    if recent is not None and recent.itl is not None:
        words.append(f"ITL {show_seconds(recent.itl.p50)}")
    for card in machine.cards if machine else ():
        words.append(f"GPU {card.index}")
        words.append(f"{card.utilization:4.0%}" if card.utilization is not None else "")
        words.append(f"{card.memory_used / GIB:.1f} GiB" if card.memory_used is not None else "")
        words.append(f"{card.power:.0f} W" if card.power is not None else "")
        words.append(f"{card.temperature} °C" if card.temperature is not None else "")
    if machine is not None and not machine.cards:
        words.append(f"CPU {machine.cpu:4.0%}" if machine.cpu is not None else "")
        words.append(f"engine {machine.engine_rss / GIB:.2f} GiB" if machine.engine_rss is not None else "")
    if point.restarts:
        words.append(f"restarts {point.restarts}")
    return "  ".join(word for word in words if word).rstrip()


def _count(name: str, value: float | None) -> str:
    return "" if value is None else f"{name} {value:3.0f}"
