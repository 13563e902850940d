"""``workbench lab``: JupyterLab with the workbench notebook open; engines are built while one reads."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from workbench import environments
from workbench.cli.app import free_port
from workbench.datafiles import notebook_path
from workbench.errors import InvalidInput, MissingPart
from workbench.processes import Supervised

HELP = "open the workbench notebook in JupyterLab, on this machine only"
DEFAULT_PORT = 8888
NOTEBOOKS = ("workbench.ipynb", "quantize.ipynb", "readiness.ipynb", "deploy.ipynb", "planner.ipynb", "accuracy.ipynb")
#: A folder of notebooks beside them.
LEARN = "learn"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--port", type=int, help=f"port to listen on (default: {DEFAULT_PORT} or the next free one)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument("--token", help="the token that lets you in (default: a new one)")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to work (default: notebooks/ of a checkout, else the current folder)",
    )
    parser.add_argument("--no-build", action="store_true", help="do not build missing environments in the background")


def working_folder(wanted: Path | None) -> Path:
    """The folder to work in, with the notebooks in it.

    In a checkout that is its own ``notebooks/``. An installed wheel's notebooks are copied, since nobody should
    work inside site-packages; a notebook that is there already is the user's and stays.

    Raises
    ------
    InvalidInput
        If the folder cannot be written.
    """
    shipped = notebook_path()
    if wanted is None:
        if (shipped.parent / "pyproject.toml").is_file():
            return shipped
        wanted = Path.cwd()
    folder = wanted.expanduser().absolute()
    if folder == shipped:
        return folder
    try:
        (folder / LEARN).mkdir(parents=True, exist_ok=True)
        for name in (*NOTEBOOKS, *(f"{LEARN}/{path.name}" for path in (shipped / LEARN).glob("*.ipynb"))):
            if not (folder / name).exists():
                shutil.copyfile(shipped / name, folder / name)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be used: {error.strerror}; name another with --folder") from error
    return folder


def missing() -> list[str]:
    """Environments the notebook will want that are not built: the quantiser's, and what serves on this machine."""
    wanted = [environments.get("quantize"), environments.for_serving()]
    return [e.name for e in wanted if not e.built and not e.unsuited and not e.own]


def build_in_background(names: list[str]) -> Supervised:
    """Start building environments; it ends with this process. The notebook's panel follows it."""
    command = [sys.executable, "-m", "workbench", "doctor", "--build", *names]
    return Supervised(command, log=environments.cache_root() / "logs" / "lab-build.log")


def server_arguments(folder: Path, port: int, token: str | None, browser: bool) -> list[str]:
    """JupyterLab's own options: this machine only, no news, no look for updates."""
    arguments = [
        str(folder / NOTEBOOKS[0]),
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    if token is not None:
        arguments.append(f"--IdentityProvider.token={token}")
    if os.name == "posix" and os.geteuid() == 0:  # in a container one is root; Jupyter refuses that unasked
        arguments.append("--allow-root")
    return arguments if browser else [*arguments, "--no-browser"]


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that make JupyterLab find our defaults, behind the user's own."""
    ours = str(Path(__file__).parent.parent / "ui" / "share" / "config")
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, [environ.get("JUPYTER_CONFIG_PATH"), ours]))}


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise MissingPart("the lab needs JupyterLab: pip install llm-workbench") from error
    port = free_port("127.0.0.1", args.port, DEFAULT_PORT)
    folder = working_folder(args.folder)
    os.environ.update(settings(os.environ))
    names = [] if args.no_build else missing()
    build = build_in_background(names) if names else None
    if build is not None:
        print(f"Building in the background: {', '.join(names)}. Log: {build.log}", file=sys.stderr)
    try:
        LabApp.launch_instance(argv=server_arguments(folder, port, args.token, not args.no_browser))
    finally:
        if build is not None:
            build.terminate()
    return 0
