"""A real Chromium for the browser tests: found, else fetched.

Order: a browser named by ``WORKBENCH_BROWSER``; one already installed (Playwright's or the system's);
``playwright install chromium``; Debian's package where we are root. Nothing is skipped for want of a browser.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from playwright.sync_api import BrowserContext, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")

# No sandbox: containers and CI run as root. The rest keeps the browser from calling home, which would hide
# a request of ours in the noise.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


def _playwrights_own() -> str | None:
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if path and Path(path).is_file() else None


def _installed() -> str | None:
    named = os.environ.get("WORKBENCH_BROWSER")
    if named:
        return named
    return next(filter(None, map(shutil.which, NAMES)), None) or _playwrights_own()


def _quietly(command: list[str], timeout: float) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@cache
def executable() -> str:
    """Path of a Chromium; installs one when there is none.

    Raises
    ------
    RuntimeError
        When every way failed; the message says what to install by hand.
    """
    found = _installed()
    if found:
        return found
    if _quietly([sys.executable, "-m", "playwright", "install", "chromium"], timeout=300):
        found = _playwrights_own()
    if not found and os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = ["chromium", "fonts-dejavu-core", "fonts-inter"]
        if _quietly(["apt-get", "update"], timeout=300):
            _quietly(["apt-get", "install", "-y", "--no-install-recommends", *packages], timeout=900)
        found = shutil.which("chromium")
    if not found:
        raise RuntimeError(
            "no Chromium: install one (for example `playwright install chromium --with-deps`) "
            "or name it in WORKBENCH_BROWSER"
        )
    return found


@contextlib.contextmanager
def browser_context(playwright: Playwright, **options: object) -> Iterator[BrowserContext]:
    """A fresh profile in a temporary folder; `options` are Playwright's own (viewport, color_scheme …)."""
    with tempfile.TemporaryDirectory(prefix="workbench-browser-", ignore_cleanup_errors=True) as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=executable(), headless=True, args=ARGUMENTS, **options
        )
        try:
            yield context
        finally:
            context.close()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
