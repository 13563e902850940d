"""The built-in text."""

from workbench.builtin import text


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
