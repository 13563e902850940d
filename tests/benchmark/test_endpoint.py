"""A server that is dead, half dead or no model server is told in a sentence before any load is put on it."""

import threading
import time

import httpx
import pytest
from streaming_server import StreamingServer

from workbench.benchmark.endpoint import Manner, approach, warm_up
from workbench.errors import InvalidInput, MissingPart, WorkbenchError
from workbench.jobs import JobCancelled
from workbench.serving.ports import Reservation


def ask(server, **changes):
    return approach(server.url, **{"api_key": None, "model": None, "isl": 32, "osl": 8, "patience": 1.0, **changes})


def always(fault):
    return StreamingServer(lambda _: fault)


def test_a_good_server_is_asked_for_one_whole_answer():
    with StreamingServer(owner="vllm") as server:
        assert ask(server) == Manner("stand-in", owner="vllm")
        (body,) = server.bodies
        assert (body["max_tokens"], body["ignore_eos"], body["stream"]) == (8, True, True)
        assert "min_tokens" not in body


def test_nothing_listens():
    held = Reservation()
    with pytest.raises(MissingPart, match=r"cannot be reached .*; is the server running\?"):
        approach(f"http://127.0.0.1:{held.port}", api_key=None, model=None, isl=8, osl=8)
    held.release()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", "HTTP 500: CUDA error"),
        ("hang", "does not answer in"),
        ("drip", "does not answer in 1 s"),
        ("garbage", "is not OpenAI's API"),
        ("cut", "cannot be reached|is not OpenAI's API"),
        ("empty", "without a single token"),
        ("whole", "in one piece"),
        ("dead", "cannot be reached"),
    ],
)
def test_what_is_wrong_is_one_sentence(fault, said):
    with always(fault) as server:
        begin = time.monotonic()
        with pytest.raises(WorkbenchError, match=said) as caught:
            ask(server)
        assert time.monotonic() - begin < 10
        assert "\n" not in str(caught.value).strip()
        assert "Traceback" not in str(caught.value)


def test_waiting_for_a_server_that_hangs_can_be_given_up():
    cancel = threading.Event()
    with always("hang") as server:
        threading.Timer(0.3, cancel.set).start()
        begin = time.monotonic()
        with pytest.raises(JobCancelled, match="was cancelled"):
            ask(server, patience=60.0, cancel=cancel)
        assert cancel.is_set()
        cancel.clear()
        threading.Timer(0.3, cancel.set).start()
        with pytest.raises(JobCancelled, match="was cancelled"):
            warm_up(
                server.url, Manner("stand-in"), api_key=None, isl=8, osl=8, requests=2, patience=60.0, cancel=cancel
            )
        assert time.monotonic() - begin < 10


def test_another_model_than_it_serves():
    with StreamingServer() as server, pytest.raises(InvalidInput, match="serves stand-in and not llama"):
        ask(server, model="llama")


@pytest.mark.parametrize(
    "listing", [b"<html>", b"[]", b'{"data": 5}', b'{"data": []}', b'{"data": [{"no": 1}]}', b'{"models": []}', b"\xff"]
)
def test_a_list_of_models_that_is_none(listing):
    with StreamingServer(listing=listing) as server, pytest.raises(WorkbenchError, match=r"not OpenAI's API|no model"):
        ask(server)


def test_a_key_that_is_wanted():
    with StreamingServer(key="secret") as server:
        with pytest.raises(InvalidInput, match="refuses this API key") as caught:
            ask(server, api_key="wrong")
        assert "wrong" not in str(caught.value)
        with pytest.raises(InvalidInput, match="wants an API key"):
            ask(server)
        assert ask(server, api_key="secret").whole


def test_a_server_of_chats_only():
    with StreamingServer(chat_only=True) as server:
        found = ask(server)
        assert (found.chat, found.endpoint) == (True, "/v1/chat/completions")


def test_a_server_that_ends_answers_is_asked_for_a_least_length():
    with StreamingServer(stops=True, minimum=True) as server:
        assert (ask(server).minimum, ask(server).whole) == (True, True)
    with StreamingServer(stops=True) as server:
        assert (ask(server).minimum, ask(server).whole) == (False, False)


def test_warm_ups_come_together_and_are_other_prompts():
    with StreamingServer(gap=0.05) as server:
        warm_up(server.url, Manner("stand-in"), api_key=None, isl=64, osl=4, requests=6)
        assert server.most > 1
        prompts = {body["prompt"] for body in server.bodies}
        assert len(prompts) == 6
        assert all(len(prompt.split()) == 32 for prompt in prompts)


def test_warm_ups_of_a_server_that_hangs_end_in_time():
    with always("hang") as server:
        begin = time.monotonic()
        warm_up(server.url, Manner("stand-in"), api_key=None, isl=8, osl=4, requests=3, patience=1.0)
        assert time.monotonic() - begin < 5


def test_the_stand_in_really_answers():
    """What the other tests rest on, seen with a client that is not ours."""
    with StreamingServer() as server:
        body = {"model": "stand-in", "prompt": "a", "max_tokens": 3, "stream": True}
        text = httpx.post(f"{server.url}/v1/completions", json=body).text
        assert text.count('"text": "word "') == 3
        assert text.endswith("data: [DONE]\n\n")
        assert threading.active_count() < 50
