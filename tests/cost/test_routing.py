"""Small and large models together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cost import route_month, routed
from workbench.errors import InvalidInput

usd = st.floats(1e-6, 1)
share = st.floats(0, 1)


@given(usd, usd, share, st.floats(0, 0.1))
def test_a_cascade_pays_twice_for_what_it_hands_on(small: float, large: float, answered: float, router: float) -> None:
    split, cascade = (routed(small, large, answered, router, twice) for twice in (False, True))
    assert cascade.mix - split.mix == pytest.approx(small * (1 - answered), abs=1e-12)
    assert split.mix == pytest.approx(router + answered * small + (1 - answered) * large)
    assert split.saved == pytest.approx(1 - split.mix / large)


@given(usd, usd, st.floats(0, 0.1), st.booleans())
def test_from_the_break_even_share_on_the_mix_is_no_dearer(
    small: float, large: float, router: float, cascade: bool
) -> None:
    at = routed(small, large, 0.5, router, cascade).break_even_share
    if at is None:
        assert routed(small, large, 1.0, router, cascade).mix >= large * (1 - 1e-9)
    else:
        assert routed(small, large, at, router, cascade).mix == pytest.approx(large, rel=1e-6)


def test_the_ends() -> None:
    assert routed(1e-4, 1e-3, 0).mix == 1e-3
    assert routed(1e-4, 1e-3, 1).mix == 1e-4
    assert routed(1e-4, 1e-3, 0, cascade=True).mix == pytest.approx(1.1e-3)
    assert routed(1e-3, 1e-3, 0.5).break_even_share is None
    assert routed(2e-3, 1e-3, 0.5, cascade=True).break_even_share is None
    for wrong in (-0.1, 1.1):
        with pytest.raises(InvalidInput, match="small_share"):
            routed(1e-4, 1e-3, wrong)


def test_whole_replicas_are_paid_for() -> None:
    prices = {"small_usd_per_gpu_hour": 1.0, "large_usd_per_gpu_hour": 2.0}
    none = route_month(10, 0.0, 8, 2, **prices, large_gpus=4)
    assert none.small.gpus == 0
    assert none.saved_usd == 0
    every = route_month(10, 1.0, 8, 2, **prices, large_gpus=4)
    assert every.large.gpus == 0
    assert every.usd == pytest.approx(2 * 730)
    assert every.large_alone_usd == pytest.approx(5 * 4 * 2 * 730)
    # a tenth of the requests frees no replica of the large model: the small one comes on top
    tenth = route_month(9, 0.1, 8, 2, **prices, large_gpus=4)
    assert tenth.saved_usd == pytest.approx(-730)
    cascade = route_month(10, 0.8, 8, 2, **prices, large_gpus=4, cascade=True, spare=1)
    assert cascade.small.gpus == 3
    assert cascade.large.gpus == 8
    assert cascade.to_dict()["saved_usd"] == cascade.saved_usd
