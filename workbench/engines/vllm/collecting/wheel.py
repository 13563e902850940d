"""A release's Python files, out of its wheel: all of vLLM would be gigabytes with what it needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from workbench.errors import MissingPart

#: Wheels are built for one of these; the newest are tried first.
_PLATFORMS = ("manylinux_2_35", "manylinux_2_31", "manylinux_2_28", "manylinux2014", "manylinux1")
#: Pythons that one release or another was built for.
_PYTHONS = ("3.12", "3.10")


def python_files(version: str, folder: Path) -> Path:
    """Fetch a release and leave its Python files in ``folder/VERSION``; returns that.

    Raises
    ------
    MissingPart
        The package index has no such wheel.
    """
    out = folder / version
    if (out / "vllm").is_dir():
        return out
    platforms = [word for name in _PLATFORMS for word in ("--platform", f"{name}_x86_64")]
    wheels = folder / "wheels"
    for python in _PYTHONS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, "--python-version", python, *platforms, "--dest", str(wheels), f"vllm=={version}"],
            capture_output=True,
            text=True,
            check=False,
        )
        found = sorted(wheels.glob(f"vllm-{version}-*.whl"))
        if found:
            with zipfile.ZipFile(found[0]) as archive:
                # without its metadata, by which the release would take this machine for another kind
                names = [name for name in archive.namelist() if name.endswith(".py") and name.startswith("vllm/")]
                archive.extractall(out, names)
            found[0].unlink()
            return out
    said = done.stderr.strip().splitlines()
    raise MissingPart(f"vLLM {version} cannot be fetched: {said[-1] if said else 'no wheel'}")
