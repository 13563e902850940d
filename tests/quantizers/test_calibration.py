"""Calibration data in files: what can be read, what is refused and at which line, and what is dropped."""

import csv
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.builtin import text
from workbench.errors import InvalidInput
from workbench.quantizers import calibration
from workbench.quantizers.calibration import Conversation, Dataset

TALK = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A lake."}]


def words(text):
    return text.split()


#: Of the generated files, which a fixture's folder of one test would be too slow for.
FOLDER = tempfile.TemporaryDirectory()


def written(name, content):
    file = Path(FOLDER.name) / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def read_or_none(file):
    try:
        return calibration.read(file)
    except InvalidInput as error:
        assert file.name in str(error)  # noqa: PT017  # whatever it says, it names the file
        return None


def test_texts_of_every_kind_of_file(tmp_path):
    plain, lines, table = tmp_path / "a.txt", tmp_path / "b.JSONL", tmp_path / "c.csv"
    plain.write_bytes("\ufeffone\r\ntwo\r\n\r\nthrée\n\n\n\nfour".encode())
    lines.write_text('{"text": "one"}\n\n"two"\n{"text": " ", "x": 1}\n')
    table.write_bytes('\ufeffid,text\r\n1,"one, and\r\na half"\r\n\r\n2,\r\n3,"say ""three"""\r\n'.encode())
    assert calibration.read(plain) == ["one\ntwo", "thrée", "four"]
    assert calibration.read(lines) == ["one", "two"]
    assert calibration.read(table) == ["one, and\r\na half", 'say "three"']


def test_conversations_of_both_kinds_of_file(tmp_path):
    lines, table = tmp_path / "b.jsonl", tmp_path / "c.csv"
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function"}]}
    lines.write_text(json.dumps({"messages": TALK, "text": "not this"}) + "\n\n" + json.dumps({"messages": [call]}))
    table.write_text("messages;id\n" + '"' + json.dumps(TALK).replace('"', '""') + '";1\n')
    first, second = calibration.read(lines)
    assert [dict(m) for m in first.messages] == TALK
    assert (first.place, first.text) == (f"{lines} line 1", "What is it?\nA lake.")
    assert dict(second.messages[0]) == {**call, "content": ""}
    assert calibration.read(table) == [Conversation(tuple(TALK), f"{table} line 2")]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8))
def test_whatever_json_lines_hold_is_read_as_it_was_written(texts):
    """Also with the ends of lines that JSON does not escape (U+2028) and that str.splitlines() would break at."""
    kept = [t.strip() for t in texts if t.strip()]
    file = written("a.jsonl", "\n".join(json.dumps({"text": t}, ensure_ascii=False) for t in texts))
    assert read_or_none(file) == (kept or None)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=8))
def test_whatever_a_table_holds_is_read_as_it_was_written(texts):
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, quoting=csv.QUOTE_ALL)
    writer.writerows([["number", "text"], *enumerate(texts)])
    kept = [t.strip() for t in texts if t.strip()]
    file = written("a.csv", rows.getvalue())
    assert read_or_none(file) == (kept or None)


