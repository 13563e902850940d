"""How fast the planner's page is: a visit until it can be used, and a key press until it is painted."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest
from visiting import Visit

pytestmark = pytest.mark.browser
Open = Callable[..., Visit]

# From the key until the frame after the answer has been drawn. Two frames, since the first callback runs
# before its own frame is painted.
PRESS = """async (label) => {
  const slider = [...document.querySelectorAll("label")].find((l) => l.textContent === label).control;
  const answer = document.querySelector(".wb-answer");
  const value = Number(slider.value);
  const before = performance.now();
  await new Promise((done) => {
    const observer = new MutationObserver(() => { observer.disconnect(); done(); });
    observer.observe(answer, { childList: true, subtree: true, characterData: true });
    slider.value = value === Number(slider.max) ? value - 1 : value + 1;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - before;
}"""


@pytest.mark.parametrize("label", ["Context length", "Concurrent requests"])
def test_a_key_press_is_painted(visit: Open, benchmark: Any, label: str) -> None:
    page = visit().page
    times: list[float] = []
    benchmark.pedantic(lambda: times.append(page.evaluate(PRESS, label)), rounds=60, warmup_rounds=5)
    # What the page itself measured, without the way from the test to it and back.
    median = statistics.median(times)
    benchmark.extra_info["median_ms_in_the_page"] = median
    print(f"\n{label}: median {median:.1f} ms")
    assert times


def test_a_visit_until_interactive(visit: Open, benchmark: Any) -> None:
    benchmark.pedantic(visit, rounds=5)
