"""Ask an endpoint that may be slow, broken or hostile: every question ends, and no answer is too large."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx

from workbench.checklist.finding import Evidence, Status
from workbench.checklist.subject import Subject
from workbench.serving.sse import events

#: No more of an answer is read [bytes].
LARGEST = 512 * 1024
#: No more of an answer is shown [characters].
SHOWN = 160
#: A rate limit that comes in the way of a question is waited for this long at most [s], this often.
WAIT, TRIES = 5.0, 4
#: Stands for the user's own key.
OWN = "\0own"


@dataclass(frozen=True)
class Reply:
    """What came back, or why nothing did.

    Attributes
    ----------
    asked : str
        Method and path.
    status : int or None
        HTTP status; None where there was no answer.
    headers : mapping
        Names in lower case.
    text : str
        The answer, as far as it was read.
    seconds : float
        From sending to the end [s].
    error : str
        Why there is no answer, or why it ended early.
    ttft : float or None
        Time to the first piece of text of a stream [s].
    gaps : tuple of float
        Times between its pieces [s].
    tokens : int
        Tokens of a stream: as the server counts them, else its pieces.
    said : str
        The text of a stream.
    """

    asked: str
    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    seconds: float = 0.0
    error: str = ""
    ttft: float | None = None
    gaps: tuple[float, ...] = ()
    tokens: int = 0
    said: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is 200 and whole."""
        return self.status == 200 and not self.error

    @property
    def refused_for_key(self) -> bool:
        """Whether it asks for another key."""
        return self.status in (401, 403)

    @property
    def tps(self) -> float | None:
        """Tokens a second after the first; None where the stream had one piece."""
        passed = sum(self.gaps)
        return (self.tokens - 1) / passed if self.tokens > 1 and passed > 0 else None

    def json(self) -> Any:
        """The answer as data; None where it is no JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def answer(self) -> str:
        """What the model said: of a stream, a chat or a completion."""
        if self.said:
            return self.said
        return _said(self.json())

    @property
    def line(self) -> str:
        """In a line, for people."""
        if self.status is None:
            return self.error
        shown = " ".join(self.said.split() or self.text.split())
        cut = "…" if len(shown) > SHOWN else ""
        ended = f", {self.error}" if self.error else ""
        return f"HTTP {self.status} after {self.seconds * 1000:.0f} ms{ended}" + (
            f": “{shown[:SHOWN]}{cut}”" if shown else ""
        )

    def as_evidence(self, status: Status, mend: str = "", *, asked: str = "", note: str = "") -> Evidence:
        """As a piece of evidence."""
        return Evidence(asked or self.asked, f"{note}: {self.line}" if note else self.line, status, mend)


class Asker:
    """Asks an endpoint, a few questions at once, each with an end.

    Parameters
    ----------
    subject : Subject
        Where, and with which key.
    timeout : float
        Longest time for a whole question [s].
    most : int
        Most questions in all.
    together : int
        Most questions at once.
    """

    def __init__(self, subject: Subject, *, timeout: float = 20.0, most: int = 600, together: int = 4) -> None:
        self.subject, self.timeout, self.most = subject, timeout, most
        self.sent = 0
        #: Answers 429 so far, also those that were waited for.
        self.refused = 0
        #: Why nothing more is asked of the endpoint; empty while it answers.
        self.silent = ""
        self._gate = asyncio.Semaphore(together)
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout),
            trust_env=not subject.local,  # a proxy must not be asked for this machine's own addresses
            limits=httpx.Limits(max_connections=256),
            headers={"Accept-Encoding": "identity", "User-Agent": "llm-workbench-readiness"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        key: str | None = OWN,
        base: str = "",
        params: Mapping[str, str] | None = None,
        patient: bool = True,
        gated: bool = True,
        stream: bool = False,
        timeout: float | None = None,
    ) -> Reply:
        """One question; never raises for what the endpoint does.

        Parameters
        ----------
        method, path : str
            As in ``GET /health``.
        body : optional
            Sent as JSON.
        key : str or None
            Bearer token: the user's own unless another or none is given.
        base : str
            Another server's address.
        patient : bool
            Whether a rate limit is waited for.
        gated : bool
            Whether it waits for its turn; a load does not.
        stream : bool
            Whether the answer is a stream of events whose times count.
        timeout : float, optional
            Longest time for it [s].
        """
        reply = Reply(f"{method} {path}", None, error="not asked")
        for attempt in range(TRIES):
            if self.silent and not base:
                return Reply(f"{method} {path}", None, error=self.silent)
            if self.sent >= self.most:
                return Reply(f"{method} {path}", None, error=f"not asked: {self.most} questions are the most")
            async with self._gate if gated else contextlib.nullcontext():
                self.sent += 1
                reply = await self._once(method, path, body, key, base, params, stream, timeout or self.timeout)
            self.refused += reply.status == 429
            if reply.status != 429 or not patient or attempt == TRIES - 1:
                break
            await asyncio.sleep(wait_of(reply))
        return reply

    async def _once(
        self,
        method: str,
        path: str,
        body: Any,
        key: str | None,
        base: str,
        params: Mapping[str, str] | None,
        stream: bool,
        timeout: float,
    ) -> Reply:
        token = self.subject.api_key if key == OWN and not base else None if key == OWN else key
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked = f"{method} {path}"
        chunks: list[tuple[float, bytes]] = []
        status, got = None, httpx.Headers()
        error = ""
        begin = time.perf_counter()
        try:
            async with (
                asyncio.timeout(timeout),
                self._http.stream(
                    method, (base or self.subject.url) + path, json=body, headers=headers, params=params
                ) as response,
            ):
                status, got = response.status_code, response.headers
                size = 0
                async for chunk in _raw(response):
                    chunks.append((time.perf_counter() - begin, chunk))
                    size += len(chunk)
                    if size > LARGEST:
                        error = f"more than {LARGEST // 1024} KiB came; the rest was not read"
                        break
                    if stream and b"[DONE]" in chunk:
                        break
        except TimeoutError:
            error = f"no {'end' if status else 'answer'} within {timeout:g} s"
        except httpx.TimeoutException:
            error = f"no {'end' if status else 'answer'} within {timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as problem:
            error = f"the connection failed ({type(problem).__name__}: {str(problem)[:120]})"
        seconds = time.perf_counter() - begin
        text = self.subject.hide(b"".join(part for _, part in chunks).decode("utf-8", errors="replace"))
        reply = Reply(
            asked, status, {k.lower(): self.subject.hide(v) for k, v in got.items()}, text, seconds,
            self.subject.hide(error),
        )  # fmt: skip
        return self._streamed(reply, chunks) if stream and status == 200 else reply

    def _streamed(self, reply: Reply, chunks: list[tuple[float, bytes]]) -> Reply:
        """The same, with what the stream said and when."""
        now = [0.0]

        def parts() -> Any:
            for at, chunk in chunks:
                now[0] = at
                yield chunk

        pieces, times, usage, error, ended = [], [], 0, reply.error, False
        for data in events(parts()):
            if data.strip() == "[DONE]":
                ended = True
                break
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):
                error = error or "the stream holds what is no JSON"
                break
            if not isinstance(event, dict) or event.get("error"):
                error = error or "the stream holds an error"
                break
            counted = event.get("usage")
            if isinstance(counted, dict) and isinstance(counted.get("completion_tokens"), int):
                usage = counted["completion_tokens"]
            if piece := _said(event):
                pieces.append(piece)
                times.append(now[0])
        if not error and not pieces:
            error = "the stream brought no text"
        elif not error and not ended:
            error = "the stream broke off"
        return Reply(
            reply.asked, reply.status, reply.headers, reply.text, reply.seconds, error,
            ttft=times[0] if times else None, gaps=tuple(b - a for a, b in pairwise(times)),
            tokens=usage or len(pieces), said=self.subject.hide("".join(pieces)),
        )  # fmt: skip


async def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    """Bytes as they came: a compressed answer, which was not asked for, is not blown up."""
    async for chunk in response.aiter_raw():
        yield chunk


def wait_of(reply: Reply) -> float:
    """How long a rate limit asks to wait, within what anybody can [s]."""
    try:
        return min(max(float(reply.headers.get("retry-after", "1")), 0.1), WAIT)
    except ValueError:
        return 1.0


def _said(data: Any) -> str:
    """The text of a completion, an answer or an event."""
    choices = data.get("choices") if isinstance(data, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    part = choice.get("delta") or choice.get("message") or choice
    if not isinstance(part, dict):
        return ""
    names = ("text", "content", "reasoning_content", "reasoning")
    return "".join(value for name in names if isinstance(value := part.get(name), str))
