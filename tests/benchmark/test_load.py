"""A load and its result as plain data: nothing is lost on the way to a file and back, and nothing empty is a result."""

import csv
import dataclasses
import doctest
import json

import pytest
from benchmark_results import result
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.benchmark import load, rows
from workbench.benchmark.load import LoadLevel, LoadResult, Served, Target
from workbench.errors import InvalidInput
from workbench.evidence import validate


def test_examples_hold():
    assert doctest.testmod(load).attempted > 0
    assert doctest.testmod(load).failed == 0


@given(
    st.integers(1, 64),
    st.one_of(st.none(), st.floats(0.01, 1e3)),
    st.floats(0, 0.5),
    st.floats(1e-6, 1e6),
    st.one_of(st.none(), st.builds(Served, kv_cache_usage=st.one_of(st.none(), st.floats(0, 1)))),
)
def test_a_result_survives_json(concurrency, rate, spread, seconds, served):
    workload = wb.Workload(100, 20, concurrency, request_rate=rate, isl_cv=spread)
    made = result(level=LoadLevel(workload, 64, seed=3), seconds=seconds, served=served)
    again = LoadResult.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert again.level.planned().requests == (None if rate else 64)


def test_what_follows_is_of_whole_requests():
    made = result()
    assert (made.requests_per_s, made.output_tokens_per_s, made.total_tokens_per_s) == (4.0, 64.0, 320.0)
    assert (made.isl, made.osl) == (64, 16)
    assert result(completed=30, failed=10).failed_share == 0.25


@pytest.mark.parametrize(
    "change", [{"completed": 0}, {"output_tokens": 0}, {"seconds": 0.0}, {"seconds": float("nan")}]
)
def test_nothing_empty_is_a_result(change):
    with pytest.raises(InvalidInput):
        result(**change)


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema_version": 2},
        {"level": None},
        {"ttft": {"mean": 1}},
        {"tool": {}},
        {"extra": 1},
    ],
)
def test_a_damaged_result_is_refused(wrong):
    with pytest.raises(InvalidInput):
        LoadResult.from_json(result().to_json() | wrong)


@pytest.mark.parametrize("fields", [{"requests": 0}, {"requests": 3}, {"requests": 8, "seed": -1}, {"requests": True}])
def test_a_level_that_cannot_be(fields):
    with pytest.raises(InvalidInput):
        LoadLevel(wb.Workload(10, 10, 4), **fields)


def test_a_service_level_is_held_or_the_bound_is_named():
    made = result()
    assert made.breaks(wb.ServiceLevel(ttft=0.2)) == ""
    assert made.breaks(wb.ServiceLevel(ttft=0.2, percentile=95)) == "TTFT p95 350 ms is above 200 ms"
    assert "TPOT p99 40 ms" in made.breaks(wb.ServiceLevel(tpot=0.03, percentile=99))
    assert "are below" in made.breaks(wb.ServiceLevel(output_tokens_per_s=100))
    with pytest.raises(InvalidInput, match="is not kept; ask for one of 50, 90, 95, 99"):
        made.breaks(wb.ServiceLevel(ttft=1, percentile=97))


def test_a_folder_of_results_is_a_file_of_measurements(tmp_path):
    results = [result(concurrency=c, target=dataclasses.replace(result().target)) for c in (1, 2, 4)]
    rate = result(level=LoadLevel(wb.Workload(64, 16, request_rate=2.0), 32))
    table = rows.keep([*results, rate], tmp_path)
    with table.open() as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == list(rows.COLUMNS)
    assert [line["concurrency"] for line in found] == ["1", "2", "4"]  # a rate has none
    assert {(line["isl"], line["osl"], line["ttft_ms"], line["tpot_ms"]) for line in found} == {
        ("64", "16", "200.0000", "20.0000")
    }
    assert sorted(rows.read(tmp_path), key=repr) == sorted([*results, rate], key=repr)
    checked = validate("latency", table)
    assert (checked.to_dict()["covered"], checked.refused) == (3, [])
    rows.keep([result()], tmp_path)  # what was measured before stays
    assert len(rows.read(tmp_path)) == 5


def test_a_damaged_file_among_results_is_named(tmp_path):
    rows.keep([result()], tmp_path)
    (tmp_path / "load-0.json").write_text("{")
    with pytest.raises(InvalidInput, match=r"load-0\.json is not the result of a benchmark"):
        rows.keep([result()], tmp_path)


def test_what_nobody_named_is_no_row():
    assert rows.row(result(target=Target("http://h", "m"))) is None
    assert rows.row(result(tpot=None)) is None


@pytest.mark.parametrize(
    "change",
    [{"served": Served(prefix_hit=0.4)}, {"level": LoadLevel(wb.Workload(64, 16, 2, prefix_hit=0.5), 32)}],
)
def test_prompts_that_a_cache_held_are_no_row(change):
    assert rows.row(result(**change)) is None
    assert rows.row(result(served=Served(prefix_hit=0.01))) is not None
