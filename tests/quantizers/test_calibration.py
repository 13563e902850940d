"""Calibration text: files that can be read, files that cannot, and what is dropped."""

import pytest

from workbench.builtin import text
from workbench.errors import InvalidInput
from workbench.quantizers import calibration


def words(text):
    return text.split()


def test_texts_of_both_kinds_of_file(tmp_path):
    plain, lines = tmp_path / "a.txt", tmp_path / "b.JSONL"
    plain.write_bytes("\ufeffone\r\ntwo\r\n\r\nthrée\n\n\n\nfour".encode())
    lines.write_text('{"text": "one"}\n\n"two"\n{"text": " ", "x": 1}\n')
    assert calibration.read(plain) == ["one\ntwo", "thrée", "four"]
    assert calibration.read(lines) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"x", "must be a .txt or a .jsonl"),
        ("a.txt", b" \n\n ", "holds no text"),
        ("a.txt", b"caf\xe9", r"not UTF-8 text \(byte 3\)"),
        ("a.jsonl", b'"ok"\n{"text": "x"', "line 2 is not JSON"),
        ("a.jsonl", b'{"prompt": "x"}', "line 1 has no text"),
        ("a.jsonl", b'{"text": 3}', "line 1 has no text"),
        ("a.txt", None, "there is no file"),
    ],
)
def test_bad_files_are_named_and_explained(tmp_path, name, content, says):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInput, match=says):
        calibration.read(file)


def test_a_folder_is_no_calibration_file(tmp_path):
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        calibration.read(tmp_path / "folder.txt")


def test_what_is_dropped_is_counted():
    texts = ["w " * 3, "w " * 10, "w " * 30, "w " * 12, "w " * 11]
    ids, facts = calibration.select(texts, "test", words, 2, 20, cut=False)
    assert [len(i) for i in ids] == [10, 12]
    assert (facts.used, facts.tokens, facts.too_short, facts.too_long, facts.cut) == (2, 22, 1, 1, 0)
    ids, facts = calibration.select(texts, "test", words, 2, 20, cut=True)
    assert [len(i) for i in ids] == [10, 20]
    assert (facts.too_long, facts.cut) == (0, 1)


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(
        InvalidInput, match=r"no calibration text is left of 2 from f: 1 are longer than 20 tokens, 1 short"
    ):
        calibration.select(["w " * 30, "w"], "f", words, 4, 20, cut=False)
    with pytest.raises(InvalidInput, match="10 tokens, less than one block of 20"):
        calibration.select(["w " * 10], "f", words, 4, 20, cut=False)


def test_the_default_text_is_never_the_held_out_part():
    held_out = {document.text for document in text.held_out()}
    assert held_out
    assert held_out.isdisjoint(calibration.builtin_texts())
