"""The claims in a real browser: filtered, computed, narrow, dark, by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from visiting import Visit, ask, page_of

from workbench.audit import claims, computable, found

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The panel on a page."""
    source = "from workbench.ui import ClaimsPanel\nClaimsPanel(verdict='wrong')"
    with page_of(source, tmp_path_factory.mktemp("page")) as app:
        yield app


def counted(page, verdict: str) -> int:
    return int(page.get_by_role("button", name=verdict, exact=False).locator("small").first.inner_text())


def test_claims_are_filtered_and_computed(served, chromium):
    seen = Visit(chromium.new_page()).watch()
    page = seen.page
    page.goto(served.url)
    status = page.get_by_role("status")
    # A choice made in Python is the one a page begins with.
    expect(status).to_contain_text(f"{len(claims(verdict='wrong'))} of 296 claims")
    expect(page.get_by_role("button", name="wrong")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="all").click()
    expect(status).to_contain_text("296 of 296 claims")
    expect(status).to_contain_text(f"{len(computable())} of all were computed here", timeout=60_000)

    first = page.locator("li[data-id='C000-026']")
    expect(first.locator("dd")).to_have_text(["7 GB", found("C000-026").value])
    expect(first.locator(".wb-verdictmark")).to_have_text("wrong")
    expect(first.get_by_text("computed here")).to_be_visible()

    page.get_by_label("Topic").select_option("vllm options")
    page.get_by_role("button", name="outdated").click()
    expected = claims("vllm options", "outdated")
    expect(status).to_contain_text(f"{len(expected)} of 296")
    expect(page.locator("[data-id]")).to_have_count(len(expected))
    page.get_by_label("Search").fill("swap_space")
    expect(page.locator("[data-id]")).to_have_count(len(claims("vllm options", "outdated", "swap_space")))
    # What each verdict would leave is said beside it.
    assert counted(page, "wrong") == len(claims("vllm options", "wrong", "swap_space"))
    link = page.locator("li[data-id='C000-035'] a")
    expect(link).to_have_attribute("href", "https://github.com/vllm-project/vllm/pull/36216")
    expect(link).to_have_attribute("rel", "noreferrer noopener")

    page.get_by_label("Search").fill("nothing says this")
    expect(page.locator("[data-id]")).to_have_count(0)
    expect(status).to_contain_text("0 of 296")
    assert seen.errors == []
    assert seen.elsewhere() == []
    page.close()


def test_the_list_is_read_by_keyboard(served, chromium):
    page = chromium.new_page()
    page.goto(served.url)
    page.get_by_role("button", name="all").focus()
    page.keyboard.press("Enter")
    expect(page.locator(":focus")).to_have_attribute("data-verdict", "")
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    # Drawn anew, the button that was pressed keeps the focus.
    expect(page.locator(":focus")).to_have_attribute("data-verdict", "wrong")
    expect(page.locator(":focus")).to_have_attribute("aria-pressed", "true")
    wrong = len(claims(verdict="wrong"))
    more = page.get_by_role("button", name="Show more")
    expect(more).to_have_text(f"Show more: {wrong - 40} left")
    more.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-id]")).to_have_count(wrong)
    expect(more).to_be_hidden()
    # One reads on where the list ended.
    expect(page.locator(":focus")).to_have_attribute("data-id", claims(verdict="wrong")[40].id)
    page.close()


def test_it_fits_a_telephone_and_is_named(served, chromium):
    page = chromium.new_page()
    for width, scheme in ((1280, "light"), (420, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(served.url)
        expect(page.get_by_role("status")).to_contain_text("computed here", timeout=60_000)
        for check in ("wide", "nameless", "dangling", "doubled"):
            assert ask(page, check) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
