"""The monitor's panel without a page: what it sends, when it does not, and how it ends."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import playwright
import pytest
from standin_engine import Numbers, StandInEngine
from visiting import wait_until

import workbench as wb
from workbench.errors import InvalidInput
from workbench.ui import MonitorPanel
from workbench.ui.panel import STATIC

NODE = str(Path(playwright.__file__).parent / "driver" / ("node.exe" if sys.platform == "win32" else "node"))
EVERY = 0.1


@pytest.fixture
def engine() -> Iterator[StandInEngine]:
    with StandInEngine() as running:
        running.numbers.work()
        yield running


@pytest.fixture
def panel(engine: StandInEngine) -> Iterator[MonitorPanel]:
    made = MonitorPanel(engine.url, every=EVERY)
    yield made
    made.close()


def point(panel: MonitorPanel) -> dict[str, Any]:
    wait_until(lambda: panel.now, 10, "the first point")
    return dict(panel.now["point"])


def says(panel: MonitorPanel, action: str, **arguments: Any) -> None:
    panel._asked(panel, {"action": action, "arguments": arguments}, None)


def test_the_page_is_told_the_newest_point_and_no_history(panel: MonitorPanel, engine: StandInEngine) -> None:
    first = point(panel)
    panel.monitor.wait(12, 10)  # type: ignore[union-attr]
    wait_until(lambda: panel.now["point"]["time"] > first["time"] + 3 * EVERY, 10, "newer points")
    text = json.dumps(panel.get_state()["now"], allow_nan=False)
    assert len(text) < 6000
    assert text.count('"time"') == 1
    assert panel.now["point"]["running"] == 3
    assert panel.now["diagnosis"]["verdict"] in ("healthy", "limited")
    assert panel.about == {"url": engine.url, "running": True, "every": EVERY}


def test_nothing_is_sent_while_nobody_looks(panel: MonitorPanel) -> None:
    point(panel)
    says(panel, "look", view="a", visible=False)
    time.sleep(2 * EVERY)
    before = panel.now["point"]["time"]
    time.sleep(5 * EVERY)
    assert panel.now["point"]["time"] == before
    assert panel.monitor is not None
    assert panel.monitor.latest is not None
    assert panel.monitor.latest.time > before, "it is followed all the same"
    says(panel, "look", view="b", visible=True)
    assert panel.now["point"]["time"] > before, "who comes back is told at once"
    says(panel, "look", view="b", visible=None)
    assert not panel.seen
    says(panel, "look", view="a", visible=None)
    assert panel.seen, "a page that has not said yet whether it is seen may be"


@pytest.mark.parametrize(
    "arguments",
    [{"view": 3, "visible": True}, {"view": "x" * 99, "visible": True}, {"view": "a", "visible": "yes"}, {}],
)
def test_nonsense_from_a_page_is_refused(panel: MonitorPanel, arguments: dict[str, Any]) -> None:
    says(panel, "look", **arguments)
    assert panel.problems
    assert panel.seen
    for number in range(200):
        says(panel, "look", view=str(number), visible=False)
    assert len(panel._views) <= 50


def test_it_is_stopped_and_begun_again_from_the_page(panel: MonitorPanel, engine: StandInEngine) -> None:
    point(panel)
    says(panel, "again")
    assert panel.problems == {"": "The server is watched already."}
    says(panel, "stop")
    assert panel.problems == {}
    assert panel.about["running"] is False
    asked = engine.asked
    time.sleep(3 * EVERY)
    assert engine.asked == asked
    says(panel, "again")
    assert panel.about["running"] is True
    before = panel.now["point"]["time"]
    wait_until(lambda: panel.now["point"]["time"] > before, 10, "points come again")


def test_a_restart_is_told(panel: MonitorPanel, engine: StandInEngine) -> None:
    point(panel)
    engine.down()
    wait_until(lambda: panel.now["point"]["state"] == "unreachable", 10, "the page is told that nobody answers")
    assert "is the server running?" in panel.now["point"]["words"]
    engine.up(Numbers())
    wait_until(lambda: panel.now["point"]["restarts"] == 1, 10, "the page is told of the restart")


def test_the_python_shown_does_the_same(panel: MonitorPanel, engine: StandInEngine) -> None:
    scope: dict[str, Any] = {"wb": wb}
    exec(panel.python.replace("wait(10)", "wait(2, 10)"), scope)
    assert scope["watching"].url == panel.monitor.url  # type: ignore[union-attr]
    scope["watching"].stop()


def test_one_monitor_in_two_panels_outlives_both(engine: StandInEngine) -> None:
    monitor = wb.monitor(engine.url, every=EVERY)
    one, two = MonitorPanel(monitor), MonitorPanel(monitor)
    assert point(one)["state"] == point(two)["state"] == "ready"
    one.close()
    two.close()
    assert monitor.running, "who made it ends it"
    assert not monitor._sampler._callbacks
    monitor.stop()


def test_a_panel_that_is_closed_leaves_nothing(engine: StandInEngine) -> None:
    panel = MonitorPanel(engine.url, every=EVERY)
    point(panel)
    assert panel.monitor is not None
    thread, gone = panel.monitor._thread, weakref.ref(panel)
    panel.close()
    thread.join(5)
    assert not thread.is_alive()
    del panel
    wait_until(lambda: gc.collect() >= 0 and gone() is None, 5, "the panel is forgotten")


def test_it_follows_another_and_keeps_no_server_alive(engine: StandInEngine) -> None:
    panel = MonitorPanel()
    assert panel.about == {"url": "", "running": False, "every": 1.0}
    says(panel, "again")
    assert "nothing was watched" in panel.problems[""].lower()
    server = wb.serve(engine.url)
    panel.watch(server, every=EVERY)
    gone = weakref.ref(server)
    del server
    wait_until(lambda: gc.collect() >= 0 and gone() is None, 5, "nobody holds the server")
    wait_until(lambda: panel.now and panel.now["point"]["state"] == "stopped", 10, "its end is told")
    wait_until(lambda: not panel.about["running"], 10, "and the button says so")
    with pytest.raises(InvalidInput):
        panel.watch("nonsense")
    panel.close()


def test_lines_are_broken_where_nothing_is_known_and_scales_are_round(tmp_path: Path) -> None:
    script = tmp_path / "live.mjs"
    part = json.dumps((STATIC / "parts" / "live.js").as_uri())
    script.write_text(
        f"import {{ path, roundUp }} from {part};\n"
        "const at = { now: 10, span: 10, top: 2, gap: 3 };\n"
        "console.log(JSON.stringify([[0, 0.3, 1, 1.2, 4, 99, 100, 101].map(roundUp), path([0, 5, 10], [0, 1, 2], at),"
        " path([8, 9, 10], [0, 1, 2], at), path([7, 8, 9, 10], [0, 1, null, 9], at), path([-1, 5], [1, 1], at)]));",
        encoding="utf-8",
    )
    done = subprocess.run([NODE, str(script)], capture_output=True, text=True, check=True)
    scales, far, near, broken, old = json.loads(done.stdout)
    assert scales == [1, 0.5, 1, 2, 5, 100, 100, 200]
    assert far == "M0.0 64.0M150.0 32.0M300.0 0.0", "points further apart than the gap are not joined"
    assert near == "M240.0 64.0L270.0 32.0L300.0 0.0"
    assert broken == "M210.0 64.0L240.0 32.0M300.0 0.0", "beyond the scale a line lies at its end"
    assert old == "M150.0 32.0"
