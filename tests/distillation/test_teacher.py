"""Asking a teacher: a real server that is busy, silent, broken, or not there."""

import dataclasses
import json
import socket
import threading
import time

import pytest
from openai_server import OpenAIServer, refuses, says

from workbench.distillation import teacher
from workbench.distillation.answers import Answers
from workbench.distillation.teacher import Teacher, Wanted, ask
from workbench.errors import InvalidInput, MissingPart
from workbench.jobs import JobCancelled

QUICK = Wanted(max_tokens=32, temperature=0.0, concurrency=4, retries=3, timeout=5.0)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(teacher, "_FIRST_WAIT", 0.02)


def prompts(*words):
    return [[{"role": "user", "content": word}] for word in words]


def asked(server, words, file, wanted=QUICK, tell=lambda _: None, **known):
    answers = Answers(file)
    answers.read()
    return ask(Teacher.at(server.url, **known), prompts(*words), answers, wanted, tell)


def kept(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_prompt_is_answered_once_and_kept(tmp_path):
    words = [f"q{n}" for n in range(12)]
    seen = []
    with OpenAIServer(lambda prompt, _: says(f" about {prompt}\n"), delay=0.05) as server:
        found = asked(server, words, tmp_path / "deep" / "a.jsonl", tell=seen.append, api_key="secret")
    assert sorted(server.asked) == sorted(words)
    assert server.most == QUICK.concurrency
    assert (found.teacher_model, found.prompts, len(found.keys), found.kept) == ("teacher", 12, 12, 0)
    lines = kept(tmp_path / "deep" / "a.jsonl")
    assert {line["messages"][0]["content"]: line["messages"][1] for line in lines} == {
        word: {"role": "assistant", "content": f"about {word}"} for word in words
    }
    assert set(server.keys) == {"Bearer secret"}
    assert "secret" not in (tmp_path / "deep" / "a.jsonl").read_text()
    assert server.bodies[0]["max_tokens"] == 32
    assert server.bodies[0]["model"] == "teacher"
    fractions = [at.fraction for at in seen if at.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert seen[-1].detail == "12 of 12 prompts"


def test_what_is_answered_is_not_asked_again(tmp_path):
    file = tmp_path / "a.jsonl"
    with OpenAIServer(lambda prompt, _: says(prompt.upper())) as server:
        asked(server, ["a", "b"], file)
        found = asked(server, ["a", "b", "c"], file)
        assert sorted(server.asked) == ["a", "b", "c"]
        assert (found.kept, len(found.keys)) == (2, 3)
        # Another temperature, another model: another answer.
        asked(server, ["a", "b"], file, dataclasses.replace(QUICK, temperature=0.5))
        assert len(server.asked) == 5
        asked(server, ["a", "b"], file, model="other")
        assert len(server.asked) == 7
    assert len(kept(file)) == 7


@pytest.mark.parametrize("lost", [1, 20, 70, 100])
def test_half_a_line_of_a_killed_process_is_dropped_and_asked_again(tmp_path, lost):
    """Wherever it ends: without its end of line, in the middle, in half a character, after its first words."""
    file = tmp_path / "a.jsonl"
    with OpenAIServer(lambda prompt, _: says("é" * 20 + prompt)) as server:
        asked(server, ["a", "b", "c"], file)
        whole = file.read_bytes()
        file.write_bytes(whole[:-lost])
        found = asked(server, ["a", "b", "c"], file)
    assert found.kept == (3 if lost == 1 else 2)
    assert sorted(line["messages"][0]["content"] for line in kept(file)) == ["a", "b", "c"]


def test_half_a_character_at_the_end_is_dropped_too(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes('{"messages": [{"role": "user", "content": "é'.encode()[:-1])
    with OpenAIServer(lambda prompt, _: says("x")) as server:
        assert len(asked(server, ["a", "b"], file).keys) == 2
    assert len(kept(file)) == 2


@pytest.mark.parametrize(
    "trouble",
    [
        refuses(429, "slow down"), refuses(429, "slow down", Retry_After="0.1"), refuses(503), refuses(500), None,
        (200, {}, b"<html>garbage"), (200, {}, b"{}"), (200, {}, b"[1]"),
        (200, {}, b'{"choices": [{"message": {"content": 3}}]}'),
        (200, {}, b"[" * 100_000), (200, {"Content_Length": 400}, b"broken off"),
    ],
    ids=["429", "429 retry-after", "503", "500", "broken", "html", "empty", "list", "number", "deep", "short"],
)  # fmt: skip
def test_trouble_that_passes_is_waited_for(tmp_path, trouble):
    wanted = dataclasses.replace(QUICK, timeout=1.0)
    with OpenAIServer(lambda prompt, attempt: trouble if attempt < 3 else says("at last")) as server:
        found = asked(server, ["a", "b"], tmp_path / "a.jsonl", wanted)
    assert len(found.keys) == 2
    assert len(server.asked) == 6
    assert (found.failed, found.empty) == (0, 0)


def test_a_server_that_asks_for_a_wait_gets_it(tmp_path):
    times = []

    def behave(prompt, attempt):
        times.append(time.monotonic())
        return refuses(429, Retry_After="0.5") if attempt == 1 and prompt == "a" else says("x")

    with OpenAIServer(behave) as server:
        asked(server, ["a", "b"], tmp_path / "a.jsonl", dataclasses.replace(QUICK, concurrency=1))
    assert times[1] - times[0] >= 0.5


def test_trouble_that_stays_is_counted_and_left_out(tmp_path):
    def behave(prompt, attempt):
        return {
            "full": refuses(429, "slow down"),
            "long": refuses(400, "the prompt is too long"),
            "blank": says("  \n"),
            "null": says(None),
            "cut": says("and so on and", "length"),
        }.get(prompt, says("fine"))

    file = tmp_path / "a.jsonl"
    with OpenAIServer(behave) as server:
        found = asked(server, ["full", "long", "blank", "null", "cut", "good"], file)
        assert server.asked.count("full") == 4
        assert server.asked.count("long") == 1
        told = found.to_dict()
    assert (told["answered"], told["failed"], told["empty"], told["cut"]) == (2, 2, 2, 1)
    assert told["reasons"] == {"HTTP 429: slow down": 1, "HTTP 400: the prompt is too long": 1}
    assert {line["messages"][0]["content"] for line in kept(file)} == {"cut", "good"}


def test_a_server_that_hangs_is_given_up(tmp_path):
    hanging = threading.Event()

    def behave(prompt, attempt):
        if prompt == "hang":
            hanging.wait(20)
        return says("x")

    wanted = dataclasses.replace(QUICK, timeout=0.3, retries=1)
    with OpenAIServer(behave) as server:
        began = time.monotonic()
        found = asked(server, ["hang", "a", "b"], tmp_path / "a.jsonl", wanted)
        assert time.monotonic() - began < 10
        hanging.set()
    assert (found.failed, len(found.keys)) == (1, 2)
    assert "no answer within 0.3 s" in found.reasons


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_wrong_or_missing_is_said_at_once(tmp_path, status):
    with OpenAIServer(lambda *_: refuses(status), listing=refuses(status)) as server:
        with pytest.raises(InvalidInput, match=rf"/v1/models wants an API key \(HTTP {status}\)"):
            asked(server, ["a", "b"], tmp_path / "a.jsonl")
        with pytest.raises(InvalidInput, match="refuses the API key") as refused:
            asked(server, ["a"] * 50, tmp_path / "a.jsonl", model="m", api_key="secret")
        assert len(server.asked) <= QUICK.concurrency
    assert "secret" not in str(refused.value)
    assert "secret" not in repr(Teacher.at(server.url, None, "secret"))


def test_a_model_that_is_not_there_is_said_at_once(tmp_path):
    says_ = r"knows neither this address nor model \(HTTP 404: no model m\)"
    with OpenAIServer(lambda *_: refuses(404, "no model m")) as server, pytest.raises(InvalidInput, match=says_):
        asked(server, ["a", "b"], tmp_path / "a.jsonl", model="m")


@pytest.mark.parametrize("models", [(), (200, {}, b"hello"), (200, {}, b'{"data": 3}')])
def test_a_server_of_something_else_is_said(tmp_path, models):
    with (
        OpenAIServer(lambda *_: says("x"), models=models) as server,
        pytest.raises(MissingPart, match="list its models"),
    ):
        asked(server, ["a", "b"], tmp_path / "a.jsonl", dataclasses.replace(QUICK, retries=1))


def test_a_teacher_that_is_not_there_is_said(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and never listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(MissingPart, match=r"the teacher cannot be reached .*; is the server running"):
            ask(Teacher.at(url), prompts("a", "b"), Answers(tmp_path / "a.jsonl"), QUICK, lambda _: None)


def test_a_teacher_that_goes_away_leaves_what_it_said(tmp_path):
    file = tmp_path / "a.jsonl"

    def behave(prompt, attempt):
        if len(server.asked) < 4:
            return says("x")
        server.close()
        return None

    server = OpenAIServer(behave)
    with pytest.raises(MissingPart, match=r"cannot be reached.*are kept"):
        asked(server, [f"q{n}" for n in range(30)], file, dataclasses.replace(QUICK, concurrency=1))
    assert len(kept(file)) == 3


def test_a_teacher_without_a_word_is_given_up_early(tmp_path):
    with OpenAIServer(lambda *_: says("")) as server:
        with pytest.raises(MissingPart, match=r"gave 0 usable answers to 200 prompts.*were empty, 0 failed"):
            asked(server, [f"q{n}" for n in range(200)], tmp_path / "a.jsonl")
        assert len(server.asked) < 30


def test_cancelling_ends_the_asking_at_once(tmp_path):
    hanging = threading.Event()
    began = time.monotonic()

    def tell(at):
        if time.monotonic() - began > 0.5:
            raise JobCancelled("enough")

    with OpenAIServer(lambda *_: (hanging.wait(30), says("x"))[1]) as server:
        with pytest.raises(JobCancelled):
            asked(server, ["a", "b"], tmp_path / "a.jsonl", dataclasses.replace(QUICK, timeout=60.0), tell)
        assert time.monotonic() - began < 5
        hanging.set()


@pytest.mark.parametrize(
    ("url", "says_"),
    [
        ("teacher", "write http://host:port"), ("ftp://x", "write http://host:port"), ("http://", "write http://"),
        ("http://host:99999", "write http://"), ("http://me:pw@host", "give it as api_key"),
        ("http://host/v1?key=1", "give it as api_key"),
    ],
)  # fmt: skip
def test_addresses_that_are_none(url, says_):
    with pytest.raises(InvalidInput, match=says_):
        Teacher.at(url)


def test_a_key_that_cannot_be_sent():
    with pytest.raises(InvalidInput, match="characters that no key has"):
        Teacher.at("http://host", None, "a\nb")
    assert Teacher.at("http://host:8000/v1/").url == "http://host:8000"
