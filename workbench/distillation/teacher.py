"""Ask a teacher many things at once: patiently where it is busy, at once clear where it will never answer."""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from workbench.distillation.answers import Answers, Origin
from workbench.errors import InvalidInput, MissingPart, WorkbenchError
from workbench.progress import Progress

T = TypeVar("T")

#: Too many requests, and what a server says while it starts, restarts or is overrun: worth another attempt.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
#: Waits between attempts [s]: the first, doubled each time, and the longest, also of what a server asks for.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
#: So many prompts without a single answer, and no further one is tried.
_HOPELESS = 16


@dataclass(frozen=True, slots=True)
class Teacher:
    """Where a model answers.

    Parameters
    ----------
    url : str
        ``http://host:port``, without ``/v1``.
    model : str or None
        Its name there; None for the first that is served.
    api_key : str or None
        Sent as a bearer token, shown nowhere.
    """

    url: str
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, url: str, model: str | None = None, api_key: str | None = None) -> Self:
        """Checked.

        Raises
        ------
        InvalidInput
            The address is none, or holds a password, or the key cannot be sent.
        """
        try:
            parts = urlsplit(url)
            well = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            well = False
        if not well:
            raise InvalidInput(f"{url!r} is not the address of a server; write http://host:port")
        if parts.username or parts.password or parts.query:
            raise InvalidInput("a key does not belong into the teacher's address; give it as api_key")
        if api_key is not None and (not api_key.isascii() or not api_key.isprintable() or not api_key.strip()):
            raise InvalidInput("the api_key holds characters that no key has")
        return cls(url.rstrip("/").removesuffix("/v1"), model, api_key)

    def client(self, timeout: float, connections: int) -> httpx.AsyncClient:
        """Connections to it."""
        # A proxy that the environment names must not be asked for this machine's own addresses.
        local = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.api_key}"} if self.api_key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            limits=httpx.Limits(max_connections=connections),
            trust_env=not local,
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """How it is asked.

    Parameters
    ----------
    max_tokens : int
        Longest answer.
    temperature : float
        Of the sampling.
    concurrency : int
        Requests under way at once.
    retries : int
        Attempts after the first.
    timeout : float
        Longest time of a request [s].
    """

    max_tokens: int
    temperature: float
    concurrency: int
    retries: int
    timeout: float


@dataclass
class Asked:
    """What came of it.

    Parameters
    ----------
    teacher_model : str
        Who answered.
    prompts, kept : int
        How many there are, and how many of them were answered before.
    keys : list of str
        Names in :class:`Answers` of what was answered, in the order of the prompts.
    cut : int
        Answers that reached ``max_tokens``.
    empty, failed : int
        Answers without a word, prompts without an answer.
    reasons : Counter
        Why, in the server's words.
    """

    teacher_model: str
    prompts: int
    kept: int = 0
    keys: list[str] = field(default_factory=list)
    cut: int = 0
    empty: int = 0
    failed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """Figures, ready for JSON."""
        return {
            "teacher_model": self.teacher_model,
            "prompts": self.prompts,
            "kept": self.kept,
            "answered": len(self.keys),
            "cut": self.cut,
            "empty": self.empty,
            "failed": self.failed,
            "reasons": dict(self.reasons.most_common(5)),
        }


class _Passing(Exception):
    """An attempt that failed and may not fail again.

    Parameters
    ----------
    reason : str
        Why.
    wait : float or None
        What the server asks to wait [s].
    reached : bool
        Whether there was a server at all.
    """

    def __init__(self, reason: str, wait: float | None = None, *, reached: bool = True) -> None:
        super().__init__(reason)
        self.wait, self.reached = wait, reached


class _Refused(Exception):
    """The server will never answer this prompt; the others it may."""