@given(st.binary(max_size=200), st.sampled_from([".txt", ".jsonl", ".csv"]))
def test_any_bytes_are_read_or_refused_in_words(content, suffix):
    read = read_or_none(written(f"a{suffix}", content))
    assert read is None or all(read)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b"x", r"must be a \.txt, \.jsonl or \.csv file, not 'a\.json'"),
        ("a.txt", b" \n\n ", "holds no text"),
        ("a.txt", b"", "holds no text"),
        ("a.txt", b"one\ncaf\xe9", r"not UTF-8 text \(line 2, byte 7\)"),
        ("a.txt", b"\xef\xbb\xbfcaf\xe9", r"not UTF-8 text \(line 1, byte 6\)"),
        ("a.txt", "one".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("a.jsonl", b'"one"\n"\x00"', "no text file: line 2 holds a NUL byte"),
        ("a.jsonl", b'"ok"\n{"text": "x"', "line 2 is not JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1 is not JSON of any use: it is nested too deeply"),
        ("a.jsonl", b'{"prompt": "x"}', "line 1 has no text"),
        ("a.jsonl", b'\n\n{"text": 3}', "line 3 has no text"),
        ("a.jsonl", rb'{"text": "half \ud800"}', r"line 1 holds half a character \(.ud800\)"),
        ("a.jsonl", b'{"messages": "x"}', "line 1, messages, is not JSON"),
        ("a.jsonl", b'{"messages": [{"from": "human", "value": "x"}]}', "line 1 has a message without a role"),
        ("a.jsonl", b'{"messages": [{"role": "user", "content": [1]}]}', "'user' whose content is no text"),
        ("a.csv", b"prompt,answer\na,b", "line 1 names no column text or messages"),
        ("a.csv", b"", "line 1 names no column text or messages"),
        ("a.csv", b"id,text\n1,fine\n2\n", "line 3 has no text"),
        ("a.csv", b'text\n"two\nlines"\none,too many\n', "line 4 has more fields than the header"),
        ("a.csv", b'text\nfine\n"never closed\n', "no table after line 2: unexpected end of data"),
        ("a.csv", b"messages\n[]\n{}", "line 3 has no text"),
        ("a.txt", None, "there is no file"),
    ],
)  # fmt: skip
def test_bad_files_are_named_and_explained(tmp_path, name, content, says):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInput, match=says) as refused:
        calibration.read(file)
    assert name in str(refused.value)


def test_a_folder_is_no_calibration_file(tmp_path):
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        calibration.read(tmp_path / "folder.txt")


def test_a_long_field_of_a_table_is_read_and_the_limit_of_others_stays(tmp_path):
    before = csv.field_size_limit()
    (tmp_path / "a.csv").write_text("text\n" + "word " * 50_000)
    assert len(calibration.read(tmp_path / "a.csv")[0]) > before
    assert csv.field_size_limit() == before


def test_where_the_data_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "note").write_text("a file without a suffix")
    assert calibration.source("a/b.txt") == tmp_path / "a" / "b.txt"
    assert calibration.source("owner/note") == tmp_path / "owner" / "note"
    assert calibration.source("rows") == Dataset(str(tmp_path / "rows"))
    assert calibration.source("rows:test#prompt") == Dataset(str(tmp_path / "rows"), "test", "prompt")
    assert calibration.source("owner/name") == Dataset("owner/name")
    assert calibration.source("Salesforce/wikitext/wikitext-2-raw-v1:validation#text") == Dataset(
        "Salesforce/wikitext", "validation", "text", "wikitext-2-raw-v1"
    )
    for word in ("owner/name:test#prompt", "owner/name/part:train"):
        assert calibration.source(str(calibration.source(word))) == calibration.source(word)


@pytest.mark.parametrize(
    "word", ["", "\0", "nothing", "../owner/name", "owner/name/a/b", "/no/such/folder", "#x", ":y"]
)
def test_what_is_no_place_of_data_is_refused(word):
    with pytest.raises(InvalidInput, match="calibration data"):
        calibration.source(word)


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


def test_data_that_run_out_are_said():
    _, facts = calibration.select(["w " * 10] * 3, "f", words, 4, 20, cut=True)
    assert calibration.shortfall(facts, 4, 20).startswith(
        "f gave 3 of the 4 calibration texts asked for, 30 of up to 80"
    )
    assert calibration.shortfall(facts, 3, 20) == ""
    _, facts = calibration.select(["w " * 20] * 3, "f", words, 3, 20, cut=True)
    assert calibration.shortfall(facts, 3, 20) == ""


def test_the_default_text_is_never_the_held_out_part():
    held_out = {document.text for document in text.held_out()}
    assert held_out
    assert held_out.isdisjoint(calibration.builtin_texts())
