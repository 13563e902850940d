"""``workbench lab``: JupyterLab in a real Chromium, the notebooks opened and run as a user runs them."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from browser import free_port
from playwright.sync_api import BrowserContext, Locator, Page, expect
from visiting import Visit, wait_until

from workbench import builtin
from workbench.cli import lab
from workbench.errors import InvalidInput

TOKEN = "a-token-for-tests"


# ---- without a browser


def test_in_a_checkout_one_works_in_its_notebooks() -> None:
    assert lab.working_folder(None) == Path(lab.__file__).parents[2] / "notebooks"


def test_notebooks_are_copied_and_yours_stay(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert lab.working_folder(folder) == folder
    assert {p.name for p in folder.iterdir()} == {*lab.NOTEBOOKS, lab.LEARN}
    learn = Path(lab.__file__).parents[2] / "notebooks" / lab.LEARN
    assert {p.name for p in (folder / lab.LEARN).iterdir()} == {p.name for p in learn.glob("*.ipynb")}
    (folder / "workbench.ipynb").write_text("mine")
    lab.working_folder(folder)
    assert (folder / "workbench.ipynb").read_text() == "mine"


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="--folder"):
        lab.working_folder(tmp_path / "file")


def test_a_busy_port_is_refused_in_one_line() -> None:
    import socket

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        for verb in ("lab", "app"):
            command = [sys.executable, "-m", "workbench", verb, "--no-browser", f"--port={port}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 2
            assert done.stderr.count("\n") == 1
            assert f"port {port}" in done.stderr
            assert "choose another" in done.stderr


def test_it_listens_to_this_machine_only_and_asks_nobody_for_news() -> None:
    parser = argparse.ArgumentParser()
    lab.add_arguments(parser)
    arguments = lab.server_arguments(Path("/tmp"), 1, None, browser=False)
    assert "--ServerApp.ip=127.0.0.1" in arguments
    assert "--LabApp.news_url=None" in arguments
    ours = lab.settings({})["JUPYTER_CONFIG_PATH"]
    overrides = json.loads((Path(ours) / "labconfig" / "default_setting_overrides.json").read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


# ---- with one


@dataclass
class Jupyter:
    url: str
    folder: Path


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A running `workbench lab`."""
    folder = tmp_path_factory.mktemp("lab")
    port = free_port()
    log = folder / "lab.log"
    command = [sys.executable, "-m", "workbench", "lab", "--no-browser", f"--port={port}", f"--token={TOKEN}"]
    command += [f"--folder={folder / 'work'}"]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    try:
        wait_until(lambda: f"127.0.0.1:{port}/lab" in log.read_text(), 60, "JupyterLab says where it is")
        yield Jupyter(f"http://127.0.0.1:{port}", folder / "work")
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            if process.poll() is None:
                process.kill()
        # Kernels, servers and builds go with it.
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive, [p.cmdline() for p in alive if p.is_running()]


def open_notebook(chromium: BrowserContext, jupyter: Jupyter, name: str) -> Visit:
    page = chromium.new_page()
    page.set_viewport_size({"width": 1400, "height": 1000})
    visit = Visit(page).watch()
    page.goto(f"{jupyter.url}/lab/tree/{name}?reset&token={TOKEN}")  # without the tabs of the test before
    page.locator(".jp-Notebook").wait_for(timeout=60_000)
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=60_000)
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(timeout=60_000)
    page.wait_for_timeout(4000)  # JupyterLab 4.6 forgets cells that are run in a kernel's first moments
    return visit


def run_all(page: Page, file: Path, timeout: float) -> list[str]:
    """Run all cells, wait for the last, save, and say which outputs of the saved notebook are errors.

    The saved file is asked, not the page: JupyterLab keeps only the cells in sight in the page.
    """
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def saved_and_done() -> bool:
        page.keyboard.press("Control+s")
        page.wait_for_timeout(2000)
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        return all(c["execution_count"] for c in cells if c["cell_type"] == "code") or bool(errors(file))

    wait_until(saved_and_done, timeout, "all cells have run")
    return errors(file)


def errors(file: Path) -> list[str]:
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]


@pytest.mark.browser
def test_the_planner_runs_in_jupyterlab(jupyter: Jupyter, chromium: BrowserContext) -> None:
    visit = open_notebook(chromium, jupyter, "planner.ipynb")
    page = visit.page
    assert run_all(page, jupyter.folder / "planner.ipynb", 60) == []
    page.get_by_role("tab", name="Plan", exact=True).click(timeout=30_000)
    expect(page.locator(".wb-planner .wb-verdict h2")).to_have_text("Fits", timeout=30_000)
    address = page.url
    page.locator(".wb-planner").get_by_label("Quantisation").select_option("AWQ 4-bit")
    expect(page.locator(".wb-planner .wb-code").first).to_contain_text("awq")
    assert page.url == address  # JupyterLab's address is its own
    assert visit.errors == []
    assert visit.elsewhere() == []
    # Dark mode follows JupyterLab's theme, and that the reader's system.
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false", timeout=15_000)
    expect(page.locator(".wb-planner")).to_have_class(re.compile("wb-dark"))
    # A kernel that is shut down is told in the page.
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
    page.locator(".wb-planner").get_by_label("Input tokens").fill("2000")
    expect(page.locator(".wb-planner .wb-banner").first).to_contain_text("kernel is not running", timeout=20_000)
    page.close()


