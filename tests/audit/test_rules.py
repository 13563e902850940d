"""The rules: where one verdict ends and the next begins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.audit.rules import (
    EXACT,
    ROUGH,
    Found,
    advice,
    among,
    apart,
    cards,
    middle,
    number,
    statement,
    worst,
)
from workbench.translation.result import STATUSES

ORDER = ("correct", "approximately", "outdated", "wrong")
amounts = st.floats(1e-6, 1e12)


@pytest.mark.parametrize(
    ("told", "verdict"),
    [(100, "correct"), (105, "correct"), (95, "correct"), (105.1, "approximately"), (125, "approximately"),
     (75, "approximately"), (125.1, "wrong"), (74.9, "wrong"), (-100, "wrong"), (math.inf, "wrong")],
)  # fmt: skip
def test_limits(told: float, verdict: str) -> None:
    assert number(told, 100).verdict == verdict


@pytest.mark.parametrize(("told", "verdict"), [(100, "correct"), (101, "correct"), (101.1, "wrong"), (90, "wrong")])
def test_definitions_leave_no_room(told: float, verdict: str) -> None:
    assert number(told, 100, limits=EXACT).verdict == verdict


@given(told=amounts, found=amounts, unit=st.floats(1e-3, 1e3))
def test_a_unit_does_not_matter(told: float, found: float, unit: float) -> None:
    assert math.isclose(apart(told, found), apart(told * unit, found * unit), rel_tol=1e-9, abs_tol=1e-9)


@given(told=amounts, found=amounts)
def test_definitions_are_never_judged_more_kindly(told: float, found: float) -> None:
    strict, usual = (ORDER.index(number(told, found, limits=limits).verdict) for limits in (EXACT, ROUGH))
    assert strict >= usual


@given(st.lists(st.sampled_from(ORDER), min_size=1, max_size=5))
def test_the_worst_decides(verdicts: list[str]) -> None:
    found = worst([Found(verdict, None, verdict) for verdict in verdicts])
    assert found.verdict == max(verdicts, key=ORDER.index)


@given(found=amounts)
def test_nothing_told_of_zero_but_zero_is_right(found: float) -> None:
    assert number(found, 0).verdict == "wrong"
    assert number(0, 0).verdict == "correct"


def test_one_of_several_cards_is_half_right() -> None:
    values = {"one": 100.0, "other": 200.0}
    assert [among(told, values).verdict for told in (100, 200, 150)] == ["approximately", "approximately", "wrong"]
    assert among(100, {"one": 99.0, "other": 101.0}).verdict == "correct"


@given(told=st.integers(1, 16), fewest=st.integers(1, 16))
def test_too_few_cards_are_wrong_and_too_many_are_not(told: int, fewest: int) -> None:
    expected = "wrong" if told < fewest else "correct" if told == fewest else "approximately"
    assert cards(told, fewest).verdict == expected
    assert cards(told, None).verdict == "wrong"
    assert cards(fewest, fewest, stretched=True).verdict == "approximately"


def test_a_range_is_judged_by_its_middle() -> None:
    assert middle((2, 4), 3.1).verdict == "correct"
    assert middle((2, 4), 2.1).verdict == "wrong"


@pytest.mark.parametrize(("right", "but", "verdict"), [(True, False, "correct"), (True, True, "approximately"),
                                                        (False, False, "wrong"), (False, True, "wrong")])  # fmt: skip
def test_statements(right: bool, but: bool, verdict: str) -> None:
    assert statement(right, "x", but=but).verdict == verdict


def test_every_status_of_a_translation_has_a_verdict() -> None:
    assert {advice([status], "").verdict for status in STATUSES} == {"correct", "outdated", "wrong"}
    assert advice(["kept", "default", "removed"], "").verdict == "outdated"
