"""The Plan tab in a real browser: its charts, ready-made workloads, what is asked, what is taken along, paper."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from visiting import Visit, ask, wait_until

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]

# What plotly draws: the points of a trace, or the title of a picture.
POINTS = "(n) => [...document.querySelector('.wb-planner .js-plotly-plot').data[n].x]"


def charted(page: Page, number: int = 0) -> list[float]:
    """The points of one of the chart's traces, once it is drawn."""
    page.locator(".wb-planner .wb-drawn").wait_for(timeout=40_000)
    return list(page.evaluate(POINTS, number))


def test_the_charts_follow_a_control(visit: Open) -> None:
    seen = visit("&tpot=0.05")
    page = seen.page
    before, roof = charted(page), charted(page, 7)
    expect(page.locator(".wb-planner .js-plotly-plot")).to_contain_text("Roofline of one card")
    assert len(before) > 5
    assert charted(page, 2)  # the chosen point
    page.get_by_label("GPU", exact=True).fill("H200 SXM")
    page.keyboard.press("Enter")
    expect(page.locator(".wb-scale")).to_contain_text("H200 SXM")
    wait_until(lambda: charted(page) != before and charted(page, 7) != roof, 10, "both charts follow")
    # A picture changed in place keeps its place, its axes and its titles.
    expect(page.locator(".wb-planner .js-plotly-plot")).to_contain_text("Output tokens/s, all requests")
    width = page.evaluate("document.querySelector('.wb-planner .main-svg').getBoundingClientRect().width")
    assert 600 < width < 780
    assert seen.errors == []
    assert seen.elsewhere() == []


def test_a_plan_that_does_not_fit_has_no_chart(visit: Open) -> None:
    page = visit().page
    charted(page)
    page.get_by_label("Model", exact=True).fill("llama-3.1-70b instruct")
    page.keyboard.press("Enter")
    expect(page.locator(".wb-verdict h2")).to_have_text("Does not fit: the weights are too big")
    expect(page.locator(".wb-planner .wb-chart")).to_be_hidden()
    page.locator(".wb-fix").first.click()
    expect(page.locator(".wb-planner .wb-chart")).to_be_visible()
    box = page.locator(".wb-planner .main-svg").first.bounding_box()
    assert box is not None
    assert box["width"] > 600


def test_a_workload_is_chosen_by_its_name(visit: Open) -> None:
    page = visit().page
    workload = page.get_by_label("Workload", exact=True)
    workload.select_option(label="Coding agents")
    expect(page.get_by_label("Input tokens")).to_have_value("46000")
    expect(page.locator(".wb-speed")).to_contain_text("46,000 in, 351 out, 8 at once")
    # Such requests do not fit the context that was chosen, so it grows with them.
    expect(page.get_by_label("Context length, exact value in tokens")).to_have_value("131072")
    expect(page.locator(".wb-field", has=workload).locator(".wb-hint")).to_contain_text("Codex on SWE-bench Pro")
    page.locator("summary", has_text="Spread and cached").click()
    expect(page.get_by_label("Input that the prefix cache holds [%]")).to_have_value("94.2")
    page.get_by_label("Input tokens").fill("45000")
    expect(workload).to_have_value("own")
    workload.select_option(label="Chat")
    expect(page.get_by_label("Spread of input")).to_have_value("0.96")
    expect(page).to_have_url(re.compile("isl=1155.*isl_cv=0.96"))
    page.reload()
    expect(page.get_by_label("Workload", exact=True)).to_have_value("chat")


