"""The monitor's panel in a real browser: what it shows, through restarts, hidden and seen again; that it stays small.

The long form of the last (``make soak``) watches ten minutes at a reading a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page, expect
from standin_engine import Numbers, StandInEngine
from visiting import App, Visit, ask, page_of, wait_until

from workbench.quantities import MIB

pytestmark = pytest.mark.browser

#: Two cards that NVML does not have here, so that their table is drawn too.
CARDS = """
import sys
sys.path.insert(0, {tests!r})
from standin_nvml import Card, FakeNVML
cards = [Card("NVIDIA L40S", 46068, used_mib=42_000 + 900 * n, nvmlDeviceGetPowerUsage=287_500,
              nvmlDeviceGetCurrentClocksEventReasons=4 * n) for n in range(2)]
"""
HIDE = """hidden => {
    const get = () => (hidden ? "hidden" : "visible");
    Object.defineProperty(document, "visibilityState", { configurable: true, get });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
CELL = "from workbench.ui import MonitorPanel\n{before}\nMonitorPanel({url!r}, every={every}{more})"


@dataclass
class Watched:
    """A page with the panel, and the engine it follows."""

    app: App
    engine: StandInEngine


class Load:
    """Work for the engine, some of it each moment, until it is told to rest."""

    def __init__(self, engine: StandInEngine, every: float = 0.1) -> None:
        self.engine, self.every = engine, every
        self.end = threading.Event()

    def __enter__(self) -> Load:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self) -> None:
        while not self.end.wait(self.every):
            self.engine.numbers.work()

    def __exit__(self, *_: object) -> None:
        self.end.set()
        self.thread.join()


def served(folder: Path, every: float, *, cards: bool = False) -> Iterator[Watched]:
    with StandInEngine() as engine:
        before = CARDS.format(tests=str(Path(__file__).parents[1])) if cards else ""
        source = CELL.format(
            before=before, url=engine.url, every=every, more=", nvml=FakeNVML(*cards)" if cards else ""
        )
        with page_of(source, folder) as app:
            yield Watched(app, engine)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    yield from served(tmp_path_factory.mktemp("monitor"), 0.2, cards=True)


def opened(app: App, chromium: BrowserContext, frames: list[str] | None = None) -> Visit:
    """A page with the panel drawn; what its kernel sends is added to `frames`."""
    page = chromium.new_page()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    if frames is not None:
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data)[:200])))
    visit = Visit(page).watch()
    page.goto(app.url)
    page.locator(".wb-monitor .wb-livechart").first.wait_for(timeout=60_000)
    return visit


def lines(page: Page) -> int:
    """Corners of the line of the first chart."""
    return int(page.evaluate("document.querySelector('.wb-liveline').getAttribute('d').split(/[ML]/).length - 1"))


# ---- what it shows


def test_an_engine_at_work_is_drawn_and_called_what_it_is_on_wide_and_narrow_pages(
    watched: Watched, chromium: BrowserContext
) -> None:
    with Load(watched.engine):
        seen = opened(watched.app, chromium)
        page = seen.page
        expect(page.locator(".wb-headline", has_text="requests running").locator(".wb-value")).to_have_text("3")
        expect(page.locator(".wb-headline", has_text="of the KV cache").locator(".wb-value")).to_have_text("20%")
        expect(page.locator(".wb-livechart", has_text="Tokens").locator("b").first).to_contain_text("/s")
        wait_until(lambda: lines(page) >= 8, 20, "the line grows")
        assert page.locator(".wb-livechart").count() >= 6
        expect(page.locator(".wb-verdict h2")).to_have_text("Healthy", timeout=20_000)
        table = page.get_by_role("region", name="Cards")
        expect(table.locator("tbody tr")).to_have_count(2)
        expect(table).to_contain_text("41.9 of 45.0 GiB")
        expect(table).to_contain_text("lowered: power")
        expect(page.locator(".wb-livechart", has_text="the busiest and the fullest")).to_be_visible()
        for check in ("nameless", "dangling", "doubled", "wide"):
            assert ask(page, check) == []
        assert seen.errors == []
        assert seen.elsewhere() == []
        watched.engine.numbers.preemptions.inc(50)
        expect(page.locator(".wb-verdict h2")).to_have_text("Limited: memory")
        expect(page.locator(".wb-findings > li").first).to_contain_text("--gpu-memory-utilization")
        for scheme, card in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(24, 30, 42)")):
            page.set_viewport_size({"width": 420, "height": 900})
            page.emulate_media(color_scheme=scheme)
            expect(page.locator(".wb-card")).to_have_css("background-color", card)
            assert ask(page, "wide") == []
    page.get_by_role("button", name="Stop watching").click()
    page.get_by_role("button", name="Watch again").click()
    expect(page.get_by_role("button", name="Stop watching")).to_be_visible()
    page.close()


