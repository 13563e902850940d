"""Servers that answer badly: real HTTP, on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import workbench as wb
from workbench.errors import InvalidInput, MissingPart, WorkbenchError
from workbench.serving import Client, smoke
from workbench.serving.ports import Reservation

Answers = dict[str, tuple[int, str]]
MODELS = json.dumps({"data": [{"id": "m"}]})


@pytest.fixture
def serving() -> Iterator[Callable[[Answers], str]]:
    """Start a server with fixed answers by path; 404 elsewhere."""
    started: list[ThreadingHTTPServer] = []

    def start(answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, text = answers.get(self.path, (404, '{"detail": "Not Found"}'))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = answer

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        started.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "nonsense"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InvalidInput, match="http://host:port"):
        Client(url)


def test_nobody_there() -> None:
    nobody = Reservation()
    url = f"http://127.0.0.1:{nobody.port}"
    with Client(url) as client:
        assert not client.healthy()
        with pytest.raises(MissingPart, match="is the server running"):
            client.version()
    found = wb.serve(url)
    assert found.status == "failed"
    assert found.error is not None
    with pytest.raises(WorkbenchError, match="is the server running"):
        found.wait_ready()
    nobody.release()


def test_refusals_carry_the_servers_words(serving: Callable[[Answers], str]) -> None:
    url = serving(
        {
            "/v1/models": (200, MODELS),
            "/v1/completions": (
                400,
                '{"error": {"message": "temperature must be non-negative", "code": 400}}',
            ),
            "/v1/chat/completions": (500, "<html>broken</html>"),
            "/version": (401, "{}"),
        }
    )
    with Client(url) as client:
        with pytest.raises(InvalidInput, match="temperature must be non-negative"):
            client.generate("x", temperature=-1)
        with pytest.raises(WorkbenchError, match=r"HTTP 500.*broken") as failed:
            client.generate([{"role": "user", "content": "x"}])
        assert not isinstance(failed.value, InvalidInput)
        with pytest.raises(InvalidInput, match="wants an API key"):
            client.version()


def test_a_stream_that_breaks_off(serving: Callable[[Answers], str]) -> None:
    event = {"choices": [{"text": "Hel"}]}
    broken = f"data: {json.dumps(event)}\n\n" + 'data: {"error": {"message": "engine died"}}\n\n'
    url = serving({"/v1/models": (200, MODELS), "/v1/completions": (200, broken)})
    with Client(url) as client:
        stream = client.stream("x")
        assert next(stream) == "Hel"
        with pytest.raises(WorkbenchError, match="engine died"):
            next(stream)


def test_thoughts_count_as_pieces(serving: Callable[[Answers], str]) -> None:
    deltas = [{"role": "assistant", "content": ""}, {"reasoning_content": "hm "}, {"content": "yes"}]
    lines = [json.dumps({"choices": [{"delta": delta, "finish_reason": None}]}) for delta in deltas]
    lines += [json.dumps({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}), "[DONE]"]
    text = "".join(f"data: {line}\n\n" for line in lines)
    url = serving({"/v1/models": (200, MODELS), "/v1/chat/completions": (200, text)})
    with Client(url) as client:
        answer = client.stream_whole([{"role": "user", "content": "x"}])
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("hm yes", 4, 2)
    assert len(answer.gaps) == 1


def test_smoke_of_another_engine_skips_what_only_vllm_has(serving: Callable[[Answers], str]) -> None:
    answer = {"choices": [{"text": "a b", "finish_reason": "length"}], "usage": {"completion_tokens": 2}}
    url = serving({"/health": (200, ""), "/v1/models": (200, MODELS), "/v1/completions": (200, json.dumps(answer))})
    result = smoke(url)
    status = {step.name: step.status for step in result.steps}
    assert status["version"] == status["metrics"] == "skipped"
    assert status["completion"] == "passed"
    assert status["streaming"] == "failed"  # it answers a stream with one piece of JSON
    assert not result.ok
    assert result.tokens_per_s is None


def test_smoke_of_something_else_entirely_fails_and_does_not_crash(serving: Callable[[Answers], str]) -> None:
    url = serving({"/health": (200, "ok"), "/v1/models": (200, "[]"), "/version": (200, "7")})
    result = smoke(url)
    assert not result.ok
    assert {step.status for step in result.steps if step.name in ("models", "completion")} == {"failed"}
    with pytest.raises(InvalidInput, match="max_tokens"):
        smoke(url, max_tokens=1)
