"""Talk to a served model: OpenAI's HTTP API as vLLM and other servers speak it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from workbench.engines.vllm.metrics import Metrics, parse_metrics
from workbench.errors import InvalidInput, MissingPart, WorkbenchError
from workbench.serving.sse import events

Prompt = str | Sequence[dict[str, Any]]
# What a server answers for an address that it does not have, or does not show to everybody.
_ABSENT = (401, 403, 404, 405, 501)


@dataclass(frozen=True)
class Generation:
    """One answer and how it came.

    Attributes
    ----------
    text : str
        The answer (of the first choice).
    prompt_tokens, completion_tokens : int
        As the server counts them.
    seconds : float
        From sending the request to its end [s].
    finish_reason : str
        "stop" or "length".
    ttft : float or None
        Time to the first token [s]; only of a streamed answer.
    gaps : tuple of float
        Times between one piece of text and the next [s]; only of a streamed answer.
    texts : tuple of str
        All choices, where n > 1 was asked for.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    finish_reason: str = ""
    ttft: float | None = None
    gaps: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def tokens_per_s(self) -> float:
        """Completion tokens over the whole request's time [tokens/s]."""
        return self.completion_tokens / self.seconds if self.seconds > 0 else 0.0

    @property
    def tpot(self) -> float | None:
        """Time per output token after the first [s]; only of a streamed answer of two tokens or more."""
        if self.ttft is None or self.completion_tokens < 2:
            return None
        return sum(self.gaps) / (self.completion_tokens - 1)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "tokens_per_s": self.tokens_per_s, "tpot": self.tpot}

    def __str__(self) -> str:
        return self.text


