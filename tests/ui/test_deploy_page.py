"""The deploy panel in a real Chromium: choose targets, read a file, take the zip along; as a tab of the planner too."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from visiting import App, Visit, ask, page_of

pytestmark = pytest.mark.browser

CELL = """
import workbench as wb
from workbench.ui import DeployPanel

DeployPanel(wb.plan("Qwen/Qwen3-8B", gpu="L40S", max_model_len=8192), targets=["vllm"])
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with page_of(CELL, tmp_path_factory.mktemp("deploy")) as app:
        yield app


@pytest.fixture
def opened(served: App, chromium: BrowserContext) -> Iterator[Callable[..., Visit]]:
    pages: list[Page] = []

    def open_page(width: int = 1280, scheme: str = "light") -> Visit:
        page = chromium.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        visit = Visit(page).watch()
        page.goto(served.url)
        expect(page.get_by_role("heading", name="qwen3-8b", exact=True)).to_be_visible(timeout=60_000)
        return visit

    yield open_page
    for page in pages:
        page.close()


def shown(page: Page) -> str:
    return page.locator(".wb-deploy pre").first.inner_text()


def test_a_file_is_read_and_the_whole_is_taken_along(opened: Callable[..., Visit], tmp_path: Path) -> None:
    visit = opened()
    page = visit.page
    page.get_by_role("option", name="vllm/serve.sh").click()
    expect(page.locator(".wb-deploy pre").first).to_contain_text("exec vllm serve Qwen/Qwen3-8B", timeout=20_000)
    page.keyboard.press("ArrowUp")
    expect(page.locator(".wb-deploy pre").first).to_contain_text("SamplingParams", timeout=20_000)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as zip").click()
    assert download.value.suggested_filename == "qwen3-8b.zip"
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert "qwen3-8b/vllm/serve.sh" in names
    assert len(names) == page.get_by_role("listbox", name="Files").get_by_role("option").count()


def test_targets_and_wishes(opened: Callable[..., Visit]) -> None:
    visit = opened()
    page = visit.page
    page.get_by_label("docker run").check()
    page.get_by_role("option", name="docker/run.sh").click(timeout=20_000)
    expect(page.locator(".wb-deploy pre").first).to_contain_text("docker run", timeout=20_000)
    page.get_by_text("Names and addresses").click()
    port = page.get_by_label("Port of the engine")
    port.fill("9321")
    expect(page.locator(".wb-deploy pre").first).to_contain_text("9321", timeout=20_000)
    port.fill("0")
    expect(page.get_by_text("port is 0; it must be a whole number")).to_be_visible(timeout=20_000)
    assert "9321" in shown(page)
    page.get_by_text("not for this plan").first.click()
    expect(page.get_by_text("the plan is for another engine").first).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (420, "dark")])
def test_it_is_whole_and_can_be_read_aloud(opened: Callable[..., Visit], width: int, scheme: str) -> None:
    visit = opened(width, scheme)
    for check in ("nameless", "dangling", "doubled", "wide"):
        assert ask(visit.page, check) == []
    assert visit.errors == []
    assert visit.elsewhere() == []


def test_the_planners_tab_deploys_its_plan(visit: Callable[..., Visit]) -> None:
    page = visit("&model=Qwen%2FQwen3-8B&gpu=H100+SXM").page
    page.get_by_role("tab", name="Deploy").click()
    panel = page.get_by_role("tabpanel", name="Deploy")
    expect(panel.get_by_text("Qwen/Qwen3-8B by vllm")).to_be_visible(timeout=60_000)
    expect(panel.get_by_text("H100").first).to_be_visible()
