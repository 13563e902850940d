"""A job, watched on the command line."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any

from workbench.errors import WorkbenchError
from workbench.jobs import Job, JobFailed


def result_of(job: Job, stays: str) -> Any:
    """Watch a job to its end and return its result; None if it failed, which is told.

    Parameters
    ----------
    stays : str
        What a cancelled one leaves, for people: "nothing will be left".

    Raises
    ------
    KeyboardInterrupt
        Once the job is over.
    """
    try:
        watch(job)
        return job.wait()
    except KeyboardInterrupt:
        job.cancel()
        print(f"cancelling; {stays}", file=sys.stderr)
        with contextlib.suppress(WorkbenchError):
            job.wait()
        raise
    except JobFailed as error:
        print(f"workbench: {error}", file=sys.stderr)
        return None


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
