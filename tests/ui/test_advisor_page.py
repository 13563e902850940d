"""The Advisor in a real browser: asked, answered, refused, shared by its address; narrow, dark, printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from visiting import App, Visit, ask, page_of

pytestmark = pytest.mark.browser

CELL = "from workbench.ui.advisor import AdvisorPanel\n\nAdvisorPanel(url=True)"


@pytest.fixture(scope="module")
def advisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with page_of(CELL, tmp_path_factory.mktemp("advisor")) as app:
        yield app


def opened(app: App, chromium: BrowserContext, query: str = "", width: int = 1280, scheme: str = "light") -> Visit:
    page = chromium.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    visit = Visit(page).watch()
    page.goto(app.url + query)
    page.locator(".wb-advice").first.wait_for(timeout=60_000)
    return visit


def plans(page: Page) -> list[str]:
    return [text.splitlines()[1] for text in page.locator(".wb-advice").all_inner_texts()]


def test_the_default_question_is_answered_with_three_plans_and_their_reasons(
    advisor: App, chromium: BrowserContext
) -> None:
    seen = opened(advisor, chromium)
    page = seen.page
    expect(page.locator(".wb-verdict")).to_contain_text("500 users (50 requests at once)")
    expect(page.locator(".wb-advice")).to_have_count(3)
    for card in page.locator(".wb-advice").all():
        expect(card).to_contain_text("a month")
        expect(card).to_contain_text("Chance to meet it")
        assert card.locator(".wb-words li").count() >= 3
    details = page.locator(".wb-plandetails details").first
    details.locator("summary").click()
    expect(details).to_contain_text("500 users × 10 % active")
    expect(details).to_contain_text("vllm serve")
    page.locator("#wb-changes-title").scroll_into_view_if_needed()
    expect(page.locator(".wb-changes")).to_contain_text("Twice the users", timeout=60_000)
    expect(page.locator(".wb-rules")).to_contain_text("Without NVLink")
    expect(page.locator(".wb-rejected")).to_contain_text("H100 SXM5")
    for check in ("nameless", "dangling", "doubled", "wide"):
        assert ask(page, check) == []
    assert seen.errors == []
    assert seen.elsewhere() == []
    page.close()


def test_controls_answer_and_the_address_keeps_everything(advisor: App, chromium: BrowserContext) -> None:
    seen = opened(advisor, chromium, "&need.model=meta-llama/Llama-3.1-8B-Instruct&need.gpu=L40S&need.users=200")
    page = seen.page
    expect(page.locator(".wb-verdict")).to_contain_text("200 users")
    page.get_by_label("Users", exact=True).last.fill("4000")
    expect(page.locator(".wb-verdict")).to_contain_text("4,000 users", timeout=30_000)
    page.get_by_label("Budget [USD a month]").fill("100")
    expect(page.locator(".wb-verdict h2")).to_contain_text("Not for $100 a month", timeout=30_000)
    expect(page.locator(".wb-verdict")).to_have_attribute("data-state", "tight")
    page.get_by_role("radio", name="Requests/s").check()
    page.get_by_label("Requests a second at the peak").fill("3")
    expect(page.locator(".wb-verdict")).to_contain_text("3 requests a second", timeout=30_000)
    page.wait_for_function("location.search.includes('requests_per_s=3')")
    query = parse_qs(urlsplit(page.url).query)
    assert query["need.load"] == ["rate"]
    assert query["need.usd_per_month"] == ["100"]
    assert "token" not in query
    before = plans(page)
    page.reload()
    page.locator(".wb-advice").first.wait_for(timeout=60_000)
    expect(page.locator(".wb-verdict")).to_contain_text("3 requests a second", timeout=30_000)
    assert plans(page) == before
    assert seen.errors == []
    page.close()


def test_bad_input_is_a_sentence_and_the_last_answer_stays(advisor: App, chromium: BrowserContext) -> None:
    seen = opened(advisor, chromium, "&need.model=meta-llama/Llama-3.1-8B-Instruct&need.gpu=L40S")
    page = seen.page
    expect(page.locator(".wb-verdict")).to_contain_text("Llama-3.1-8B-Instruct", timeout=30_000)
    before = plans(page)
    users = page.get_by_label("Users", exact=True).last
    users.fill("0")
    expect(page.locator(".wb-problem:visible")).to_contain_text("The number of users is 0")
    expect(users).to_have_attribute("aria-invalid", "true")
    assert plans(page) == before
    users.fill("300")
    expect(page.locator(".wb-problem:visible")).to_have_count(0)
    assert "Traceback" not in page.content()
    assert seen.errors == []
    page.close()


@pytest.mark.parametrize("width", [420, 760, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_in_both_schemes(advisor: App, chromium: BrowserContext, width: int, scheme: str) -> None:
    seen = opened(advisor, chromium, "&need.model=meta-llama/Llama-3.1-8B-Instruct", width, scheme)
    assert ask(seen.page, "wide") == []
    card = seen.page.evaluate("getComputedStyle(document.querySelector('.wb-card')).backgroundColor")
    channels = [int(n) for n in re.findall(r"\d+", card)[:3]]
    assert (max(channels) < 128) == (scheme == "dark")
    seen.page.close()


def test_paper_has_the_plans_and_what_was_asked(advisor: App, chromium: BrowserContext, tmp_path: Path) -> None:
    seen = opened(advisor, chromium, "&need.model=meta-llama/Llama-3.1-8B-Instruct")
    seen.page.emulate_media(media="print")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(seen.page.locator(".wb-printed")).to_contain_text("tokens in")
    expect(seen.page.locator(".wb-choices")).to_be_hidden()
    seen.page.close()