class Client:
    """A client of one server.

    Parameters
    ----------
    url : str
        ``http://host:port``, with or without ``/v1``.
    api_key : str, optional
        Sent as a bearer token.
    timeout : float
        Longest silence of the server [s].
    model : str, optional
        Which of its models to ask; by default the first that it names.

    Raises
    ------
    InvalidInput
        The URL is none.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout: float = 300.0, model: str | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(f"{url!r} is not the address of a server; write http://host:port")
        self.url = url.rstrip("/").removesuffix("/v1")
        # A proxy that the environment names must not be asked for this machine's own addresses.
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=10.0),
            trust_env=not local,
        )
        self._model = model

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what it is ---------------------------------------------------------------------------------------------

    def healthy(self, timeout: float = 2.0) -> bool:
        """Whether it answers and says it is well; never raises for a server that is not there.

        A server that has no ``/health`` (llama-cpp-python's, a provider's) is well when it names its models.
        """
        try:
            answer = self._http.get("/health", timeout=timeout).status_code
            if answer in _ABSENT:
                answer = self._http.get("/v1/models", timeout=timeout).status_code
            return answer == 200
        except httpx.HTTPError:
            return False

    def version(self) -> str:
        """The engine's version."""
        return str(self._get("/version").json()["version"])

    def models(self) -> list[dict[str, Any]]:
        """The served models: ``id``, ``max_model_len`` …"""
        return list(self._get("/v1/models").json()["data"])

    @property
    def model(self) -> str:
        """Id of the model that is asked: as given, else of the first served."""
        if self._model is None:
            models = self.models()
            if not models:
                raise WorkbenchError(f"{self.url} serves no model")
            self._model = str(models[0]["id"])
        return self._model

    def metrics(self) -> Metrics:
        """One reading of ``/metrics``."""
        return parse_metrics(self.metrics_text())

    def metrics_text(self) -> str:
        """The page ``/metrics`` as it is."""
        return self._get("/metrics").text

    # --- what it says -------------------------------------------------------------------------------------------

    def generate(self, prompt: Prompt, **sampling: Any) -> Generation:
        """One answer, whole.

        Parameters
        ----------
        prompt : str or list of messages
            Text is completed (``/v1/completions``); messages (``[{"role": "user", "content": …}]``) are answered
            (``/v1/chat/completions``).
        **sampling
            ``max_tokens``, ``temperature``, ``top_p``, ``top_k``, ``seed``, ``stop``, ``n`` … as the API names them.

        Raises
        ------
        InvalidInput
            The server refuses a parameter; the message is its own.
        """
        path, body = self._request(prompt, sampling)
        begin = time.perf_counter()
        answer = self._post(path, body).json()
        seconds = time.perf_counter() - begin
        texts = tuple(_text_of(choice) for choice in answer["choices"])
        usage = answer.get("usage") or {}
        return Generation(
            text=texts[0],
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
            seconds=seconds,
            finish_reason=answer["choices"][0].get("finish_reason") or "",
            texts=texts,
        )

    def stream(self, prompt: Prompt, **sampling: Any) -> Iterator[str | Generation]:
        """Pieces of text as they come, and last the :class:`Generation` with their times.

        Parameters and errors are :meth:`generate`'s.
        """
        path, body = self._request(prompt, sampling)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        pieces: list[str] = []
        times: list[float] = []
        usage: dict[str, Any] = {}
        reason = ""
        begin = time.perf_counter()
        try:
            with self._http.stream("POST", path, json=body) as response:
                if response.status_code != 200:
                    response.read()
                    raise _refusal(response)
                for data in events(response.iter_bytes()):
                    if data == "[DONE]":
                        break
                    event = json.loads(data)
                    if "error" in event:
                        raise WorkbenchError(f"the server broke off: {_message(event)}")
                    usage = event.get("usage") or usage
                    for choice in event.get("choices", ())[:1]:
                        piece = _text_of(choice)
                        reason = choice.get("finish_reason") or reason
                        if piece:
                            times.append(time.perf_counter() - begin)
                            pieces.append(piece)
                            yield piece
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        yield Generation(
            text="".join(pieces),
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", len(pieces)),
            seconds=time.perf_counter() - begin,
            finish_reason=reason,
            ttft=times[0] if times else None,
            gaps=tuple(later - earlier for earlier, later in pairwise(times)),
            texts=("".join(pieces),),
        )

    def stream_whole(self, prompt: Prompt, **sampling: Any) -> Generation:
        """A streamed answer, taken to its end, for its times."""
        last: str | Generation = ""
        for last in self.stream(prompt, **sampling):  # noqa: B007
            pass
        if not isinstance(last, Generation):
            raise WorkbenchError("the server ended the stream without a word")
        return last

    # --- plumbing -----------------------------------------------------------------------------------------------

    def _request(self, prompt: Prompt, sampling: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {"model": self.model, **sampling}
        if isinstance(prompt, str):
            return "/v1/completions", {**body, "prompt": prompt}
        return "/v1/chat/completions", {**body, "messages": list(prompt)}

    def _get(self, path: str) -> httpx.Response:
        try:
            response = self._http.get(path)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status_code != 200:
            raise _refusal(response)
        return response

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        try:
            response = self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status_code != 200:
            raise _refusal(response)
        return response

    def _unreachable(self, error: httpx.HTTPError) -> MissingPart:
        kind = "does not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
        return MissingPart(f"{self.url} {kind} ({error or type(error).__name__}); is the server running?")


def _text_of(choice: dict[str, Any]) -> str:
    part = choice.get("delta") or choice.get("message") or choice
    # A reasoning model's thoughts are tokens too: they come under a name of their own.
    return part.get("text") or part.get("content") or part.get("reasoning_content") or part.get("reasoning") or ""


def _message(body: dict[str, Any]) -> str:
    error = body.get("error") or body.get("detail") or body  # FastAPI's own refusals come as "detail"
    return str(error.get("message", error) if isinstance(error, dict) else error)


def _refusal(response: httpx.Response) -> WorkbenchError:
    try:
        text = _message(response.json())
    except (ValueError, AttributeError):
        text = response.text.strip()[:300]
    if response.status_code in (401, 403):
        does = "refuses this API key" if "authorization" in response.request.headers else "wants an API key"
        return InvalidInput(f"{response.request.url} {does} (HTTP {response.status_code})")
    kind = InvalidInput if 400 <= response.status_code < 500 else WorkbenchError
    return kind(f"{response.request.url.path} answered HTTP {response.status_code}: {text}")
