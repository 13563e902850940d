"""Speculative decoding in a plan: it pays while steps are bound by memory, and no longer when they compute."""

from __future__ import annotations

import pytest

import workbench as wb

MODEL = "meta-llama/Llama-3.1-70B-Instruct"


def tpot(concurrency, acceptance=0.6, **fields):
    load = wb.Workload(1000, 300, concurrency, acceptance=acceptance)
    plan = wb.plan(MODEL, "H100 SXM", tensor_parallel_size=4, max_model_len=8192, workload=load, **fields)
    return plan.performance().tpot


def ngram(tokens):
    return {"speculative_config": {"method": "ngram", "num_speculative_tokens": tokens}}


def test_it_pays_for_one_request_by_about_the_tokens_a_step_emits():
    emitted = (1 - 0.6**5) / (1 - 0.6)
    assert tpot(1).value / tpot(1, **ngram(4)).value == pytest.approx(emitted, rel=0.05)


def test_it_stops_paying_as_the_batch_grows():
    gains = [tpot(n).value / tpot(n, **ngram(4)).value for n in (1, 16, 64, 256)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 2
    assert gains[-1] < 1


def test_nothing_accepted_only_costs():
    assert tpot(64, acceptance=0.0, **ngram(4)).value > tpot(64).value


def test_what_nobody_measured_says_so():
    """How many drafts are accepted depends on the text: the interval is wider, and the basis weaker."""
    plain, drafted = tpot(4), tpot(4, **ngram(4))
    assert (plain.basis, drafted.basis) == ("calibrated", "roofline")
    assert drafted.high / drafted.value > plain.high / plain.value
