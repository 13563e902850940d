"""The engineers' panels on the real thing: a server that answers, a job that is cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest
from visiting import wait_until

import workbench as wb
from workbench.jobs import JobCancelled
from workbench.ui import ComparisonPanel, QuantizePanel, ServePanel

pytestmark = pytest.mark.environment


def press(panel: ServePanel | QuantizePanel, action: str) -> None:
    """What a button of the page does."""
    panel._asked(panel, {"action": action, "arguments": {}}, None)
    assert panel.problems == {}


@pytest.mark.timeout(1800)
def test_a_server_is_started_asked_and_stopped_from_its_panel() -> None:
    panel = ServePanel("builtin", enforce_eager=True, max_model_len=256)
    try:
        press(panel, "start")
        wait_until(lambda: panel.state["status"] == "ready", 1500, "the server is ready")
        assert panel.state["kv_cache_tokens"] > 0
        assert panel.state["log"]
        panel.prompt = {"text": "def main(", "max_tokens": 12, "temperature": 0.0}
        assert panel.server is not None
        watching = wb.monitor(panel.server, every=0.5).wait(2, 60)
        press(panel, "ask")
        wait_until(lambda: panel.said.get("tokens"), 60, "the answer is complete")
        assert panel.said["text"].strip()
        assert panel.said["tokens"] <= 12
        assert not panel.said["busy"]
        watching.wait(len(watching.history) + 3, 60)
        watching.stop()
        seen, latest = watching.frame(), watching.latest
        assert latest is not None
        assert set(seen["state"]) == {"ready"}
        # What the engine counted between two readings is what the panel was answered.
        counted = (seen["generation_tokens_per_s"] * seen["time"].diff().dt.total_seconds()).sum()
        assert counted == pytest.approx(panel.said["tokens"], rel=0.05, abs=0.5)
        assert seen["engine_rss"].min() > 2**29
        assert seen["step_tokens"].max() >= 1
        assert latest.recent is not None
        assert latest.recent.prefix_caching is not None
        assert latest.recent.ttft is not None
        assert latest.restarts == 0
        press(panel, "smoke")
        wait_until(lambda: any(step["name"] == "metrics" for step in panel.steps), 60, "the smoke test ends")
        assert {step["status"] for step in panel.steps} <= {"passed", "skipped"}
        assert panel.server is not None
        rows = {row["quantity"]: row for row in ComparisonPanel(panel.server.plan, panel.server).rows}
        assert rows["kv_cache_tokens"]["planned"] == rows["kv_cache_tokens"]["reported"]
        press(panel, "stop")
        wait_until(lambda: panel.state["status"] == "stopped", 60, "the server has stopped")
    finally:
        if panel.server is not None:
            panel.server.stop()


@pytest.mark.timeout(1800)
def test_a_job_is_started_and_cancelled_from_its_panel(tmp_path: Path) -> None:
    panel = QuantizePanel("builtin", method="awq", out=str(tmp_path / "out"))
    press(panel, "start")
    wait_until(lambda: panel.state.get("status") == "running", 600, "the job runs")
    panel._asked(panel, {"action": "start", "arguments": {}}, None)
    assert "runs already" in panel.problems[""]
    press(panel, "cancel")
    assert panel.job is not None
    with pytest.raises(JobCancelled):
        panel.job.wait(60)
    wait_until(lambda: panel.state["status"] == "cancelled", 10, "the panel says so")
    assert list(tmp_path.iterdir()) == []