@pytest.mark.browser
@pytest.mark.environment
@pytest.mark.timeout(2400)
def test_three_methods_are_chosen_run_and_one_is_cancelled(jupyter: Jupyter, chromium: BrowserContext) -> None:
    builtin.ensure()
    # The panel and its chart alone; what the cells below do is theirs.
    notebook = json.loads((jupyter.folder / "quantize.ipynb").read_text(encoding="utf-8"))
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][:1]
    source = "".join(notebook["cells"][0]["source"])
    notebook["cells"][0]["source"] = source.replace(
        'MethodsPanel("builtin", METHODS', 'MethodsPanel("builtin", ["awq"]'
    )
    (jupyter.folder / "methods.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    visit = open_notebook(chromium, jupyter, "methods.ipynb")
    page = visit.page
    assert run_all(page, jupyter.folder / "methods.ipynb", 120) == []
    methods = page.locator(".wb-methods")
    methods.get_by_label("FP8, weights and activations, scales at run time").check()
    own = page.get_by_label("A method with parameters of your own")
    own.fill("w4a16_rtn:group_size=63")
    own.press("Tab")
    expect(page.get_by_text("group_size is '63'; -1, 32, 64 or 128 is needed")).to_be_visible()
    own.fill("w4a16_rtn:group_size=64")
    own.press("Tab")
    expect(methods.get_by_label("W4A16, rounded to the nearest (group_size 64)")).to_be_checked()
    expect(own).to_have_value("")
    page.get_by_label("Start each result in the engines it is for").uncheck()
    page.get_by_role("button", name="Try these 3").click()
    # The first is AWQ, which takes longest: it is cancelled once it runs.
    page.get_by_role("button", name="Cancel AWQ, 4-bit weights").click(timeout=60_000)
    states = page.locator(".wb-trying .wb-state")
    over = {"done", "failed", "refused", "cancelled"}
    wait_until(lambda: set(states.all_inner_texts()) <= over, 600, "all three are over")
    expect(states).to_have_text(["cancelled", "done", "done"])
    expect(page.locator(".wb-tried tbody tr")).to_have_count(2)
    expect(page.locator(".js-plotly-plot")).to_contain_text("fp8_dynamic", timeout=60_000)
    page.get_by_role("button", name=re.compile("^Serve FP8")).click()
    expect(page.get_by_text("To be served:")).to_contain_text("fp8_dynamic")
    kept = {p.name for p in (jupyter.folder / "trials").iterdir()}
    assert kept == {"trials.json", "fp8_dynamic", "w4a16_rtn-group_size-64"}
    assert visit.errors == []
    assert visit.elsewhere() == []
    page.close()


@pytest.mark.browser
def test_a_lesson_moves_in_jupyterlab(jupyter: Jupyter, chromium: BrowserContext) -> None:
    seen = open_notebook(chromium, jupyter, "learn/quantisers.ipynb")
    page = seen.page
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    said = page.locator(".wb-caption-said").first
    said.scroll_into_view_if_needed(timeout=60_000)
    before = said.inner_text()
    handle = page.locator(".wb-explorer .noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    expect(said).not_to_have_text(before)
    figure, caption = page.locator(".wb-explorer .js-plotly-plot .main-svg").first, page.locator(".wb-caption").first
    expect(figure).to_be_visible(timeout=60_000)

    def width(part: Locator) -> float:
        box = part.bounding_box()
        return box["width"] if box else 0.0

    wait_until(lambda: abs(width(figure) - width(caption)) < 30, 40, "it fills its place")
    assert not seen.elsewhere()
    page.close()


@pytest.mark.browser
@pytest.mark.environment
@pytest.mark.timeout(2400)
@pytest.mark.soak  # nbval runs the same cells among the ordinary tests, and the other notebook's panels run in Lab
def test_the_whole_loop_runs_in_jupyterlab(jupyter: Jupyter, chromium: BrowserContext) -> None:
    visit = open_notebook(chromium, jupyter, "workbench.ipynb")
    page = visit.page
    assert run_all(page, jupyter.folder / "workbench.ipynb", 1800) == []
    assert visit.errors == []
    assert visit.elsewhere() == []
    page.close()
