"""The Compare tab in a real browser."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from visiting import Visit, ask

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]


def comparing(page: Page) -> Page:
    """The page, its Compare tab open and drawn."""
    page.get_by_role("tab", name="Compare").click()
    page.locator(".wb-compare .wb-drawn").wait_for(timeout=40_000)
    return page


def test_a_cell_is_planned_with(visit: Open) -> None:
    seen = visit()
    page = comparing(seen.page)
    expect(page.get_by_role("heading", name="Which format on which GPU")).to_be_visible()
    cell = page.locator(".wb-matrix tr", has_text="AWQ 4-bit").locator("td").nth(2)
    expect(page.locator(".wb-matrix thead th").nth(3)).to_have_text("H100 SXM5")
    cell.get_by_role("button").click()
    expect(page.get_by_role("tab", name="Plan")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("GPU", exact=True).first).to_have_value("H100 SXM5")
    expect(page.get_by_label("Quantisation")).to_have_value("awq")
    expect(page.locator(".wb-verdict h2")).to_have_text("Fits")
    assert seen.errors == []
    assert seen.elsewhere() == []


def test_what_is_compared_is_chosen_and_in_the_address(visit: Open) -> None:
    page = comparing(visit().page)
    page.get_by_role("button", name="Remove L40S").click()
    expect(page.locator(".wb-matrix thead")).not_to_contain_text("L40S")
    page.get_by_label("Add a GPU").fill("mi300x")
    page.keyboard.press("Enter")
    expect(page.locator(".wb-matrix thead")).to_contain_text("Instinct MI300X")
    page.get_by_label("Add a format").fill("gptq")
    page.keyboard.press("Enter")
    expect(page.locator(".wb-matrix tbody")).to_contain_text("GPTQ 4-bit")
    page.get_by_role("button", name="Remove As the checkpoint is").click()
    page.get_by_label("Figure", exact=True).select_option(label="Time per output token")
    expect(page.locator(".wb-matrix .wb-best-cell")).to_contain_text("ms")
    expect(page).to_have_url(re.compile("tab=compare"))
    expect(page).to_have_url(re.compile("schemes=fp8,int8,awq,nvfp4,gptq"))
    before = page.locator(".wb-matrix").inner_text()
    page.reload()
    expect(page.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true", timeout=30_000)
    expect(page.locator(".wb-matrix thead")).to_contain_text("Instinct MI300X", timeout=30_000)
    expect(page.locator(".wb-matrix tbody")).to_contain_text("GPTQ 4-bit")
    assert page.locator(".wb-matrix").inner_text() == before


def test_the_front_follows_a_control(visit: Open) -> None:
    page = comparing(visit().page)
    x = "[...document.querySelector('.wb-compare .js-plotly-plot').data[1].x]"
    before = page.evaluate(x)
    chart = page.locator(".wb-compare .wb-chart")
    drawn = int(chart.get_attribute("data-drawn") or 0)
    page.locator(".wb-compare").get_by_label("Concurrent requests", exact=True).press("ArrowRight")
    expect(page.locator(".wb-compare .wb-matrix-place + .wb-hint")).to_contain_text("32 requests at once")
    expect(chart).not_to_have_attribute("data-drawn", str(drawn))
    assert page.evaluate(x) != before
    expect(chart.locator(".wb-keys")).to_contain_text("H100 SXM5")


def test_two_gpus_stand_side_by_side(visit: Open, tmp_path: Path) -> None:
    page = comparing(visit().page)
    card = page.locator(".wb-card", has=page.get_by_role("heading", name="Two GPUs"))
    card.get_by_label("First GPU").fill("a100 80gb sxm")
    page.keyboard.press("Enter")
    expect(card.locator(".wb-words")).to_contain_text("Only H100 SXM5 computes in FP8")
    card.get_by_label("4", exact=True).check()
    expect(card.locator(".wb-words")).to_contain_text("Over 4 cards every layer exchanges")
    expect(card.locator(".wb-sides")).to_contain_text("All of a decode step, at least")
    bandwidth = card.locator("tr", has_text="Memory bandwidth")
    expect(bandwidth).to_contain_text("3,350 GB/s")
    expect(bandwidth).to_contain_text("1.64× more")
    with page.expect_download() as download:
        card.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "A100-80GB-SXM4-and-H100-SXM5.csv"
    download.value.save_as(tmp_path / "cards.csv")
    rows = {row["figure"]: row for row in csv.DictReader((tmp_path / "cards.csv").open(encoding="utf-8"))}
    assert float(rows["Memory bandwidth"]["H100 SXM5"]) == 3.35e12


def test_two_kept_plans_stand_side_by_side(visit: Open) -> None:
    page = visit().page
    page.get_by_label("Name of this plan").fill("today")
    page.get_by_role("button", name="Keep to compare").click()
    expect(page.locator(".wb-take .wb-hint")).to_have_text("Kept: today.")
    page.get_by_label("Quantisation").select_option("FP8")
    page.get_by_label("Name of this plan").fill("tomorrow")
    page.get_by_role("button", name="Keep to compare").click()
    expect(page.locator(".wb-take .wb-hint")).to_have_text("Kept: today, tomorrow.")
    comparing(page)
    card = page.locator(".wb-card", has=page.get_by_role("heading", name="Two plans"))
    expect(card.locator("thead")).to_contain_text("today")
    expect(card.locator("tr", has_text="Quantisation")).to_contain_text("as the checkpoint is")
    expect(card.locator("tr", has_text="KV cache, tokens")).to_contain_text("more")
    expect(page).to_have_url(re.compile("plans=.*tomorrow"))
    page.reload()
    card = page.locator(".wb-card", has=page.get_by_role("heading", name="Two plans"))
    expect(card.locator("thead")).to_contain_text("tomorrow", timeout=30_000)
    card.get_by_label("First plan").select_option("tomorrow")
    card.get_by_label("Second plan").select_option("today")
    expect(card.locator("thead th").nth(1)).to_have_text("tomorrow")
    card.get_by_role("button", name="Forget today").click()
    expect(card).to_contain_text("Keep another plan")


def test_a_bad_address_is_answered_with_a_sentence(visit: Open) -> None:
    page = visit("&gpus=L40T,L4&plans=%7B%22x%22:5%7D").page
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator(".wb-compare .wb-problem:visible").first).to_contain_text("Unknown GPU 'L40T'; did you mean")
    assert "Traceback" not in page.content()


def test_the_keyboard_moves_through_tabs(visit: Open) -> None:
    page = visit().page
    page.get_by_role("tab", name="Plan").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Compare")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Compare")).to_be_visible()
    expect(page.get_by_role("tabpanel", name="Plan")).to_be_hidden()
    page.keyboard.press("Home")
    expect(page.get_by_role("tab", name="Advisor")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_names_every_control(visit: Open, scheme: str) -> None:
    page = comparing(visit("&tpot=0.02", width=420, scheme=scheme).page)
    for summary in page.locator(".wb-compare summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    for check in ("wide", "nameless", "dangling", "doubled"):
        assert ask(page, check) == [], check


def test_it_prints_what_is_compared(visit: Open) -> None:
    page = comparing(visit("&tpot=0.02").page)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    paper = page.locator(".wb-compare .wb-printed")
    expect(paper).to_contain_text("meta-llama/Llama-3.1-8B-Instruct")
    expect(paper).to_contain_text("20.0 ms per further token")
    expect(page.locator(".wb-compare .wb-matrix")).to_be_visible()
    for hidden in (".wb-compare .wb-choices", ".wb-compare .wb-button", ".wb-compare .wb-remove"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.get_by_role("heading", name="Two plans")).to_be_hidden()  # there are none
