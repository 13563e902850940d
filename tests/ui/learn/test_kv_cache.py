"""The picture of quantised caches: what is said is what the theory gives."""

from __future__ import annotations

import pytest

from workbench.theory.quantisation.kv_cache import effect, stored
from workbench.ui.learn.pictures import kv_cache as pictures


@pytest.mark.parametrize("number", pictures.NUMBERS.values(), ids=pictures.NUMBERS)
@pytest.mark.parametrize("outlier_factor", [1, 40])
def test_errors_by_who_shares_a_scale(number, outlier_factor):
    picture = pictures.by_sharing(number, outlier_factor)
    shape = [(trace.type, trace.name, tuple(trace.x)) for trace in picture.figure.data]
    assert shape == [(trace.type, trace.name, tuple(trace.x)) for trace in pictures.by_sharing().figure.data]
    queries, keys, values = pictures._cache(outlier_factor)
    found = effect(queries, keys, values, stored(keys, number, "token"), stored(values, number, "token"))
    assert f"output by {found.keys:.3%}, values by {found.values:.3%}" in picture.said
    low, high = (10**end for end in picture.figure.layout.yaxis.range)
    assert all(low < value < high for trace in picture.figure.data for value in trace.y)
