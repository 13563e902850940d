"""The panel that measures, in a real browser: real loads on a stand-in server, one that fails, one that is given up."""

from __future__ import annotations

import re

import pytest
from benchmark_results import result
from playwright.sync_api import expect
from streaming_server import StreamingServer
from visiting import Visit, ask, page_of, wait_until

from workbench import builtin
from workbench.benchmark import rows

pytestmark = [pytest.mark.browser, pytest.mark.environment]

SOURCE = """
import os
os.environ["WORKBENCH_DATA"] = os.path.join(os.getcwd(), "own")
import workbench as wb
from workbench.ui import BenchPanel
plan = wb.plan("builtin", gpu="cpu", max_model_len=512, workload=wb.Workload(32, 8))
panel = BenchPanel({url!r}, plan=plan, concurrency=[1, 4], requests=16, tokenizer={tokenizer!r})
panel
"""
#: Longest wait for loads of the real tool, of which each starts a Python with vLLM in it [ms].
LOADS = 180_000


@pytest.fixture(scope="module")
def server():
    """Two answers at a time: a third waits for its first token."""
    with StreamingServer(first=0.02, gap=0.01, slots=2, owner="vllm") as running:
        yield running


@pytest.fixture(scope="module")
def served(server, tmp_path_factory):
    """The panel on a page, whose folder holds a load of another day."""
    folder = tmp_path_factory.mktemp("page")
    rows.keep([result()], folder / "measured")
    source = SOURCE.format(url=server.url, tokenizer=str(builtin.ensure()))
    with page_of(source, folder) as app:
        yield app


def test_loads_are_put_on_shown_beside_the_plan_and_learned_from(served, server, chromium):
    seen = Visit(chromium.new_page()).watch()
    page = seen.page
    page.goto(served.url)
    loads, table = (
        page.get_by_label("one load after the other"),
        page.get_by_role("region", name="Loads that were measured"),
    )
    expect(loads).to_have_value("1, 4")
    expect(page.get_by_label("Input tokens")).to_have_value("32")
    expect(page.get_by_text("1 at a time: 16 requests; 4 at a time: 16 requests")).to_be_visible()
    expect(page.get_by_role("region", name="Later plans")).to_be_hidden()
    loads.fill("1, two")
    loads.press("Enter")
    expect(page.get_by_text("whole numbers with commas")).to_be_visible()
    loads.fill("1 4")
    loads.press("Enter")
    expect(page.get_by_text("whole numbers with commas")).to_be_hidden()
    page.get_by_text("Service level").click()
    bound = page.get_by_label("First token within")
    bound.fill("60000")
    expect(page.get_by_label("The same in Python")).to_contain_text("slo=wb.ServiceLevel(ttft=60")
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.get_by_role("progressbar", name="Measuring")).to_be_visible()
    # A load is shown as soon as it is measured.
    expect(table.get_by_role("row", name=re.compile("^1 at a time"))).to_be_visible(timeout=LOADS)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.get_by_role("button", name="Measure again")).to_be_visible(timeout=LOADS)
    measured = table.locator("tbody tr")
    expect(measured).to_have_count(2)
    for row in measured.all():
        expect(row).to_contain_text("16 answered")
        expect(row).to_contain_text("plan")
        ttft, rate = (float(row.locator("td").nth(at).locator("strong").inner_text().split()[0]) for at in (0, 3))
        assert ttft >= 20  # the stand-in's own
        assert rate > 0
    expect(table).to_contain_text("★")
    expect(page.get_by_text("The service level is held by every load")).to_be_visible()
    expect(page.get_by_text("The largest load within the service level is 4 at a time")).to_be_visible()
    expect(page.get_by_text(re.compile(r"\d+ of 12 planned figures lies? inside"))).to_be_visible()
    page.get_by_text("Plan and measurement in words").click()
    expect(page.get_by_text(re.compile(r"^TPOT at 4 at a time: planned .* measured .* interval"))).to_be_visible()
    expect(page.get_by_text("Kept in measured, a file for each load")).to_be_visible()
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    page.get_by_role("button", name="Use these for the next plans").click()
    expect(page.get_by_text("on cpu, learned from 3 loads.")).to_be_visible(timeout=LOADS)
    page.get_by_text("What the plan says now").click()
    expect(page.get_by_text(re.compile(r"TPOT at 4 at a time: planned .* before and .* now"))).to_be_visible()
    for width in (1280, 420):
        page.set_viewport_size({"width": width, "height": 900})
        wait_until(lambda: ask(page, "wide") == [], 20, f"all is within {width} px")  # the chart follows
    for check in ("nameless", "dangling", "doubled"):
        assert ask(page, check) == []
    assert server.most == 2
    assert seen.errors == []
    assert seen.elsewhere() == []
    page.close()


def test_a_server_that_fails_is_told_and_one_that_hangs_given_up(served, chromium):
    seen = Visit(chromium.new_page()).watch()
    page = seen.page
    page.goto(served.url)
    box = page.get_by_label("Server", exact=True)
    begin = page.get_by_role("button", name=re.compile("^Measure"))

    def measure(url: str) -> None:
        box.fill(url)
        box.press("Enter")
        expect(page.get_by_label("The same in Python")).to_contain_text(url)
        begin.click()

    with StreamingServer(lambda _: "500") as failing:
        measure(failing.url)
        expect(page.get_by_text("HTTP 500: CUDA error")).to_be_visible()
    expect(page.locator(".wb-state")).to_have_text("failed")
    expect(page.locator(".wb-levels tbody tr")).to_have_count(0)
    with StreamingServer(lambda _: "hang") as hanging:
        measure(hanging.url)
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".wb-state")).to_have_text("cancelled")
    expect(page.get_by_text("CUDA error")).to_be_hidden()
    expect(page.get_by_role("region", name="Loads that were measured")).to_be_hidden()
    box.fill("nowhere")
    box.press("Enter")
    expect(page.locator(".wb-field", has=box).locator(".wb-problem")).to_contain_text("http://")
    assert seen.errors == []
    page.close()
