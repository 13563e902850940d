"""How fast the planner's page is: a visit until it is usable, a control moved until figures and charts are painted."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest
from visiting import Visit

# Timing needs a quiet machine, so not among the ordinary tests: `make bench` and `make soak` run it.
pytestmark = [pytest.mark.browser, pytest.mark.soak]
Open = Callable[..., Visit]

# From the moved control until the frame after the answer has been drawn, and until the frame after plotly has drawn
# what belongs to it. Two frames, since the first callback runs before its own frame is painted.
MOVE = """async ({ control, watched }) => {
  const visible = (element) => element?.getClientRects().length > 0;
  const labels = [...document.querySelectorAll("label")].filter((l) => l.textContent === control && visible(l));
  const segment = [...document.querySelectorAll(".wb-segments")].find(
    (s) => visible(s) && document.getElementById(s.getAttribute("aria-labelledby"))?.textContent === control,
  );
  const another = (radio) => !radio.checked && Number(radio.value) < 4;
  const input = labels[0]?.control ?? [...segment.querySelectorAll("input")].find(another);
  const plot = [...document.querySelectorAll(".js-plotly-plot")].find(visible);
  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const change = () => {
    if (input.type === "radio") return input.click();
    if (input.tagName === "SELECT") {
      input.selectedIndex = (input.selectedIndex + 1) % Math.min(input.options.length, 4);
      return input.dispatchEvent(new Event("change", { bubbles: true }));
    }
    // Within its range, since what is refused repaints nothing; a slider to and fro: at its end nothing may start.
    const step = Number(input.step) || 1, value = Number(input.value || 1000), most = Number(input.max || Infinity);
    input.dataset.turn = input.dataset.turn === "1" ? "0" : "1";
    const back = value + step > most || (input.type === "range" && input.dataset.turn === "0");
    input.value = Number((back ? value - step : value + step).toPrecision(6));
    return input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const before = performance.now();
  let plotted = 0;
  const onPlot = () => (plotted = performance.now());
  plot.on("plotly_afterplot", onPlot);
  // Python says that it has drawn after its last message to plotly; a chart that stays as it is draws nothing.
  const chart = new Promise((done) => {
    const observer = new MutationObserver(() => { observer.disconnect(); done(); });
    observer.observe(plot.closest(".wb-chart"), { attributeFilter: ["data-drawn"] });
  }).then(painted).then(() => Math.max(performance.now(), plotted) - before);
  const numbers = new Promise((done) => {
    const observer = new MutationObserver(() => { observer.disconnect(); done(); });
    const all = { childList: true, subtree: true, characterData: true };
    for (const element of document.querySelectorAll(watched)) if (visible(element)) observer.observe(element, all);
  }).then(painted).then(() => performance.now() - before);
  change();
  const found = { numbers: await numbers, chart: await chart, redrawn: plotted > 0 };
  plot.removeListener("plotly_afterplot", onPlot);
  await new Promise((done) => setTimeout(done, 60)); // plotly tells Python what it drew
  return found;
}"""

PLANNER = [
    "Context length", "Concurrent requests", "Input tokens", "Output tokens", "GPUs (tensor parallel)", "Quantisation",
    "Workload", "GPU memory utilisation", "Max. sequences", "KV cache type", "Each further one [ms]", "Spread of input",
]  # fmt: skip
COMPARE = ["Concurrent requests", "Input tokens", "Figure"]


def moved(page: Any, control: str, watched: str, benchmark: Any, rounds: int) -> None:
    """Move a control many times, and tell what the page itself measured, without the way to it and back."""
    times: dict[str, list[float]] = {"numbers": [], "chart": []}
    redrawn: list[bool] = []

    def once() -> None:
        found = page.evaluate(MOVE, {"control": control, "watched": watched})
        redrawn.append(found["redrawn"])
        for name, taken in times.items():
            taken.append(found[name])

    benchmark.pedantic(once, rounds=rounds, warmup_rounds=3)
    if not benchmark.enabled:  # among the tests it is moved once: figures and chart follow
        assert times["numbers"][0] > 0
        assert times["chart"][0] > 0
        return
    for name, taken in times.items():
        benchmark.extra_info[f"{name}_median_ms_in_the_page"] = statistics.median(taken[3:])
        benchmark.extra_info[f"{name}_worst_ms_in_the_page"] = max(taken[3:])
    told = ", ".join(
        f"{name} median {statistics.median(t[3:]):.1f} ms, worst {max(t[3:]):.0f}" for name, t in times.items()
    )
    print(f"\n{control}: {told}, chart changed in {sum(redrawn[3:])} of {rounds}")
    assert len(times["chart"]) >= rounds


@pytest.mark.parametrize("control", PLANNER)
def test_a_control_of_the_planner_is_moved(visit: Open, benchmark: Any, control: str) -> None:
    page = visit().page
    for summary in page.locator(".wb-choices summary").all():
        summary.click()
    page.locator(".wb-drawn").first.wait_for(timeout=30_000)
    moved(page, control, ".wb-headlines, .wb-verdict, .wb-asking, .wb-code", benchmark, 30)


@pytest.mark.parametrize("control", COMPARE)
def test_a_control_of_the_comparison_is_moved(visit: Open, benchmark: Any, control: str) -> None:
    page = visit().page
    page.get_by_role("tab", name="Compare").click()
    page.locator(".wb-compare .wb-drawn").wait_for(timeout=30_000)
    moved(page, control, ".wb-matrix-place", benchmark, 30)


def test_a_visit_until_interactive(visit: Open, benchmark: Any) -> None:
    benchmark.pedantic(visit, rounds=5)
