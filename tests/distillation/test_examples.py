"""What is learned of a conversation: the answer and its end, and no more."""

import pytest

from workbench.distillation.examples import IGNORED, Example, example, split

TALK = [{"role": "user", "content": "why? "}, {"role": "assistant", "content": " because of rain. "}]


class Letters:
    """A tokenizer whose tokens are letters, with a template of ``<role>content|``."""

    def __init__(self, thought=""):
        self.thought = thought

    def apply_chat_template(self, messages, tokenize, add_generation_prompt=False):
        assert not tokenize
        turns = "".join(
            f"<{m['role']}>{self.thought if m['role'] == 'assistant' else ''}{m['content'].strip()}|" for m in messages
        )
        return turns + ("<assistant>" if add_generation_prompt else "")

    def __call__(self, text, add_special_tokens, verbose):
        assert not add_special_tokens
        return type("Batch", (), {"input_ids": [ord(letter) for letter in text]})


def learned(found):
    assert len(found.ids) == len(found.labels)
    assert all(label in (IGNORED, token) for token, label in zip(found.ids, found.labels, strict=True))
    return "".join(chr(label) for label in found.labels if label != IGNORED)


def test_the_answer_and_its_end_are_learned():
    found = example(Letters(), TALK, ended=True, max_length=100)
    assert "".join(map(chr, found.ids)) == "<user>why?|<assistant>because of rain.|"
    assert learned(found) == "because of rain.|"
    assert found.tokens == 17


def test_an_answer_that_was_cut_is_learned_without_an_end():
    assert learned(example(Letters(), TALK, ended=False, max_length=100)) == "because of rain."


def test_only_the_last_answer_is_learned():
    talk = [*TALK, {"role": "user", "content": "and?"}, {"role": "assistant", "content": "because of rain."}]
    assert learned(example(Letters(), talk, ended=False, max_length=200)) == "because of rain."


def test_what_a_template_adds_to_an_answer_is_learned_with_it():
    assert learned(example(Letters("(hm)"), TALK, ended=True, max_length=100)) == "(hm)because of rain.|"


def test_a_long_conversation_is_cut_and_one_without_an_answer_left_out():
    assert learned(example(Letters(), TALK, ended=True, max_length=25)) == "bec"
    assert example(Letters(), TALK, ended=True, max_length=22) is None


@pytest.mark.parametrize(("count", "share", "kept"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.1, 1), (40, 0.25, 10)])
def test_both_parts_hold_something_and_nothing_is_in_both(count, share, kept):
    examples = [Example([n], [n]) for n in range(count)]
    first, second = split(examples, share, 7)
    assert len(second) == kept
    assert sorted([*first, *second], key=lambda e: e.ids) == examples
    assert split(examples, share, 7) == (first, second)
