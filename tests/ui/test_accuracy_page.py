"""The accuracy page in a real browser: look, choose, check a file, paste a log."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from evidence.startup_logs import LOGS
from playwright.sync_api import expect
from visiting import Visit, ask

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


def test_figures_chart_and_choice(visit: Open) -> None:
    seen = visit("&source=cited", path="accuracy")
    page = seen.page
    expect(page.locator(".wb-headline").first).to_contain_text("median error")
    expect(page.locator(".wb-verdict")).to_contain_text("learned without their model")
    page.locator(".js-plotly-plot .point").first.wait_for(timeout=20_000)
    before = page.locator(".js-plotly-plot .point").count()
    page.get_by_role("button", name="Weights", exact=True).click()
    expect(page.get_by_label("Figure", exact=True)).to_have_value("weights")
    expect(page.locator(".js-plotly-plot")).to_contain_text("Measured: Weights [GiB]", timeout=20_000)
    assert page.locator(".js-plotly-plot .point").count() != before
    page.locator("summary", has_text="row by row").click()
    expect(page.locator(".wb-rows tbody tr").first).to_contain_text(re.compile("inside|outside"))
    query = parse_qs(urlsplit(page.url).query)
    assert query == {"source": ["cited"], "quantity": ["weights"]}
    page.reload()
    expect(page.get_by_label("Figure", exact=True)).to_have_value("weights")
    page.locator("summary", has_text="with something assumed").click()
    expect(page.locator(".wb-why").last).to_contain_text("Assumed: ")
    assert seen.errors == []
    assert seen.elsewhere() == []


def test_a_log_and_a_file_are_checked(visit: Open) -> None:
    seen = visit(path="accuracy")
    page = seen.page
    page.locator("summary", has_text="Paste a start-up log").click()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".wb-problem:visible")).to_contain_text("Paste what vLLM printed")
    page.get_by_label("Start-up log of vLLM").fill(LOGS["0.6.4"][0])
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".wb-said")).to_contain_text("31,232 tokens of KV cache reported")
    expect(page.locator(".wb-problem:visible")).to_have_count(0)
    text = "config,gpu_name,tp,vllm_version,model_weights_gib\nQwen/Qwen3-8B,L40S,1,0.19.0,15.27\n"
    page.set_input_files("input[type=file]", {"name": "mine.csv", "mimeType": "text/csv", "buffer": text.encode()})
    expect(page.locator(".wb-headlines")).to_contain_text("1 of 1")
    expect(page.get_by_label("Measurements", exact=True).last).to_have_value("yours")
    bad = {"name": "bad.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"}
    page.set_input_files("input[type=file]", bad)
    expect(page.locator(".wb-problem:visible")).to_contain_text("no column 'config'")
    assert "Traceback" not in page.content()
    assert seen.errors == []


def test_it_fits_a_phone_and_names_every_control(visit: Open) -> None:
    page = visit("&source=cited", path="accuracy", width=420).page
    page.locator(".js-plotly-plot .point").first.wait_for(timeout=20_000)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    for check in ("wide", "nameless", "dangling", "doubled"):
        assert ask(page, check) == [], check
    assert page.evaluate("document.querySelector('.js-plotly-plot').getBoundingClientRect().right") <= 420


def test_the_pages_link_to_each_other(visit: Open) -> None:
    seen = visit(path="accuracy")
    page = seen.page
    expect(page.get_by_role("link", name="Accuracy")).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Planner").click()
    expect(page.locator(".wb-verdict h2")).to_contain_text("Yes: ", timeout=30_000)  # the Advisor's, which comes first
    assert "token" not in page.url
    page.get_by_role("link", name="Accuracy").click()
    expect(page.locator(".wb-headlines")).to_contain_text("rows predicted", timeout=30_000)
    assert seen.errors == []