def ask(
    teacher: Teacher,
    prompts: Sequence[Sequence[Mapping[str, Any]]],
    answers: Answers,
    wanted: Wanted,
    tell: Callable[[Progress], None],
) -> Asked:
    """Ask everything that is not answered yet, and keep each answer as it comes.

    Parameters
    ----------
    teacher : Teacher
        Who is asked.
    prompts : sequence of messages
        Each ends with what the user says.
    answers : Answers
        Read already; grows.
    wanted : Wanted
        How.
    tell : callable
        Takes progress several times a second; what it raises ends the asking at once.

    Raises
    ------
    MissingPart
        The teacher cannot be reached, or gives no usable answer.
    InvalidInput
        It wants another key, or does not know the model or the address.
    """
    # In a thread of its own: whoever calls may be in one that has a loop already, as a notebook is.
    with ThreadPoolExecutor(1, "asking") as own:
        return own.submit(asyncio.run, _ask(teacher, prompts, answers, wanted, tell)).result()


async def _ask(
    teacher: Teacher,
    prompts: Sequence[Sequence[Mapping[str, Any]]],
    answers: Answers,
    wanted: Wanted,
    tell: Callable[[Progress], None],
) -> Asked:
    async with teacher.client(wanted.timeout, wanted.concurrency) as http:
        model = teacher.model or await _while_telling(_served(http, wanted), tell)
        origin = Origin(model, wanted.max_tokens, wanted.temperature)
        keys = [origin.key(prompt) for prompt in prompts]
        missing = [(k, p) for k, p in zip(keys, prompts, strict=True) if answers.of(k) is None]
        asked = Asked(model, len(prompts), kept=len(prompts) - len(missing))
        waiting = iter(missing)
        began, done = time.monotonic(), 0

        async def work() -> None:
            nonlocal done
            for key, prompt in waiting:
                await _one(http, key, prompt, answers, origin, wanted, asked)
                done += 1
                if asked.failed + asked.empty == done >= _HOPELESS:
                    return

        def so_far(_: Progress | None = None) -> None:
            left = (time.monotonic() - began) / done * (len(missing) - done) if done else None
            detail = f"{asked.kept + done} of {len(prompts)} prompts"
            if lost := asked.empty + asked.failed:
                detail += f", {lost} without an answer"
            tell(Progress((asked.kept + done) / len(prompts), "asking the teacher", detail, left))

        async def together() -> None:
            workers = [asyncio.ensure_future(work()) for _ in range(min(wanted.concurrency, len(missing)))]
            try:
                await asyncio.gather(*workers)
            finally:  # one that fails for good ends the others
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

        await _while_telling(together(), so_far)
    lines = {key: line for key in keys if (line := answers.of(key)) is not None}
    asked.keys, asked.cut = list(lines), sum(line["finish_reason"] == "length" for line in lines.values())
    if len(lines) < 2:
        reason, _ = next(iter(asked.reasons.most_common(1)), ("its answers are empty", 0))
        raise MissingPart(
            f"{teacher.url} gave {len(lines)} usable answers to {len(prompts)} prompts, at least 2 are "
            f"needed: {asked.empty} were empty, {asked.failed} failed ({reason})"
        )
    return asked


async def _while_telling(work: Awaitable[T], tell: Callable[[Progress], None]) -> T:
    """Wait for it, telling meanwhile; if telling raises, or the work does, nothing of it goes on."""
    task: asyncio.Future[T] = asyncio.ensure_future(work)
    try:
        while True:
            tell(Progress(None, "asking the teacher"))
            done, _ = await asyncio.wait([task], timeout=0.2)
            if done:
                result = task.result()
                tell(Progress(None, "asking the teacher"))
                return result
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _one(
    http: httpx.AsyncClient,
    key: str,
    prompt: Sequence[Mapping[str, Any]],
    answers: Answers,
    origin: Origin,
    wanted: Wanted,
    asked: Asked,
) -> None:
    """Ask one prompt and keep or count what comes."""
    body = {
        "model": origin.teacher,
        "messages": list(prompt),
        "max_tokens": wanted.max_tokens,
        "temperature": wanted.temperature,
    }
    try:
        text, reason = await _patiently(wanted, lambda: _answer(http, body, wanted.timeout))
    except (_Passing, _Refused) as error:
        asked.failed += 1
        asked.reasons[str(error)] += 1
        return
    if text.strip():
        answers.add(key, origin.line(prompt, text.strip(), reason))
    else:
        asked.empty += 1


