"""What is asked and what is kept: files that can be used, and those that are refused with their line."""

import json

import pytest

from workbench.builtin import text
from workbench.distillation.answers import Answers, Origin
from workbench.distillation.prompts import chosen
from workbench.errors import InvalidInput

ORIGIN = Origin("teacher", 64, 0.0)


def user(*words):
    return [[{"role": "user", "content": word}] for word in words]


def test_prompts_of_every_kind(tmp_path):
    lines, rows = tmp_path / "a.txt", tmp_path / "b.jsonl"
    lines.write_text("\ufeffWhat is a list?\r\n\n  Why?  \nWhy?\n")
    talk = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hm?"}]
    rows.write_text('{"prompt": "one", "text": "not this"}\n"two"\n' + json.dumps({"messages": talk}))
    assert chosen(lines, None) == user("What is a list?", "Why?")
    assert chosen(str(rows), None) == [*user("one", "two"), talk]
    assert chosen(rows, 2) == user("one", "two")
    assert chosen(["a", "b", "a"], None) == user("a", "b")


def test_built_in_prompts_ask_about_the_text_that_was_trained_on():
    asked = [messages[0]["content"] for messages in chosen(None, 500)]
    assert asked[0] == f"What does {text.training()[0].title} do?"
    held_out = {f"What does {document.title} do?" for document in text.held_out()}
    assert len(asked) == 500
    assert held_out.isdisjoint(asked)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "x", r"must be a \.txt \(one in each line\) or a \.jsonl file, not 'a\.csv'"),
        ("a.txt", "\n \n", "holds no prompt"),
        ("a.txt", "only one\nonly one\n", "at least two different prompts"),
        ("a.txt", "one\0", "line 1 holds a NUL byte"),
        ("a.jsonl", '{"prompt": "x"}\n{"question": "x"}', "line 2 has no text"),
        ("a.jsonl", '{"prompt": 3}', "line 1: 'prompt' is neither"),
        ("a.jsonl", '\n{"prompt": " "}', "line 2 is blank"),
        ("a.jsonl", '{"messages": [{"role": "assistant", "content": "x"}]}', "line 1 does not end with what the user"),
        ("a.jsonl", '{"messages": [{"content": "x"}]}', "line 1 has a message without a role"),
    ],
)
def test_prompts_that_cannot_be_used_are_named(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=says):
        chosen(tmp_path / name, None)


def test_answers_come_back_and_other_lines_stay(tmp_path):
    file = tmp_path / "a.jsonl"
    (question,) = user("why?")
    foreign = json.dumps({"messages": [*question, {"role": "assistant", "content": "mine"}]})
    file.write_text(foreign)  # without an end of line
    answers = Answers(file)
    answers.read()
    assert answers.of(ORIGIN.key(question)) is None
    answers.add(ORIGIN.key(question), ORIGIN.line(question, "because\u2028so", "stop"))
    again = Answers(file)
    again.read()
    assert again.of(ORIGIN.key(question))["messages"][-1]["content"] == "because\u2028so"
    assert file.read_text().split("\n")[0] == foreign
    assert again.of(Origin("teacher", 64, 0.1).key(question)) is None
    assert again.of(ORIGIN.key(user("why")[0])) is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"text": "a novel"}\n', "line 1 has no 'messages'"),
        ('"x"\n', "line 1 is no answer of a teacher; keep the answers in a file of their own"),
        ('{"messages": [{"role": "user", "content": "x"}]}\n', "line 1 is no answer of a teacher"),
        ("not json\n", "line 1 is not JSON"),
        ("not json", "line 1 is not JSON"),
        ('{"messages": [}\n{"messages": [', "line 1 is not JSON"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, content, says):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(InvalidInput, match=says):
        Answers(tmp_path / "a.jsonl").read()
    assert (tmp_path / "a.jsonl").read_text() == content
