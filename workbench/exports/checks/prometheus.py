"""prometheus.yml: its frame, within this process; ``promtool`` reads it whole."""

from __future__ import annotations

import re
from typing import Any

from workbench.exports.checks import _programs, yaml
from workbench.exports.file import Check, File

KIND = "prometheus"
_READER = "frame (our own look; promtool reads it whole)"
_SECTIONS = (
    "global", "runtime", "rule_files", "scrape_config_files", "scrape_configs", "alerting", "remote_write",
    "remote_read", "storage", "tracing", "otlp",
)  # fmt: skip


def check(file: File) -> list[Check]:
    """Sections that exist, jobs of different names, targets that are addresses."""
    read = yaml.readable(file)
    if read.outcome != "pass":
        return [read]
    said = yaml.documents(file.text)[0]
    wrong = _wrong(said) if isinstance(said, dict) else ["it is no mapping"]
    return [read, Check(_READER, "fail", "; ".join(wrong[:3])) if wrong else Check(_READER, "pass")]


def _wrong(said: dict[str, Any]) -> list[str]:
    wrong = [f"{name} is no section" for name in said if name not in _SECTIONS]
    jobs = said.get("scrape_configs") or []
    names = [job.get("job_name") for job in jobs]
    wrong += [f"two jobs are called {name}" for name in sorted({str(n) for n in names if names.count(n) > 1})]
    wrong += ["a job has no name" for name in names if not name]
    for job in jobs:
        for group in job.get("static_configs") or []:
            for target in group.get("targets") or []:
                if not re.fullmatch(r"[^\s/]+:\d{1,5}", str(target)):
                    wrong.append(f"{target} is no address: host and port, without http://")
    return wrong


def ask(file: File) -> list[Check]:
    """``promtool check config``, of the file alone: what it names lies beside it in the bundle."""
    arguments = ["check", "config", "--syntax-only", "{}"]
    return [_programs.ask(file, "promtool", arguments, "promtool check config")]