def test_a_restart_is_followed_and_a_hidden_page_is_sent_nothing(watched: Watched, chromium: BrowserContext) -> None:
    frames: list[str] = []
    seen = opened(watched.app, chromium, frames)
    page = seen.page
    wait_until(lambda: lines(page) >= 3, 20, "the line grows")
    watched.engine.down()
    expect(page.locator(".wb-state")).to_have_text("does not answer")
    expect(page.locator(".wb-verdict h2")).to_have_text("Not known")
    watched.engine.up(Numbers())
    expect(page.locator(".wb-state")).to_have_text("answers")
    expect(page.locator(".wb-source")).to_contain_text("began anew")
    # Nothing is drawn across the time in which nobody answered.
    line = page.locator(".wb-liveline").first
    wait_until(lambda: (line.get_attribute("d") or "").count("M") >= 2, 20, "the line begins anew")

    page.evaluate(HIDE, True)
    page.wait_for_timeout(600)
    frames.clear()
    page.wait_for_timeout(1600)
    assert len(frames) <= 2, "eight points were due"
    page.evaluate(HIDE, False)
    page.wait_for_timeout(1600)
    assert len(frames) >= 4
    assert seen.errors == []
    page.close()


# ---- that it stays small


@dataclass
class Sizes:
    """What a page and its kernel hold, after the page has thrown away what it does not need [bytes]."""

    heap: float
    nodes: int
    rss: int


def sizes(page: Page, cdp: CDPSession, kernel: psutil.Process) -> Sizes:
    for _ in range(2):
        cdp.send("HeapProfiler.collectGarbage")
    heap = cdp.send("Runtime.getHeapUsage")["usedSize"]
    nodes = page.evaluate("document.querySelectorAll('*').length")
    return Sizes(float(heap), int(nodes), kernel.memory_info().rss)


def stays_small(
    shown: Watched,
    chromium: BrowserContext,
    *,
    seconds: float,
    warm_up: float,
    restart_each: float,
    tell: Callable[[str], None],
) -> tuple[Sizes, Sizes, int]:
    """Watch for so long, the engine restarting; the sizes once warm and at the end, and the restarts that were seen."""
    seen = opened(shown.app, chromium)
    page = seen.page
    kernel = shown.app.kernels()[seen.kernel_id()]
    cdp = page.context.new_cdp_session(page)
    cdp.send("HeapProfiler.enable")
    begin = time.monotonic()
    first: Sizes | None = None
    next_restart, next_told = restart_each, 0.0
    with Load(shown.engine):
        while (passed := time.monotonic() - begin) < seconds:
            page.wait_for_timeout(200)
            if first is None and passed >= warm_up:
                first = sizes(page, cdp, kernel)
            if passed >= next_restart:
                next_restart += restart_each
                shown.engine.down()
                page.wait_for_timeout(min(2500, 100 * restart_each))
                shown.engine.up(Numbers())
            if passed >= next_told:
                next_told += 60
                now = sizes(page, cdp, kernel)
                tell(
                    f"{passed:5.0f} s  heap {now.heap / MIB:.2f} MiB  nodes {now.nodes}  kernel {now.rss / MIB:.1f} MiB"
                )
        expect(page.locator(".wb-state")).to_have_text("answers")
        said = page.locator(".wb-source").inner_text()
    last = sizes(page, cdp, kernel)
    assert first is not None
    assert seen.errors == []
    page.close()
    times = [int(word) for word in said.split() if word.isdigit()]
    return first, last, times[0] if times else int("once" in said)


def test_page_and_kernel_stay_small_while_the_engine_restarts(watched: Watched, chromium: BrowserContext) -> None:
    """The short form: fifty readings in ten seconds."""
    first, last, restarts = stays_small(
        watched, chromium, seconds=10, warm_up=4, restart_each=3, tell=lambda _: None
    )  # fmt: skip
    assert restarts >= 2
    assert last.heap - first.heap < 1 * MIB
    assert last.nodes == pytest.approx(first.nodes, abs=60)  # a finding that comes or goes
    assert last.rss - first.rss < 8 * MIB


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_ten_minutes_at_a_reading_a_second(
    tmp_path: Path, chromium: BrowserContext, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    for shown in served(tmp_path, 1.0):
        first, last, restarts = stays_small(shown, chromium, seconds=600, warm_up=60, restart_each=45, tell=tell)
    tell(f"from {first} to {last}, {restarts} restarts seen")
    assert restarts >= 10
    assert last.heap - first.heap < 1 * MIB
    assert last.nodes == pytest.approx(first.nodes, abs=60)
    assert last.rss - first.rss < 8 * MIB
