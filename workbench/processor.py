"""This machine's processor and memory: what needs no driver, so that every environment can ask, on whatever machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

_MOMENT = 0.5  # seconds that a look at what is busy takes


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def model_and_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, frozenset[str]]:
    """The processor's name, and what it can do in the kernel's words."""
    if cpuinfo.is_file():
        text = cpuinfo.read_text(errors="replace")
        model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
        flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
        name = model[1].strip() if model else platform.machine()
        return name, frozenset(flags[1].split()) if flags else frozenset()
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            check=False,
        )
        return asked.stdout.strip() or platform.processor(), frozenset({"asimd"})
    return platform.processor() or platform.machine(), frozenset()


def memory(limit_file: Path = Path("/sys/fs/cgroup/memory.max")) -> tuple[int, int]:
    """Total and available [bytes]; a container's limit counts, where it is below the machine's."""
    memory = psutil.virtual_memory()
    total, available = int(memory.total), int(memory.available)
    try:
        limit = int(limit_file.read_text())
        used = int(limit_file.with_name("memory.current").read_text())
    except (OSError, ValueError):  # no cgroup version 2, or "max"
        return total, available
    return min(total, limit), max(0, min(available, limit - used))


def described() -> dict[str, Any]:
    """This machine in plain values, and how busy it is just now; takes half a second.

    Returns
    -------
    dict
        ``processor``, ``cores`` (that this process may use), ``memory`` [B], ``system``, and ``busy``: the share of all
        cores that is at work.
    """
    busy = psutil.cpu_percent(_MOMENT) / 100
    return {
        "processor": model_and_flags()[0],
        "cores": usable_cores(),
        "memory": memory()[0],
        "system": platform.platform(),
        "busy": round(busy, 3),
    }


def is_this(facts: Mapping[str, Any]) -> bool:
    """Whether what :func:`described` told somewhere is of a processor like this one.

    >>> is_this(described()), is_this({"processor": "Z80", "cores": 1})
    (True, False)
    """
    return (facts.get("processor"), facts.get("cores")) == (model_and_flags()[0], usable_cores())