async def _served(http: httpx.AsyncClient, wanted: Wanted) -> str:
    """Name of the first model that is served."""

    async def first() -> str:
        said = await _said(http, "GET", "/v1/models", None, wanted.timeout)
        try:
            return str(said["data"][0]["id"])
        except (KeyError, TypeError, IndexError):
            raise _Passing("it names no model; give teacher_model") from None

    try:
        return await _patiently(wanted, first)
    except _Refused as error:
        raise InvalidInput(f"{http.base_url} does not list its models ({error}); give teacher_model") from None
    except _Passing as error:
        raise MissingPart(
            f"{http.base_url} does not list its models ({error}); is it a server of OpenAI's API?"
        ) from None


async def _answer(http: httpx.AsyncClient, body: Mapping[str, Any], timeout: float) -> tuple[str, str]:
    """Text and finish reason of one answer."""
    said = await _said(http, "POST", "/v1/chat/completions", body, timeout)
    try:
        choice = said["choices"][0]
        text = choice["message"]["content"]
        text = "" if text is None else text
        text.encode()  # not half a character
    except (KeyError, TypeError, IndexError, AttributeError, UnicodeEncodeError):
        raise _Passing("it answers in another form than OpenAI's API") from None
    return text, str(choice.get("finish_reason") or "")


async def _said(http: httpx.AsyncClient, method: str, path: str, body: Any, timeout: float) -> Any:
    """What the server says, as JSON."""
    try:
        async with asyncio.timeout(timeout):  # httpx counts from one byte to the next, and a byte a minute is no answer
            response = await http.request(method, path, json=body)
    except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout):
        raise _Passing(f"no answer within {timeout:g} s") from None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise _Passing(str(error) or "no connection", reached=False) from None
    except httpx.HTTPError as error:
        raise _Passing(f"the connection broke: {error or type(error).__name__}") from None
    status = response.status_code
    if status in (401, 403):
        given = "refuses the API key" if "authorization" in http.headers else "wants an API key"
        raise InvalidInput(f"{response.url} {given} (HTTP {status})")
    if status == 404:
        raise InvalidInput(f"{response.url} knows neither this address nor model (HTTP 404: {_words(response)})")
    if status in _PASSING:
        raise _Passing(f"HTTP {status}: {_words(response)}", _asked_to_wait(response))
    if status != 200:
        raise _Refused(f"HTTP {status}: {_words(response)}")
    try:
        return response.json()
    except (ValueError, RecursionError):
        raise _Passing("it answers with something that is no JSON") from None


async def _patiently(wanted: Wanted, attempt: Callable[[], Awaitable[T]]) -> T:
    """Attempt until it succeeds, longer apart each time."""
    for wait in [*_waits(wanted.retries), None]:
        try:
            return await attempt()
        except _Passing as error:
            if wait is None:
                if error.reached:
                    raise
                raise MissingPart(
                    f"the teacher cannot be reached ({error}); is the server running? Answers that came are kept"
                ) from None
            await asyncio.sleep(min(max(wait, error.wait or 0.0), _LONGEST_WAIT))
    raise WorkbenchError("unreachable")


def _waits(retries: int) -> Iterator[float]:
    """Doubling, and a little apart, so that those who were refused together do not come back together."""
    for number in range(retries):
        yield min(_FIRST_WAIT * 2**number, _LONGEST_WAIT) * random.uniform(1.0, 1.25)


def _asked_to_wait(response: httpx.Response) -> float | None:
    """``Retry-After``: seconds or a date (RFC 9110, section 10.2.3)."""
    said = response.headers.get("retry-after", "")
    try:
        return max(float(said), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None


def _words(response: httpx.Response) -> str:
    """What an error says, on one short line."""
    try:
        body = json.loads(response.text)
        error = body.get("error", body) if isinstance(body, dict) else body
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, RecursionError):
        text = response.text
    return " ".join(text.split())[:200]
