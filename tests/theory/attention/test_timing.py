"""The measurement of tiled attention that is kept, and that it can be taken anew: never how long anything took."""

import doctest

import pytest

from workbench.theory.attention import timing


def test_the_examples_hold():
    assert doctest.testmod(timing).failed == 0


def test_what_is_kept_says_where_it_was_measured():
    table = timing.measured()
    assert list(table["tokens"]) == list(timing.TOKENS)
    assert (table["gain"] == table["plain_seconds"] / table["tiled_seconds"]).all()
    assert (table[["plain_seconds", "tiled_seconds"]] > 0).all(axis=None)
    assert not (table[["processor", "torch", "date"]] == "").any(axis=None)


@pytest.mark.environment
def test_it_is_measured_anew():
    (row,) = timing.measure([64])
    assert row["largest_difference"] < 1e-5, "both compute the same attention"
    assert row["plain_seconds"] > 0
    assert row["tiled_seconds"] > 0
