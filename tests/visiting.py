"""The planner app, served as a user serves it, and pages in a real Chromium to visit it with."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from browser import browser_context, free_port
from playwright.sync_api import BrowserContext, Error, Page, Playwright, Request, expect, sync_playwright

from workbench.cli.app import PAGES, POOL_OF_OTHERS

# What a page shows late is still shown; how soon is measured by the benchmarks.
expect.set_options(timeout=20_000)

CULL_AFTER = 4
CHECKS = (Path(__file__).parent / "ui" / "checks.js").read_text(encoding="utf-8")


@dataclass
class App:
    """A running `workbench app`."""

    process: subprocess.Popen[str]
    port: int
    token: str = "a-token-for-tests"
    pool: int = 1

    @property
    def url(self) -> str:
        return self.address("")

    def address(self, path: str) -> str:
        """Address of one of its pages."""
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    @property
    def warm(self) -> int:
        """Kernels it keeps for visitors to come, all pages together."""
        return self.pool + POOL_OF_OTHERS * (len(PAGES) - 1)

    def kernels(self) -> dict[str, psutil.Process]:
        """Kernel processes under the server, by kernel id."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                match = re.search(r"kernel-([\w-]+)\.json", " ".join(child.cmdline()))
            except psutil.NoSuchProcess:
                continue
            if match:
                found[match[1]] = child
        return found


def ask(page: Page, check: str) -> list[str]:
    """What a check of ``ui/checks.js`` finds in the page."""
    return list(page.evaluate(f"{CHECKS.strip().removesuffix(';')}.{check}()"))


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.1)


def heed_ctrl_c() -> None:
    """Undo the deafness to Ctrl-C that a shell gives what it starts in the background, as CI may have been."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    port = free_port()
    app = App(None, port)  # type: ignore[arg-type]
    log = tmp_path_factory.mktemp("app") / "app.log"
    command = [
        sys.executable,
        "-m",
        "workbench",
        "app",
        "--no-browser",
        f"--port={port}",
        f"--token={app.token}",
    ]
    command += [f"--pool={app.pool}", f"--cull-after={CULL_AFTER}"]
    with log.open("w") as out:
        app.process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, text=True, cwd=log.parent, preexec_fn=heed_ctrl_c
        )
    try:
        wait_until(lambda: app.url in log.read_text(), 60, "the app prints its address")
        yield app
    finally:
        app.process.send_signal(signal.SIGINT)
        try:
            assert app.process.wait(30) == 0, log.read_text()
        finally:
            if app.process.poll() is None:
                app.process.kill()


# One notebook alone, served as the app serves its own.
_SERVE = """
import argparse, sys
from pathlib import Path
from workbench.cli import app
app.PAGES = {"": ("panel.ipynb", "Panel")}
app.notebook_path = lambda name: Path.cwd() / name
parser = argparse.ArgumentParser()
app.add_arguments(parser)
sys.exit(app.run(parser.parse_args(sys.argv[1:])))
"""


@contextlib.contextmanager
def page_of(source: str, folder: Path, pool: int = 1) -> Iterator[App]:
    """A page of one cell, in an empty folder; gone with the block."""
    cell = {"cell_type": "code", "execution_count": None, "id": "a", "metadata": {}, "outputs": [], "source": source}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {"cells": [cell], "metadata": {"kernelspec": kernel, "title": "Panel"}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "panel.ipynb").write_text(json.dumps(book), encoding="utf-8")
    served = App(None, free_port(), pool=pool)  # type: ignore[arg-type]
    log = folder / "app.log"
    flags = ["--no-browser", f"--port={served.port}", f"--token={served.token}", f"--pool={pool}"]
    with log.open("w") as out:
        served.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *flags], stdout=out, stderr=subprocess.STDOUT, text=True, cwd=folder,
            preexec_fn=heed_ctrl_c,
        )  # fmt: skip
    try:
        wait_until(lambda: served.url in log.read_text(), 60, "the page has an address")
        yield served
    finally:
        served.process.send_signal(signal.SIGINT)
        try:
            served.process.wait(30)
        finally:
            if served.process.poll() is None:
                served.process.kill()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[BrowserContext]:
    with browser_context(playwright, viewport={"width": 1280, "height": 900}) as context:
        yield context


@dataclass
class Visit:
    """A page with all that it complained of and asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> Visit:
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._asked(request))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        return self

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def elsewhere(self) -> list[str]:
        """Requests that left this machine."""
        local = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost)(:\d+)?/|(data|blob|about):")
        return [url for url in self.requests if not local.match(url)]

    def kernel_id(self) -> str:
        return str(json.loads(self.page.locator("#jupyter-config-data").text_content() or "{}")["kernelId"])

    def number(self, label: str) -> str:
        """A headline number, by the label below it."""
        return self.page.locator(".wb-headline", has_text=label).locator(".wb-value").inner_text()

    def verdict(self) -> str:
        return self.page.locator(".wb-verdict h2").inner_text()


@pytest.fixture
def visit(app: App, chromium: BrowserContext) -> Iterator[Callable[..., Visit]]:
    opened: list[Page] = []

    def open_page(query: str = "", *, path: str = "", width: int = 1280, scheme: str = "light") -> Visit:
        page = chromium.new_page()
        opened.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        visit = Visit(page).watch()
        if not path and "tab=" not in query:
            query += "&tab=plan"  # the Advisor comes first
        page.goto(app.address(path) + query)
        page.locator(".wb-verdict h2").wait_for(timeout=30_000)
        return visit

    yield open_page
    for page in opened:
        with contextlib.suppress(Error):  # a test may have closed it
            page.close(run_before_unload=True)
