"""Calibration text that repeats itself is told from text that does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_checkpoints import llama_config, llama_shapes, write

from workbench.builtin import text
from workbench.errors import InvalidInput
from workbench.quantizers import calibration, check
from workbench.quantizers.calibration import Conversation
from workbench.quantizers.calibration.repetition import ENOUGH, STRETCH, new_share
from workbench.quantizers.method import fp8_dynamic, gptq

SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody in the village knew why it did. "


@pytest.fixture
def model_folder(tmp_path):
    return write(tmp_path / "model", llama_config(), llama_shapes())


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.integers(1, 4))
def test_the_share_is_that_of_distinct_slices(words, times):
    """Counted plainly, as Python slices a text."""
    whole = words * times
    slices = [whole[i : i + STRETCH] for i in range(len(whole) - STRETCH + 1)]
    assert new_share(whole) == (pytest.approx(len(set(slices)) / len(slices)) if slices else 1.0)


def test_real_text_does_not_repeat_itself():
    training = "\n".join(calibration.builtin_texts())[: 2**20]
    assert new_share(training) > 0.85
    assert new_share("\n".join(d.text for d in text.held_out())) > 0.85
    assert not calibration.remark(calibration.builtin_texts())


@pytest.mark.parametrize(
    "samples",
    [
        ["calibration text " * 200],
        ["calibration text"] * 200,
        [SENTENCE] * 8,
        # Farther apart than the 32 KiB that zlib looks back.
        ["\n".join(calibration.builtin_texts())[:50_000]] * 5,
        [Conversation(({"role": "user", "content": SENTENCE},), f"line {n}") for n in range(9)],
        ["今天天气很好，我们去公园散步吧。" * 40],
    ],
    ids=["a paragraph", "lines", "sentences", "long documents", "conversations", "no spaces"],
)
def test_one_text_over_and_over_is_said(samples):
    assert "repeats itself" in calibration.remark(samples)


def test_a_short_text_and_one_said_twice_are_left_alone():
    assert not calibration.remark([SENTENCE])
    assert not calibration.remark([SENTENCE * 2])
    assert not calibration.remark(["today"])
    assert new_share(SENTENCE * 2) > ENOUGH


def test_the_note_is_there_before_anything_runs(tmp_path, model_folder):
    file = tmp_path / "mine.txt"
    file.write_text("calibration text " * 200)
    found = check(model_folder, gptq.METHOD, {}, tmp_path / "out", data=file)
    assert [note for note in found.notes if "repeats itself: 0.5% of its stretches" in note]
    assert not check(model_folder, gptq.METHOD, {}, tmp_path / "out").notes


def test_a_template_that_is_missing_is_said_before_anything_runs(tmp_path, model_folder):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"messages": [{"role": "user", "content": "Hello, how does this work?"}]}')
    for options in ({"data": file}, {"chat": True}):
        with pytest.raises(InvalidInput, match="has no chat template"):
            check(model_folder, gptq.METHOD, {}, tmp_path / "out", **options)
    (model_folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert check(model_folder, gptq.METHOD, {}, tmp_path / "out", data=file)


def test_a_method_without_calibration_wants_neither_data_nor_chat(tmp_path, model_folder):
    with pytest.raises(InvalidInput, match="needs no calibration text; leave chat out"):
        check(model_folder, fp8_dynamic.METHOD, {}, tmp_path / "out", chat=True)
