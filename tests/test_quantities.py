"""Estimates and how numbers are shown."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput
from workbench.quantities import BASES, Estimate, show_bytes, show_count, show_seconds, show_usd

numbers = st.floats(-1e15, 1e15)


@given(st.tuples(numbers, numbers, numbers).map(sorted), st.sampled_from(BASES), st.floats(0, 1e6))
def test_an_estimate_keeps_its_order(three, basis, factor):
    low, value, high = three
    estimate = Estimate(value, low, high, basis)
    assert Estimate.from_dict(estimate.to_dict()) == estimate
    scaled = estimate.scaled(factor)
    assert scaled.low <= scaled.value <= scaled.high
    assert estimate.contains(value)


@pytest.mark.parametrize(
    "wrong", [(1, 2, 3, "exact"), (1, 0, 0.5, "exact"), (1, 0, 2, "guess"), (float("nan"), 0, 1, "exact")]
)
def test_what_is_no_estimate_is_refused(wrong):
    with pytest.raises(InvalidInput):
        Estimate(*wrong)


def test_what_people_read():
    assert show_bytes(48_305_799_168) == "44.99 GiB"
    assert show_bytes(1500 * 2**30) == "1500 GiB"
    assert show_bytes(0) == "0 B"
    assert show_seconds(0.00001234) == "0.0123 ms"
    assert show_seconds(123.4) == "123 s"
    assert show_count(1234567.4) == "1,234,567"
    assert show_usd(99.999) == "$100.00"


def test_a_time_that_never_ends_survives_json():
    endless = Estimate(math.inf, 0.5, math.inf, "calibrated")
    assert Estimate.from_dict(json.loads(json.dumps(endless.to_dict(), allow_nan=False))) == endless
