"""The built-in text and the one definition of perplexity, as far as they need no torch."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.builtin import text
from workbench.builtin.perplexity import windows


def test_there_is_enough_english_and_a_part_is_held_out():
    train, held_out = text.training(), text.held_out()
    assert sum(len(d.text) for d in train) > 1_000_000
    assert sum(len(d.text) for d in held_out) > 50_000
    assert len({d.text for d in train}) == len(train)


def test_no_held_out_paragraph_was_trained_on():
    seen = {p.strip() for d in text.training() for p in d.text.split("\n\n")}
    kept = {p.strip() for d in text.held_out() for p in d.text.split("\n\n")}
    assert kept
    assert not kept & seen


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
