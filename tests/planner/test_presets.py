"""Presets: every row can be planned with, says where it comes from, and is found again."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import UnknownName
from workbench.planner.presets import SHAPE, longest_request, matching, preset, presets

FIELDS = {field.name for field in dataclasses.fields(wb.Workload)}


def test_the_workloads_that_people_ask_for_are_there():
    assert list(presets()) == ["chat", "rag", "code", "agents", "batch"]
    assert preset("agents").workload.prefix_hit > 0.9
    assert preset("code").workload.osl < preset("chat").workload.osl


@pytest.mark.parametrize("name", list(presets()))
def test_a_preset_says_where_it_comes_from(name: str):
    found = presets()[name]
    assert set(found.assumed) < FIELDS
    assert {"isl", "osl"} - set(found.assumed) or found.source == "assumed"
    assert re.search(r"github:[\w-]+/[\w.-]+ \S+@[0-9a-f]{8}", found.source)
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", found.date)


@pytest.mark.parametrize("name", list(presets()))
def test_a_preset_can_be_planned_and_is_found_again(name: str):
    workload = preset(name).workload
    plan = wb.plan("meta-llama/Llama-3.1-8B-Instruct", "H100 SXM", workload=workload)
    assert plan.performance().output_tokens_per_s.value > 0
    assert matching(workload) is preset(name)
    assert matching(dataclasses.replace(workload, concurrency=workload.concurrency + 1)) is preset(name)
    assert matching(dataclasses.replace(workload, isl=workload.isl + 1)) is None


def test_an_unknown_one_is_refused():
    with pytest.raises(UnknownName, match="unknown workload 'chats'; did you mean 'chat'"):
        preset("chats")


@given(st.integers(1, 10**5), st.integers(1, 10**4), st.floats(0, 3), st.floats(0, 3))
def test_the_longest_request_holds_the_mean(isl: int, osl: int, isl_cv: float, osl_cv: float):
    workload = wb.Workload(isl, osl, isl_cv=isl_cv, osl_cv=osl_cv)
    assert longest_request(workload) >= isl + osl
    assert set(SHAPE) <= FIELDS
