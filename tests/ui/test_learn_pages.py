"""Every lesson as a page of the app: it is drawn whole, its controls move it, and it fits a telephone."""

from __future__ import annotations

from collections.abc import Callable

import nbformat
import pytest
from playwright.sync_api import BrowserContext, expect
from visiting import App, Visit, ask, wait_until

from workbench.datafiles import notebook_path

pytestmark = pytest.mark.browser

LEARN = notebook_path("learn")
LESSONS = sorted(path.stem for path in LEARN.glob("*.ipynb") if path.stem != "index")


@pytest.fixture
def open_lesson(app: App, chromium: BrowserContext):
    opened = []

    def visit(path: str) -> Visit:
        page = chromium.new_page()
        opened.append(page)
        seen = Visit(page).watch()
        page.goto(app.address(path), timeout=120_000)  # all its cells run first, in a kernel that starts with the visit
        return seen

    yield visit
    for page in opened:
        page.close(run_before_unload=True)


def widgets(name: str) -> int:
    """How many of its cells draw one."""
    cells = nbformat.read(LEARN / f"{name}.ipynb", as_version=4).cells
    return sum("nbval-ignore-output" in cell.metadata.get("tags", []) for cell in cells)


def test_the_contents_lead_to_a_lesson(open_lesson: Callable[[str], Visit]) -> None:
    seen = open_lesson("learn")
    links = seen.page.locator(".lesson li a")
    expect(links).to_have_count(len(LESSONS))
    expect(seen.page.get_by_role("link", name="Learn", exact=True)).to_have_attribute("aria-current", "page")
    title = links.first.inner_text()
    links.first.click()
    expect(seen.page.get_by_role("heading", level=1)).to_have_text(title)
    assert seen.elsewhere() == []


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_is_drawn_whole(name: str, open_lesson: Callable[[str], Visit]) -> None:
    seen = open_lesson(f"learn/{name}")
    page = seen.page
    expect(page.locator(".wb")).to_have_count(widgets(name), timeout=120_000)
    text = page.locator("main").inner_text()
    assert "$$" not in text
    formulas = page.evaluate("[...document.querySelectorAll('math')].map((e) => e.textContent)")
    assert [formula for formula in formulas if "\\" in formula] == [], "a word of LaTeX that became no MathML"
    expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)
    said = page.locator(".wb-caption-said")
    for at in range(said.count()):
        expect(said.nth(at)).not_to_be_empty()
    if said.count():
        expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
        before = said.all_inner_texts()
        for handle in page.locator(".noUi-handle").all():
            handle.focus()
            handle.press("ArrowRight")
        for menu in page.locator(".wb-explorer select").all():
            options = menu.locator("option").all_inner_texts()
            menu.select_option(options[-1])
        wait_until(lambda: said.all_inner_texts() != before, 20, "a control changes what is said")
    assert ask(page, "doubled") == []
    assert ask(page, "dangling") == []
    assert seen.errors == []
    assert seen.elsewhere() == []
    page.set_viewport_size({"width": 420, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    assert ask(page, "wide") == []
