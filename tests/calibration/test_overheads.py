"""An engine's overheads are found again from measurements made of them, and beliefs hold where there are none."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from benchmark_rows import measured

from workbench.calibration.overheads import PRIORS, beliefs, errors, fit, learn, samples
from workbench.datafiles import read_rows
from workbench.errors import InvalidInput
from workbench.hardware import gpu
from workbench.performance.constants import Overheads, overheads, read, row


def test_overheads_are_found_again():
    known = overheads("vllm", gpu("H100 SXM"))
    truth = replace(known, step=400e-6, ttft=60e-3, gemm=1.2)
    held = samples(measured(truth), None, "vllm")
    few = {name: PRIORS[name] for name in ("step", "ttft", "gemm")}
    found = fit(held, known, few, strength=0.01)
    for name in few:
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=0.05), name
    assert abs(errors(held, found)["tpot"]).max() < 0.01


def test_beliefs_hold_where_nothing_is_measured():
    """No row has recurrences or latent attention: their constants stay what is believed."""
    known = overheads("vllm", gpu("H100 SXM"))
    found = fit(samples(measured(known), None, "vllm"), known, PRIORS, strength=2.0)
    assert found.latent == pytest.approx(PRIORS["latent"][0], rel=0.02)
    assert found.state == pytest.approx(PRIORS["state"][0], rel=0.02)


def test_what_is_learned_is_a_row_of_the_table():
    known = overheads("vllm", gpu("H100 SXM"))
    learned = learn(measured(known), strength=2.0)
    assert learned.errors["tpot"]["median"] < 0.05
    assert learned.overheads.spread_tpot >= 0
    columns = set(read_rows("performance.csv")[0])
    assert set(learned.row()) == columns
    again = read(learned.row())
    for each in fields(Overheads):
        ours = getattr(learned.overheads, each.name)
        assert getattr(again, each.name) == (ours if each.name == "basis" else pytest.approx(ours, rel=0.01)), each.name


def test_a_row_reads_back_as_it_was():
    for cells in read_rows("performance.csv"):
        assert read(row(read(cells))) == read(cells)


def test_other_engines_are_believed_to_be_like_vllm():
    assert beliefs("sglang")["gemm"][0] == overheads("vllm", gpu("MI300X")).gemm
    assert beliefs("sglang")["gemm"][1] > PRIORS["gemm"][1]


def test_nothing_to_learn_from():
    with pytest.raises(InvalidInput, match="no rows of sglang"):
        learn(measured(overheads("vllm", gpu("H100 SXM")))[:1], engine="sglang")
