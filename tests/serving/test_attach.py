"""Attach to servers that are not vLLM: a provider with a key and many models, a chat-only one, no such thing at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import workbench as wb
from workbench.cli import main
from workbench.errors import InvalidInput

KEY = "sk-of-the-test"


@pytest.fixture
def provider() -> Iterator[Callable[..., str]]:
    """A server as providers run it: all but /v1 is hidden, unknown parameters are refused, a key is wanted."""
    started: list[ThreadingHTTPServer] = []

    def start(completions: bool = True, prefix: str = "", models: tuple[str, ...] = ("small", "large")) -> str:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def reply(self, status: int, body: Any, kind: str = "application/json") -> None:
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def allowed(self) -> bool:
                if self.headers.get("Authorization") == f"Bearer {KEY}":
                    return True
                self.reply(401, {"error": {"message": "no key"}})
                return False

            def do_GET(self) -> None:
                if self.path == f"{prefix}/v1/models":
                    if self.allowed():
                        self.reply(200, {"data": [{"id": name} for name in models]})
                else:  # a gateway does not tell what is behind it
                    self.reply(403, {"error": {"message": "forbidden"}})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not self.allowed():
                    return
                chat = self.path == f"{prefix}/v1/chat/completions"
                if not chat and not (completions and self.path == f"{prefix}/v1/completions"):
                    self.reply(404, {"error": {"message": "Invalid URL"}})
                    return
                if unknown := {"top_k", "ignore_eos"} & set(body):
                    message = f"Unrecognized request argument supplied: {unknown.pop()}"
                    self.reply(400, {"error": {"message": message}})
                    return
                words = [f"{body['model']} ", "says ", "hello"]
                usage = {"prompt_tokens": 2, "completion_tokens": 3}
                if not body.get("stream"):
                    text = "".join(words)
                    choice = {"message": {"content": text}} if chat else {"text": text}
                    self.reply(200, {"choices": [{**choice, "finish_reason": "stop"}], "usage": usage})
                    return
                deltas = [{"delta": {"content": word}} if chat else {"text": word} for word in words]
                lines = [json.dumps({"choices": [delta]}) for delta in deltas]
                lines += [json.dumps({"choices": [], "usage": usage}), "[DONE]"]
                self.reply(200, "".join(f"data: {line}\n\n" for line in lines).encode(), "text/event-stream")

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        started.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}{prefix}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_a_provider_is_asked_with_its_key_for_the_model_that_is_meant(provider: Callable[..., str]) -> None:
    url = provider(prefix="/openai")
    with wb.serve(url + "/v1", api_key=KEY, model="large") as server:
        assert (server.status, server.error, server.url) == ("ready", None, url)
        assert server.generate("x").text == "large says hello"
        assert server.version is None
        assert server.report.kv_cache is None
        result = server.smoke(max_tokens=8)
    status = {step.name: (step.status, step.detail) for step in result.steps}
    assert result.ok, str(result)
    assert {name for name, (how, _) in status.items() if how == "skipped"} == {"version", "metrics"}
    assert result.model == "large"
    assert "without top_k" in status["sampling"][1]
    assert "without ignore_eos" in status["streaming"][1]
    assert result.completion_tokens == 3
    first = wb.serve(url, api_key=KEY)
    assert first.generate("x").text == "small says hello"


def test_a_server_that_only_chats_is_timed_by_chat(provider: Callable[..., str]) -> None:
    result = wb.serve(provider(completions=False), api_key=KEY).smoke(max_tokens=8)
    status = {step.name: step.status for step in result.steps}
    assert result.ok, str(result)
    assert (status["completion"], status["chat"], status["streaming"]) == ("skipped", "passed", "passed")
    assert result.tokens_per_s


def test_what_is_wrong_with_an_address_is_said(provider: Callable[..., str]) -> None:
    url = provider()
    for key, said in ((None, "wants an API key"), ("wrong", "refuses this API key")):
        found = wb.serve(url, api_key=key)
        assert found.status == "failed"
        assert said in str(found.error)
        assert "wrong" not in str(found.error)
    missing = wb.serve(url, api_key=KEY, model="huge")
    assert missing.status == "failed"
    assert str(missing.error).endswith("does not serve huge; it serves small, large")
    with pytest.raises(InvalidInput, match="for a running server"):
        wb.serve("builtin", api_key=KEY)
    with pytest.raises(InvalidInput, match="for a running server"):
        wb.serve("builtin", model="x")


def test_the_command_line_takes_the_key_from_a_variable(
    provider: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = provider()
    monkeypatch.setenv("KEY_OF_THE_TEST", KEY)
    words = ["smoke", url, "--max-tokens", "8", "--json", "--api-key-env", "KEY_OF_THE_TEST"]
    assert main([*words, "--served-model", "large"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["model"] == "large"
    assert KEY not in out
    monkeypatch.setenv("KEY_OF_THE_TEST", "")
    assert main(words) == 2
    assert "KEY_OF_THE_TEST is empty" in capsys.readouterr().err
    assert main(["smoke", "builtin", "--served-model", "x"]) == 2
