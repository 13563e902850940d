"""Demand over the day, growth, replicas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cost import Demand, demand, demands, growth, schedule
from workbench.cost.days import months_until
from workbench.cost.load import replicas
from workbench.cost.users import concurrency_of_rate, concurrency_of_users, rate_of_users
from workbench.errors import InvalidInput, UnknownName

days = st.lists(st.floats(0.1, 10), min_size=24, max_size=24).flatmap(
    lambda raw: st.builds(Demand, st.just(tuple(x / sum(raw) for x in raw)), st.floats(0, 2))
)
rates = st.floats(0.01, 1000)
capacities = st.floats(0.5, 100)


def test_the_bundled_days() -> None:
    assert set(demands()) == {"office hours", "global", "flat"}
    for day in demands().values():
        assert sum(day.shares) == pytest.approx(1)
        assert day.source
    assert demand("flat").peak_to_mean == pytest.approx(1, abs=1e-9)
    office, everywhere = demand("office hours"), demand("global")
    assert office.peak_to_mean > everywhere.peak_to_mean > 1
    assert office.weekend < everywhere.weekend < 1
    # Read off the coding trace's plot: about 5,040 requests a minute at 19 h on a weekday, 2,080 on its mean weekday.
    assert 24 * max(office.shares) == pytest.approx(5040 / 2080, rel=0.1)
    with pytest.raises(UnknownName, match="office hours"):
        demand("night")


def test_a_day_must_be_a_day() -> None:
    for shares in ((1.0,), (0.1,) * 24, (-1.0, 2.0) + (0.0,) * 22):
        with pytest.raises(InvalidInput, match="24"):
            Demand(shares)


@given(days, st.integers(-50, 50), rates)
def test_a_week_has_the_mean_it_was_asked_for(day: Demand, hours: int, mean: float) -> None:
    week = [*day.weekday(mean)] * 5 + [day.weekend * rate for rate in day.weekday(mean)] * 2
    assert sum(week) / len(week) == pytest.approx(mean)
    assert max(day.weekday(mean)) == pytest.approx(mean * day.peak_to_mean)
    moved = day.shifted(hours)
    assert sorted(moved.shares) == sorted(day.shares)
    assert moved.shares[hours % 24] == day.shares[0]


@given(rates, capacities, days, st.integers(1, 8), st.floats(0.3, 1), st.integers(0, 2))
def test_every_hour_has_enough_and_not_one_too_many(
    mean: float, capacity: float, day: Demand, gpus: int, target: float, spare: int
) -> None:
    scaled = schedule(mean, capacity, day, gpus, autoscale=True, target=target, spare=spare)
    fixed = schedule(mean, capacity, day, gpus, target=target, spare=spare)
    for rate, count in zip(day.weekday(mean), scaled.weekday, strict=True):
        assert (count - spare) * capacity * target >= rate * (1 - 1e-6)
        assert count - spare == 1 or (count - spare - 1) * capacity * target < rate
    assert fixed.replicas == scaled.replicas
    assert set(fixed.weekday) == {fixed.replicas}
    assert scaled.gpu_hours <= fixed.gpu_hours * (1 + 1e-12)
    assert fixed.gpu_hours == pytest.approx(fixed.gpus * 730)
    assert fixed.utilization <= scaled.utilization * (1 + 1e-12)
    assert fixed.utilization <= 1 + 1e-6


def test_a_flat_day_gains_nothing_by_scaling() -> None:
    assert schedule(10, 3, "flat").gpu_hours == schedule(10, 3, "flat", autoscale=True).gpu_hours == 4 * 730


def test_spare_replicas() -> None:
    assert replicas(0, 5) == 1
    assert replicas(0, 5, least=0) == 0
    assert replicas(15, 5) == 3  # not four, whatever the floats say
    assert replicas(0.3, 0.1) == 3
    assert replicas(15, 5, spare=1) == 4
    with pytest.raises(InvalidInput, match="capacity"):
        replicas(1, 0)
    with pytest.raises(InvalidInput, match="target"):
        replicas(1, 1, target=1.2)


def test_users() -> None:
    assert rate_of_users(3600, 2) == 2
    assert concurrency_of_users(200, 0.051) == 11
    assert concurrency_of_users(10, 0.0) == 1
    assert concurrency_of_users(100, 0.1, in_flight=3) == 30
    assert concurrency_of_rate(0.5, 12) == 6
    with pytest.raises(InvalidInput, match="active_share"):
        concurrency_of_users(10, 1.5)


@given(st.floats(0.1, 100), st.floats(0.001, 0.5), st.integers(0, 60))
def test_growth_reaches_what_it_says(rate: float, per_month: float, months: int) -> None:
    path = growth(rate, per_month, months)
    assert len(path) == months + 1
    assert list(path) == sorted(path)
    until = months_until(rate, path[-1], per_month)
    assert until is not None
    assert until == pytest.approx(months, abs=1e-6)


def test_growth_may_shrink_but_not_vanish() -> None:
    assert growth(10, -0.5, 2) == (10, 5, 2.5)
    assert months_until(10, 5, 0.0) == 0
    assert months_until(10, 20, -0.1) is None
    for wrong in (-1.0, math.nan):
        with pytest.raises(InvalidInput, match="per_month"):
            growth(10, wrong, 2)
