"""The panel that measures, without a page: what may be chosen, a server that fails or hangs, what is learned."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import traitlets
from benchmark_results import TIMES, result
from streaming_server import StreamingServer
from waiting import until

import workbench as wb
from workbench.benchmark import rows
from workbench.benchmark.bench import Benchmark
from workbench.benchmark.load import LoadLevel, LoadResult
from workbench.benchmark.planned import beside
from workbench.errors import WorkbenchError
from workbench.performance import here
from workbench.ui import BenchPanel
from workbench.ui.bench_chart import figure

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def plan() -> wb.Plan:
    return wb.plan("builtin", gpu="cpu", max_model_len=512, workload=wb.Workload(96, 24, isl_cv=0.2))


def at(concurrency: int, tpot: float) -> LoadResult:
    """A load of the built-in model, as if its tokens took that long [s]."""
    times = replace(TIMES, mean=tpot, p95=tpot * 1.5)
    level = LoadLevel(wb.Workload(64, 16, concurrency), requests=32, seed=concurrency)
    return result(level=level, tpot=times, itl=times, ttft=replace(TIMES, mean=0.03 * concurrency))


def test_the_plans_own_workload_is_offered_and_the_call_is_shown(plan):
    panel = BenchPanel(NOWHERE, plan=plan, concurrency=[2, 1], requests=20)
    assert (panel.choice["isl"], panel.choice["osl"], panel.choice["isl_cv"]) == (96, 24, 0.2)
    assert panel.loads == [{"label": "2 at a time", "requests": 20}, {"label": "1 at a time", "requests": 20}]
    panel.choice = {"loads": "1, 2  4;4", "sweep": True, "tpot": 0.05}
    assert panel.choice["loads"] == [1, 2, 4]
    assert panel.python.startswith(
        f"found = wb.bench('{NOWHERE}', plan=plan, workload=wb.Workload(isl=96, osl=24, isl_cv=0.2), "
        "concurrency=[1, 2, 4], sweep=True, slo=wb.ServiceLevel(tpot=0.05, percentile=95), requests=20, out='measured')"
    )
    panel.choice = {"kind": "request_rate", "loads": "0.5 2", "requests": None}
    assert [load["label"] for load in panel.loads] == ["0.5 a second", "2 a second"]
    assert "request_rate=[0.5, 2.0]" in panel.python


@pytest.mark.parametrize(
    ("change", "says", "field"),
    [
        ({"loads": "one"}, "whole numbers with commas", "loads"),
        ({"loads": ""}, "whole numbers with commas", "loads"),
        ({"loads": "1.5"}, "whole numbers with commas", "loads"),
        ({"loads": "0"}, "at least 1", "loads"),
        ({"loads": [True]}, "whole numbers", "loads"),
        ({"loads": list(range(1, 99))}, "At most 50", "loads"),
        ({"kind": "request_rate", "loads": "nan"}, "above 0", "loads"),
        ({"requests": 3}, "never fill a concurrency of 4", "requests"),
        ({"isl": None}, "number of input tokens is empty", "isl"),
        ({"osl": 0}, "at least 1", "osl"),
        ({"prefix_hit": 2}, "at most 1", "prefix_hit"),
        ({"ttft": -1}, "above 0", "ttft"),
        ({"percentile": 97}, "one of 50, 90, 95, 99", "percentile"),
        ({"sweep": 1}, "yes or no", "sweep"),
        ({"url": "localhost:8000"}, "http://", "url"),
        ({"out": 3}, "a text", "out"),
        ({"colour": "red"}, "no 'colour'", "colour"),
    ],
)
def test_what_cannot_be_asked_is_told_at_its_field(change, says, field):
    panel = BenchPanel(NOWHERE, concurrency=[1, 2, 4])
    before, loads = panel.choice, panel.loads
    with pytest.raises(traitlets.TraitError, match=says):
        panel.choice = change
    assert (panel.choice, panel.loads) == (before, loads)
    assert panel.set_state({"choice": {**before, **change}}) is True
    assert says in panel.problems[field]


def test_a_server_that_fails_is_a_sentence_and_no_table(tmp_path):
    with StreamingServer(lambda _: "500") as server:
        panel = BenchPanel(server.url, workload=wb.Workload(8, 4), out=tmp_path / "kept")
        panel.start()
        with pytest.raises(WorkbenchError, match="HTTP 500: CUDA error"):
            panel.wait(30)
    until(lambda: panel.state["status"] == "failed")
    assert "CUDA error" in panel.state["error"]
    assert panel.rows == []
    assert not (tmp_path / "kept").exists()
    panel._asked(None, {"action": "correct", "arguments": {}}, None)
    assert "measure first" in panel.problems[""]
    nobody = BenchPanel()
    nobody._asked(None, {"action": "start", "arguments": {}}, None)
    assert "Name the server's address" in nobody.problems["url"]


def test_a_server_that_hangs_is_cancelled_at_once(tmp_path):
    with StreamingServer(lambda _: "hang") as server:
        panel = BenchPanel(server.url, workload=wb.Workload(8, 4), out=tmp_path / "kept")
        panel.start()
        until(lambda: server.bodies)
        with pytest.raises(WorkbenchError, match="measured already"):
            panel.start()
        begin = time.monotonic()
        panel.cancel()
        until(lambda: panel.state["status"] == "cancelled")
        assert time.monotonic() - begin < 5
    assert panel.rows == []
    assert not panel.running


def test_what_was_measured_before_a_load_that_fails_is_shown_and_kept(plan, tmp_path, monkeypatch):
    left = [at(1, 0.01)]

    def put(*_, **__):
        if not left:
            raise WorkbenchError("the server failed 9 of 16 requests")
        return left.pop()

    monkeypatch.setattr("workbench.benchmark.bench.put", put)
    with StreamingServer() as server:
        panel = BenchPanel(server.url, plan=plan, concurrency=[1, 2], out=tmp_path / "kept")
        panel.start()
        with pytest.raises(WorkbenchError, match="failed 9 of 16"):
            panel.wait(30)
    until(lambda: panel.state["status"] == "failed")
    assert [row["load"] for row in panel.rows] == ["1 at a time"]
    assert panel.state["kept"] == f"What was measured until then is shown, and kept in {tmp_path / 'kept'}."
    assert panel.state["table"] is False
    assert rows.read(tmp_path / "kept") == [at(1, 0.01)]
    assert len((tmp_path / "kept" / rows.TABLE).read_text().splitlines()) == 2


def test_a_key_is_never_shown():
    with StreamingServer(lambda _: "500", key="geheim") as server:
        panel = BenchPanel(server.url, workload=wb.Workload(8, 4))
        panel._asked(None, {"action": "key", "arguments": {"value": "geheim\n"}}, None)
        assert "ASCII" in panel.problems["key"]
        panel._asked(None, {"action": "key", "arguments": {"value": "geheim"}}, None)
        assert panel.about["key"] is True
        assert "api_key=API_KEY" in panel.python
        panel.start()
        with pytest.raises(WorkbenchError, match="CUDA error"):
            panel.wait(30)
        assert server.keys[-1] == "Bearer geheim"
    until(lambda: panel.state["status"] == "failed")
    assert "geheim" not in json.dumps(panel.get_state(), default=str)


def test_the_plan_of_one_server_is_not_held_against_another(plan):
    panel = BenchPanel(plan)
    assert panel.about["source"] == "builtin, started for it and stopped"
    assert panel.python.startswith("found = wb.bench(plan, workload=")
    panel.choice = {"url": "http://elsewhere:8000"}
    assert "plan" not in panel.python


def test_what_was_measured_is_shown_beside_the_plan(plan):
    results = (at(1, 0.004), at(2, 0.5))
    slo = wb.ServiceLevel(tpot=0.1, percentile=95)
    planned = tuple(each for one in results for each in beside(plan, one))
    found = Benchmark(results, slo, results[0], "at 2 at a time, TPOT p95 750 ms is above 100 ms", planned)
    panel = BenchPanel(NOWHERE, plan=plan)
    assert panel.chart == ""
    panel.show(found)
    until(lambda: panel.state["status"] == "done")
    first, second = panel.rows
    assert (first["load"], first["within"], first["broken"]) == ("1 at a time", True, "")
    assert (second["within"], second["broken"]) == (False, "TPOT p95 750 ms is above 100 ms")
    assert second["tpot"] == {"mean": 0.5, "p95": 0.75}
    assert second["plan"]["tpot"]["inside"] is False
    assert panel.state["planned"] == [each.sentence for each in planned]
    held = sum(each.inside for each in planned)
    assert panel.state["agreement"].startswith(f"{held} of {len(planned)} planned figures")
    assert (
        "The largest load within the service level is 1 at a time: 64.0 output tokens/s." in panel.state["conclusions"]
    )
    assert panel.state["remarks"] == ["one remark"]
    assert panel.state["table"] is False
    until(lambda: panel.chart)
    assert panel.chart == f"anywidget:{panel._chart.model_id}"
    measured = [trace for trace in panel._chart.data if trace.customdata is not None]
    assert [list(trace.y) for trace in measured] == [[0.03, 0.06], [0.004, 0.5], [64.0, 64.0]]
    assert measured[1].marker.symbol[1] == "diamond"  # outside
    assert figure([{**first, "plan": {}, "tpot": None}]).data


def test_what_was_measured_is_used_for_later_plans(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "own"))
    results = tuple(at(n, 0.02 + 0.002 * n) for n in (1, 2, 4))
    table = rows.keep(results, tmp_path / "kept")
    planned = tuple(each for one in results for each in beside(plan, one))
    panel = BenchPanel(NOWHERE, plan=plan)
    panel.show(Benchmark(results, planned=planned, folder=tmp_path / "kept", table=table))
    until(lambda: panel.state["table"])
    assert panel.state["kept"].endswith("and all of them in serving_latency.csv.")
    panel.correct()
    until(lambda: panel.correction["status"] != "running", 60)
    said = panel.correction["said"]
    assert said[0] == "vllm 0.32.0 on cpu, learned from 3 loads."
    assert f"Kept in {tmp_path / 'own' / 'performance.csv'}" in said[-1]
    tpot = next(line for line in panel.correction["changes"] if line.startswith("TPOT at 4 at a time"))
    before = next(each for each in planned if (each.load, each.quantity) == ("4 at a time", "tpot"))
    assert f"planned {before.show(before.planned.value)} before and " in tpot
    assert tpot.endswith("now, measured 28 ms.")
    now = next(each for each in beside(plan, results[2]) if each.quantity == "tpot")
    assert now.planned.basis == "measured here"
    assert now.inside
    assert here.forget("vllm", "cpu")
    panel.show(Benchmark(results[:1], planned=()))
    until(lambda: not panel.state["table"])
    panel.correct()
    until(lambda: panel.correction["status"] != "running", 60)
    assert panel.correction["error"].startswith("There is no table to learn from")
