"""Buying against renting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workbench.cost import Ownership, buy_or_rent
from workbench.cost.break_even import break_even_utilization
from workbench.cost.ownership import energy_usd, owned
from workbench.cost.running_costs import assumed, sources
from workbench.errors import InvalidInput

#: Worked cases: github:ewyluda/gpu-price-index tests/fixtures/tco_cases.json@a3b9e64a99d538ab0615031d05f0947ba455f5fa.
#: A server [USD], kW, GPUs of a server, years, interest, PUE, USD/kWh, idle; GPUs, load, rent; then what it computed:
#: USD an hour of use, USD a month, rent a month, break-even load, first month that has paid.
CASES = [
    ((250000, 10.2, 8, 5, 0.08, 1.3, 0.08, 0.35), (64, 0.7, 3.82), (2.1575, 70560.37, 124929.28, 0.3883, 23)),
    ((450000, 14.3, 8, 5, 0.08, 1.3, 0.08, 0.35), (8, 0.35, 6.81), (7.2270, 14771.97, 13919.64, 0.3718, None)),
    ((120000, 6.5, 8, 4, 0.11, 1.3, 0.08, 0.35), (256, 0.95, 1.36), (0.9557, 169678.14, 241448.96, 0.6557, 26)),
    ((250000, 11.0, 6, 5, 0.08, 1.45, 0.12, 0.35), (12, 0.5, 2.39), (4.2282, 18519.58, 10468.20, 0.9211, None)),
    ((70000, 4.5, 3, 5, 0.08, 1.3, 0.08, 0.50), (3, 0.2, 2.70), (6.2709, 2746.65, 1182.60, 0.4724, None)),
]


@pytest.mark.parametrize(("server", "use", "expected"), CASES)
def test_published_cases(server, use, expected) -> None:
    usd, kw, held, years, interest, pue, kwh, idle = server
    gpus, load, rent = use
    hour, month, rented, break_even, paid = expected
    mine = Ownership(
        capital_usd=usd / held,
        watts=1000 * kw / held,
        years=years,
        pue=pue,
        usd_per_kwh=kwh,
        idle_power=idle,
        operations=0.08,
        housing_usd_per_kw_month=150,
        interest=interest,
    )
    found = buy_or_rent(mine, rent, load, gpus)
    assert found.own_usd_per_gpu_hour == pytest.approx(hour, abs=5e-5)
    assert found.own.total == pytest.approx(month, abs=0.01)
    assert found.rent_usd_per_month == pytest.approx(rented, abs=0.01)
    assert found.break_even_utilization == pytest.approx(break_even, abs=5e-5)
    assert (found.break_even_months is None) == (paid is None)
    if paid is not None and found.break_even_months is not None:
        assert paid - 1 < found.break_even_months <= paid


owners = st.builds(
    Ownership,
    capital_usd=st.floats(500, 50_000),
    watts=st.floats(50, 2000),
    years=st.floats(1, 8),
    residual=st.floats(0, 0.5),
    pue=st.floats(1, 2.5),
    usd_per_kwh=st.floats(0, 0.5),
    idle_power=st.floats(0, 1),
    operations=st.floats(0, 0.3),
    interest=st.floats(0, 0.2),
)
load = st.floats(0.01, 1)
rents = st.floats(0.05, 20)


@given(owners, rents)
def test_the_break_even_load_is_where_both_lines_cross(mine: Ownership, rent: float) -> None:
    at = break_even_utilization(mine, rent)
    if at is None:
        assert buy_or_rent(mine, rent, 1.0).cheaper == "rent"
        return
    assume(at > 1e-6)
    found = buy_or_rent(mine, rent, at)
    assert found.own.total == pytest.approx(found.rent_usd_per_month)
    for other in (0.9 * at, min(1.0, 1.1 * at)):
        assume(other != at)
        assert buy_or_rent(mine, rent, other).cheaper == ("buy" if other > at else "rent")


@given(owners, rents, load, st.integers(1, 64), st.booleans())
def test_the_purchase_has_paid_where_both_sums_meet(
    mine: Ownership, rent: float, at: float, gpus: int, always_on: bool
) -> None:
    found = buy_or_rent(mine, rent, at, gpus, always_on)
    kept = found.own.total - found.own.depreciation
    if found.break_even_months is None:
        months = 12 * mine.years
        assert gpus * mine.capital_usd + months * kept > months * found.rent_usd_per_month * (1 - 1e-9)
    else:
        months = found.break_even_months
        assert gpus * mine.capital_usd + months * kept == pytest.approx(months * found.rent_usd_per_month)
        assert found.break_even_hours == pytest.approx(730 * at * months)
        assert found.saved_usd > -1e-6 * gpus * mine.capital_usd
    assert (found.cheaper == "buy") == (found.saved_usd > 0)


@given(owners, load, load)
def test_an_hour_of_use_is_cheaper_the_more_are_used(mine: Ownership, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert mine.usd_per_gpu_hour(low) >= mine.usd_per_gpu_hour(high) * (1 - 1e-12)
    assert mine.month(low).total <= mine.month(high).total * (1 + 1e-12)


@given(owners, load, st.integers(1, 100))
def test_gpus_cost_so_many_times_one(mine: Ownership, at: float, gpus: int) -> None:
    assert mine.month(at, gpus).total == pytest.approx(gpus * mine.month(at).total)


def test_a_rent_that_is_paid_anyway_has_no_break_even_load() -> None:
    found = buy_or_rent(Ownership.of("L40S"), 0.80, utilization=0.3, always_on=True)
    assert found.break_even_utilization is None
    assert found.rent_usd_per_month == pytest.approx(0.80 * 730)
    assert found.to_dict()["own"]["total"] == found.own.total


def test_a_card_of_the_table() -> None:
    mine = Ownership.of("L40S", years=4, usd_per_kwh=0.3)
    assert mine.watts == pytest.approx(350 * 1.8)
    assert mine.years == 4
    assert mine.pue == assumed()["pue"]
    seen = owned("L40S", 0.5)
    assert seen.low < seen.value < seen.high
    assert owned("L40S", 0.5, capital_usd=9000.0).low == owned("L40S", 0.5, capital_usd=9000.0).high
    with pytest.raises(InvalidInput, match="purchase price"):
        Ownership.of("Gaudi 2")
    assert Ownership.of("Gaudi 2", capital_usd=8000).watts == pytest.approx(600 * 1.8)


def test_what_is_assumed_says_where_it_is_from() -> None:
    for name, source in sources().items():
        assert "assumed" in source or "http" in source or "github:" in source, name
    factors = [6.5 / 3.2, 10.2 / 5.6, 14.3 / 8]
    assert [round(factor, 2) for factor in factors] == [2.03, 1.82, 1.79]
    assert min(factors) <= assumed()["server_power"] <= max(factors)


def test_nonsense_is_refused_by_name() -> None:
    mine = Ownership.of("L40S")
    for field, value in (("capital_usd", 0), ("years", 0), ("pue", 0.9), ("idle_power", 1.1), ("interest", -0.1)):
        with pytest.raises(InvalidInput, match=field):
            replace(mine, **{field: value})
    with pytest.raises(InvalidInput, match="utilization"):
        buy_or_rent(mine, 1.0, utilization=0)
    with pytest.raises(InvalidInput, match="usd_per_kwh"):
        energy_usd(100, 1, 1.2, float("nan"))
