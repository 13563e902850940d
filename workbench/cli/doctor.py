"""``workbench doctor``: what this machine has, which environments exist, what is missing and how to get it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
import time
from typing import Any

from workbench import environments, machine
from workbench.cluster import Cluster
from workbench.cluster.cluster import ENVIRONMENT
from workbench.cluster.needs import in_words
from workbench.environments import Environment
from workbench.environments.build import folder_bytes
from workbench.errors import MissingPart, WorkbenchError
from workbench.progress import Progress
from workbench.quantities import show_bytes

HELP = "show what this machine has and which environments are built; build them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "--build",
        nargs="*",
        metavar="NAME",
        help="build these environments; without a name all that this machine can use",
    )
    parser.add_argument(
        "--remove-outdated",
        action="store_true",
        help="remove environments of older pins and cancelled builds",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Build or remove what was asked, then say how things are; exit status 1 when a build failed."""
    status = 0
    if args.remove_outdated:
        for old in environments.outdated():
            environments.remove(old.path)
            print(f"removed {old.path.name}, {show_bytes(old.size_bytes)}", file=sys.stderr)
    if args.build is not None:
        for name in [environments.get(name).name for name in args.build] or _useful():
            try:
                environments.ensure(name, _Teller())
            except MissingPart as error:
                print(f"workbench: {error}", file=sys.stderr)
                status = 1
    facts = examine()
    print(json.dumps(facts, indent=2) if args.json else text(facts))
    return status


def _useful() -> list[str]:
    return [name for name in environments.names() if not environments.get(name).unsuited]


class _Teller:
    """Print a build's progress on stderr: one line that changes on a terminal, a line every few seconds elsewhere."""

    def __init__(self) -> None:
        self.shown, self.at = "", 0.0
        self.terminal = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        done = f"{progress.fraction:4.0%} " if progress.fraction is not None else ""
        line = f"{done}{progress.stage}: {progress.detail}" if progress.detail else f"{done}{progress.stage}"
        last = progress.fraction == 1.0
        if line == self.shown or not (last or self.terminal or time.monotonic() > self.at + 5):
            return
        self.shown, self.at = line, time.monotonic()
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{line[:width]}" if self.terminal else f"{line}\n")
        if last and self.terminal:
            sys.stderr.write("\n")
        sys.stderr.flush()


def examine() -> dict[str, Any]:
    """Everything the verb shows, as plain data. Sizes in bytes.

    Returns
    -------
    dict
        ``machine`` (see :meth:`workbench.machine.Machine.to_dict`), ``cache`` (``path``, ``disk_free`` and the
        size of each folder but the environments), ``serving`` (the environment that serves models here),
        ``environments`` and ``outdated`` (lists), ``cluster`` (what the one at ``RAY_ADDRESS`` has, or ``error``; None
        where no such variable is set).
    """
    root = environments.cache_root()
    here = machine.describe(root)
    others = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name != "environments"] if root.exists() else []
    return {
        "machine": here.to_dict(),
        "cache": {
            "path": str(root),
            "disk_free": here.disk_free,
            "folders": {folder.name: folder_bytes(folder) for folder in others},
        },
        "serving": environments.for_serving().name,
        "environments": [_facts(environments.get(name)) for name in environments.names()],
        "outdated": [
            {
                "path": str(o.path),
                "name": o.name,
                "python": o.python,
                "built": o.built,
                "size_bytes": o.size_bytes,
            }
            for o in environments.outdated()
        ],
        "cluster": _cluster(os.environ.get("RAY_ADDRESS", "")),
    }


def _cluster(address: str) -> dict[str, Any] | None:
    """What a Ray cluster has; nothing is built to ask it."""
    if not address:
        return None
    try:
        if not environments.get(ENVIRONMENT).built:
            raise MissingPart(f"build what can ask it: workbench doctor --build {ENVIRONMENT}")
        return {"address": address, **Cluster(address).look()}
    except WorkbenchError as error:
        return {"address": address, "error": str(error)}


def _facts(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "purpose": environment.purpose,
        "note": environment.note,
        "built": environment.built,
        "building": environment.building,
        "unsuited": environment.unsuited,
        "own": environment.own,
        "size_bytes": environment.size_bytes(),
        "disk_bytes": environment.disk_bytes,
        "path": str(environment.path),
        "python": str(environment.python),
        "requirements": list(environment.requirements),
        "versions": environment.versions(),
        "log": str(environment.log),
    }


def text(facts: dict[str, Any]) -> str:
    """What :func:`examine` found, for people."""
    lines = [
        "This machine",
        *(f"  {line}" for line in str(machine.describe(facts["cache"]["path"])).splitlines()),
    ]
    lines += ["", f"Environments (in {facts['cache']['path']})"]
    for e in facts["environments"]:
        lines.append(f"  {e['name']:<10} {_state(e):<10} {_size(e):>10}   {e['purpose']}")
        if e["unsuited"] and not e["built"]:
            lines.append(f"  {'':<10} not for this machine: {e['unsuited']}")
        elif e["note"]:
            lines += textwrap.wrap(e["note"], 100, initial_indent=" " * 13, subsequent_indent=" " * 13)
        if main := [f"{n} {e['versions'][n]}" for n in _MAIN if n in e["versions"]]:
            lines.append(f"  {'':<10} {', '.join(main)}")
    lines += ["", f"Models are served here with environment {facts['serving']}."]
    missing = [e for e in facts["environments"] if not e["built"] and not e["unsuited"]]
    if missing:
        names = " ".join(e["name"] for e in missing)
        need = sum(e["disk_bytes"] for e in missing)
        lines.append(f"Missing: {names}. They are built when first needed, or now with")
        lines.append(f"  workbench doctor --build {names}")
        lines.append(f"which takes some minutes, the network, and up to {show_bytes(need)} of disk.")
    if cluster := facts["cluster"]:
        lines += ["", f"Ray cluster at {cluster['address']}, which RAY_ADDRESS names"]
        for node in cluster.get("nodes", []):
            have = {name: node["resources"].get(name, 0) for name in ("CPU", "GPU", "memory")}
            lines.append(f"  {node['address']:<15} {in_words(have)}")
        lines.append(
            f"  {cluster['error']}" if "error" in cluster else "  Jobs and servers run there with --on ADDRESS."
        )
    if facts["cache"]["folders"]:
        sizes = ", ".join(f"{name} {show_bytes(size)}" for name, size in facts["cache"]["folders"].items())
        lines.append(f"Also cached: {sizes}.")
    if facts["outdated"]:
        size = show_bytes(sum(o["size_bytes"] for o in facts["outdated"]))
        lines.append(f"Outdated: {', '.join(o['path'].rpartition('/')[2] for o in facts['outdated'])}, {size};")
        lines.append("  workbench doctor --remove-outdated frees that.")
    return "\n".join(lines)


#: Packages whose versions are worth a line.
_MAIN = ("vllm", "torch", "transformers", "llmcompressor", "autoawq", "compressed-tensors")


def _state(e: dict[str, Any]) -> str:
    if e["own"]:
        return "yours" if e["built"] else "not there"
    if e["built"] or e["building"]:
        return "built" if e["built"] else "building"
    return "-" if e["unsuited"] else "missing"


def _size(e: dict[str, Any]) -> str:
    return show_bytes(e["size_bytes"]) if e["size_bytes"] else ""
