"""Month, token, request, user."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cost import HOURS_PER_MONTH, month_usd, usd_per_million, usd_per_user
from workbench.cost.per_unit import input_and_output, request_usd
from workbench.errors import InvalidInput

usd = st.floats(0.01, 100)
rate = st.floats(1, 1e5)
load = st.floats(0.01, 1)


@pytest.mark.parametrize(("hour", "month"), [(2.69, 1964), (3.99, 2913), (6.88, 5022), (12.29, 8972)])
def test_a_month_as_published(hour: float, month: int) -> None:
    """One H100 for a month: github:datareceipts/data-receipts 109-gpu-pricing/README.md, 2026-11-09."""
    assert round(month_usd(hour)) == month
    assert HOURS_PER_MONTH == 365 * 24 / 12


def test_tokens_as_published() -> None:
    """L40S at 0.79 USD/h and 9,500 tokens/s: the arithmetic of its page gives 0.023, not the 0.11 it prints."""
    assert usd_per_million(0.79, 9500) == pytest.approx(0.0231, abs=5e-5)


@given(usd, rate, load, load)
def test_idle_hours_make_tokens_dearer(price: float, tokens: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert usd_per_million(price, tokens, low) >= usd_per_million(price, tokens, high)


@given(usd, rate, rate, load, st.floats(0.5, 10))
def test_input_and_output_together_pay_for_the_hour(
    price: float, tokens_in: float, tokens_out: float, at: float, ratio: float
) -> None:
    one, other = input_and_output(price, tokens_in, tokens_out, at, ratio)
    assert other == pytest.approx(ratio * one)
    hour = 3600 * at
    assert request_usd(tokens_in * hour, tokens_out * hour, one, other) == pytest.approx(price)


def test_bad_numbers_are_refused_by_name() -> None:
    for wrong in (0.0, 1.5, -0.1):
        with pytest.raises(InvalidInput, match="utilization"):
            usd_per_million(1.0, 100, wrong)
    with pytest.raises(InvalidInput, match="tokens_per_s"):
        usd_per_million(1.0, 0)
    with pytest.raises(InvalidInput, match="users"):
        usd_per_user(100, 0)
    with pytest.raises(InvalidInput, match="hours"):
        month_usd(1.0, -1)
