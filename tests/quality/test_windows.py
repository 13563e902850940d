"""Which tokens are scored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.quality.windows import passages, windows


@given(st.integers(0, 3000), st.integers(2, 600), st.integers(1, 300))
def test_every_token_but_the_first_is_scored_exactly_once(length, window, stride):
    stride = min(stride, window // 2)
    scored = []
    for start, end, first in windows(length, window, stride):
        assert start < first < end <= start + window  # every scored token sees one before it
        if start:
            assert first - start >= window - stride
        scored += range(first, end)
    assert scored == list(range(1, length))


def test_whole_documents_are_taken_until_there_is_enough():
    documents = ["a" * 40, "b", "", "c" * 30, "d" * 30]
    assert [len(ids) for ids in passages(documents, lambda text: [0] * len(text), 60)] == [40, 30]
    with pytest.raises(ValueError, match="no text"):
        passages(["x", ""], lambda text: [0] * len(text), 60)
