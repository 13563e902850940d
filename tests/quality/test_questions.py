"""Our own task: fair questions, always the same."""

from collections import Counter

from workbench.builtin import text
from workbench.quality.questions import BEGINNING, CHOICES, NEXT, questions


def documents():
    return [document.text for document in text.held_out()]


def test_the_right_answer_is_what_comes_next_and_none_of_the_others_is():
    whole = {" ".join(document.split()) for document in documents()}
    for question in questions(documents(), 60):
        assert len(question["choices"]) == len(set(question["choices"])) == CHOICES
        right = question["choices"][question["answer"]]
        assert len(question["context"].split()) == BEGINNING
        assert len(right.split()) == NEXT
        (source,) = [document for document in whole if question["context"] + right in document]
        for other in question["choices"]:
            assert other == right or question["context"] + other not in source


def test_guessing_one_place_gains_nothing():
    found = questions(documents(), 200)
    assert len(found) == 200
    assert max(Counter(question["answer"] for question in found).values()) < 75
    assert found == questions(documents(), 200)
    assert found[:20] == questions(documents(), 20)
