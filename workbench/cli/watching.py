"""A job, watched on the command line."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.jobs import Job


def watch(job: Job) -> None:
    """Show progress on stderr: one line in a terminal, a line a stage elsewhere."""
    changed = threading.Event()
    forget = job.observe(lambda _: changed.set())
    terminal = sys.stderr.isatty()
    stage = ""
    try:
        while job.status in ("queued", "running"):
            at = job.progress
            share = f"{at.fraction:4.0%}" if at.fraction is not None else "    "
            left = f", {at.seconds_left:.0f} s left" if at.seconds_left is not None else ""
            line = f"{share}  {at.stage}  {at.detail}{left}"
            if terminal:
                print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)
            elif at.stage != stage:
                print(line.rstrip(), file=sys.stderr, flush=True)
            stage = at.stage
            changed.wait(0.5)
            changed.clear()
    finally:
        forget()
        if terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
