"""The readiness panel and the report in a real browser: read, opened, narrow, dark, hostile."""

from __future__ import annotations

import pytest
from checklist.endpoint import KEY, Endpoint
from playwright.sync_api import expect
from visiting import Visit, ask, page_of

from workbench.checklist import readiness

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def endpoint():
    with Endpoint(limit=None, html=True) as running:
        yield running


@pytest.fixture(scope="module")
def served(endpoint, tmp_path_factory):
    """The panel on a page."""
    source = (
        "from workbench.ui import ReadinessPanel\n"
        "figures = {'concurrency': 2, 'ttft': 2, 'flood_requests': 24}\n"
        f"ReadinessPanel({endpoint.url!r}, api_key={KEY!r}, changes=figures)"
    )
    with page_of(source, tmp_path_factory.mktemp("page")) as app:
        yield app


def test_the_panel_runs_the_checks_and_opens_their_evidence(served, chromium):
    seen = Visit(chromium.new_page()).watch()
    page = seen.page
    page.goto(served.url)
    expect(page.get_by_role("heading", name="Not looked at yet")).to_be_visible()
    page.get_by_role("button", name="Run the checks").click()
    expect(page.get_by_role("heading", name="Not ready")).to_be_visible(timeout=60_000)
    limit = page.locator("details.wb-item", has_text="The rate is limited")
    expect(limit.locator(".wb-status")).to_have_text("fail")
    expect(limit.get_by_text("limit_req_zone")).to_be_hidden()
    limit.locator("summary").click()
    expect(limit.get_by_text("limit_req_zone")).to_be_visible()
    expect(limit.locator("dt")).to_have_text(["24 requests of one token, twelve at once"])
    expect(limit.locator("dd")).to_have_text(["none was refused: 24 × HTTP 200"])
    expect(page.locator(".wb-counts")).to_contain_text("1 fail")
    # What the endpoint says is text.
    assert page.locator(".wb img").count() == 0
    box = page.get_by_label("The endpoint's log")
    page.get_by_text("Files to look at").click()
    box.fill("./nowhere.log")
    box.press("Enter")
    expect(page.locator(".wb-field", has=box).locator(".wb-problem")).to_contain_text("no log")
    for width in (1280, 420):
        page.set_viewport_size({"width": width, "height": 900})
        assert ask(page, "wide") == []
    for check in ("nameless", "dangling", "doubled"):
        assert ask(page, check) == []
    assert KEY not in page.content()
    assert seen.errors == []
    assert seen.elsewhere() == []
    page.close()


def test_the_report_is_one_calm_page(endpoint, chromium, tmp_path):
    report = readiness(endpoint.url, api_key=KEY, checks=["service", "security"], changes={"flood_requests": 24})
    file = report.save(tmp_path / "report.html")
    seen = Visit(chromium.new_page()).watch()
    page = seen.page
    for width, scheme in ((1280, "light"), (420, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(file.as_uri())
        expect(page.get_by_role("heading", name="Not ready")).to_be_visible()
        for each in page.locator("details").all():
            each.evaluate("e => (e.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        expect(page.get_by_text("onerror", exact=False).first).to_be_visible()
        assert page.title() == "Readiness: not ready"
        assert page.locator("img, script, a").count() == 0
    assert [url for url in seen.requests if not url.startswith("file:")] == []
    assert seen.errors == []
    page.close()