def test_what_is_asked_is_judged(visit: Open) -> None:
    page = visit().page
    page.locator("summary", has_text="Service level").click()
    page.get_by_label("Each further one [ms]").fill("5")
    expect(page.locator(".wb-verdict h2")).to_have_text("Fits, but misses the service level")
    expect(page.locator(".wb-service")).to_contain_text("asked: at most 5.00 ms")
    page.get_by_label("Each further one [ms]").fill("60")
    expect(page.locator(".wb-verdict h2")).to_have_text("Fits")
    expect(page.locator(".wb-best")).to_contain_text(
        re.compile(r"met up to about \d+ requests at once: [\d,]+ tokens/s")
    )
    page.get_by_label("That holds").select_option(label="For 95 % of requests")
    expect(page.locator(".wb-service")).to_contain_text("for 95 % of requests")
    expect(page.locator(".wb-planner .js-plotly-plot")).to_contain_text("latency of 95 % of requests", timeout=40_000)
    expect(page).to_have_url(re.compile("tpot=0.06&percentile=95"))
    page.reload()
    page.locator("summary", has_text="Service level").click()
    expect(page.get_by_label("Each further one [ms]")).to_have_value("60")
    page.get_by_label("Each further one [ms]").fill("-1")
    expect(page.locator(".wb-problem:visible")).to_contain_text("The time asked per output token is -0.001")


def test_the_figures_are_taken_along_as_csv(visit: Open, tmp_path: Path) -> None:
    page = visit().page
    charted(page)
    page.get_by_label("Name of this plan").fill("our first / plan")
    with page.expect_download() as download:
        page.get_by_role("button", name="Figures as CSV").click()
    assert download.value.suggested_filename == "our-first-plan.csv"
    download.value.save_as(tmp_path / "figures.csv")
    rows = list(csv.reader((tmp_path / "figures.csv").open(encoding="utf-8")))
    figures = {row[0]: row for row in rows}
    assert figures["Model"][1] == "meta-llama/Llama-3.1-8B-Instruct"
    assert figures["Weights"][4] == "GiB"
    assert f"{float(figures['Weights'][1]):.2f}" in page.locator(".wb-memory").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Curve as CSV").click()
    assert download.value.suggested_filename == "our-first-plan-curve.csv"
    download.value.save_as(tmp_path / "curve.csv")
    points = list(csv.DictReader((tmp_path / "curve.csv").open(encoding="utf-8")))
    assert [float(point["output_tokens_per_s"]) for point in points] == charted(page)


def test_the_page_prints_its_answer_without_its_controls(visit: Open, tmp_path: Path) -> None:
    page = visit("&tpot=0.05", scheme="dark").page
    charted(page)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    for hidden in (".wb-choices", ".wb-tablist", ".wb-take", "nav", ".wb-gpus"):
        expect(page.locator(hidden).first).to_be_hidden()
    for shown in (".wb-verdict", ".wb-headlines", ".wb-memory", ".wb-chart", ".wb-code"):
        expect(page.locator(shown).first).to_be_visible()
    paper = page.locator(".wb-printed").first
    expect(paper).to_contain_text("16 requests at once, 1,024 tokens in, 256 out")
    expect(paper).to_contain_text("50.0 ms per further token")
    expect(paper).not_to_contain_text("token=")
    assert page.evaluate("getComputedStyle(document.querySelector('.wb-card')).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.wb-value')).color") == "rgb(0, 0, 0)"
    page.emulate_media(media="screen", color_scheme="light")
    expect(paper).to_be_hidden()
    pages = page.pdf(format="A4").count(b"/Type /Page\n")
    assert 1 <= pages <= 3


@pytest.mark.parametrize("query", ["&tpot=0.01", "&tpot=0.05&isl_cv=0.5"])
def test_it_fits_a_phone_with_its_chart(visit: Open, query: str) -> None:
    page = visit(query, width=420).page
    charted(page)
    for summary in page.locator(".wb-choices summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    for check in ("wide", "nameless", "dangling", "doubled"):
        assert ask(page, check) == [], check
    grids = "[...document.querySelectorAll('.wb-planner .gridlayer > g')].map((g) => g.getBoundingClientRect().top)"
    tops = page.evaluate(grids)
    assert max(tops) - min(tops) > 200  # the pictures stand above each other
