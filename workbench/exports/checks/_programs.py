"""Programs of this machine that read a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.exports.file import Check, File

_LONGEST = 60  # seconds


def find(program: str) -> str | None:
    """Path of a program, also of one beside this Python or for administrators; None where it is not there."""
    return shutil.which(
        program, path=f"{os.environ.get('PATH', '')}:{Path(sys.executable).parent}:/usr/sbin:/usr/local/sbin"
    )


def ask(
    file: File, program: str, arguments: Sequence[str], reader: str = "", beside: Mapping[str, str] | None = None
) -> Check:
    """Run a program on a file.

    Parameters
    ----------
    program : str
        Its name on the PATH; "unchecked" where it is not there.
    arguments : sequence of str
        Its arguments; ``{}`` is the file's path.
    reader : str
        What it is called in the result; by default its name.
    beside : mapping, optional
        Path below the file's folder -> text of files that it names, which stand in for those of the bundle or of its
        owner.
    """
    found = find(program)
    if found is None:
        return Check(reader or program, "unchecked", f"{program} is not installed here")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(file.path).name)
        path.write_text(file.text, encoding="utf-8")
        for name, text in (beside or {}).items():
            other = Path(folder, name)
            other.parent.mkdir(parents=True, exist_ok=True)
            other.write_text(text, encoding="utf-8")
        command = [found, *(word.replace("{}", str(path)) for word in arguments)]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, cwd=folder)
        except subprocess.TimeoutExpired:
            return Check(reader or program, "unchecked", f"{program} did not answer within {_LONGEST} s")
    said = (ran.stdout + ran.stderr).replace(folder, "").strip()
    return Check(reader or program, "pass") if ran.returncode == 0 else Check(reader or program, "fail", said[-600:])
