"""One inspection of one endpoint: what several checks need is asked once and shared."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from workbench.checklist.asking import OWN, Asker, Reply
from workbench.checklist.figures import Thresholds
from workbench.checklist.finding import Evidence, bad, unknown
from workbench.checklist.subject import Subject
from workbench.engines.vllm.metrics import Metrics, parse_metrics
from workbench.errors import InvalidInput

_T = TypeVar("_T")

REACH = "Start the endpoint, or correct its address; everything else waits for that."


@dataclass(frozen=True)
class Voice:
    """How the model is asked.

    Attributes
    ----------
    kind : {"chat", "completions", ""}
        Which route answers; empty where none does.
    replies : tuple of Reply
        What was tried.
    """

    kind: str
    replies: tuple[Reply, ...]

    @property
    def line(self) -> str:
        """Why nothing is generated."""
        return "; ".join(f"{reply.asked} → {reply.line}" for reply in self.replies)


class Inspection:
    """What a check is given to look at.

    Parameters
    ----------
    subject : Subject
        What is judged.
    thresholds : Thresholds
        The figures that decide.
    asker : Asker
        Asks the endpoint.
    """

    def __init__(self, subject: Subject, thresholds: Thresholds, asker: Asker) -> None:
        self.subject, self.thresholds, self.asker = subject, thresholds, asker
        self._made: dict[str, asyncio.Task[Any]] = {}

    @property
    def manifests(self) -> tuple[Mapping[str, Any], ...]:
        """Kubernetes objects and rule files that were given."""
        return self.subject.manifests

    async def once(self, name: str, make: Callable[[], Awaitable[_T]]) -> _T:
        """What several checks need, made by the first that asks."""
        if name not in self._made:
            self._made[name] = asyncio.ensure_future(make())
        # A check that runs out of time must not take the others' evidence with it.
        found: _T = await asyncio.shield(self._made[name])
        return found

    async def close(self) -> None:
        """End what is under way."""
        for task in self._made.values():
            task.cancel()
        await asyncio.gather(*self._made.values(), return_exceptions=True)
        await self.asker.close()

    async def ask(self, method: str, path: str, **more: Any) -> Reply:
        """One question to the endpoint (:meth:`Asker.ask`)."""
        return await self.asker.ask(method, path, **more)

    # --- what the endpoint is -----------------------------------------------------------------------------------

    async def reach(self) -> Reply:
        """Whether anybody is there; afterwards nothing is asked of who is not."""

        async def make() -> Reply:
            first = await self.ask("GET", "/v1/models")
            if first.status is None:
                second = await self.ask("GET", "/health")
                if second.status is None:
                    self.asker.silent = f"not asked, since {self.subject.url} gave no answer before: {first.error}"
                    self.asker.silent = self.subject.hide(self.asker.silent)
            return first

        return await self.once("reach", make)

    async def models(self) -> list[dict[str, Any]]:
        """The served models, as the endpoint lists them."""
        data = (await self.reach()).json()
        listed = data.get("data") if isinstance(data, dict) else None
        rows = listed if isinstance(listed, list) else []
        return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]

    async def model(self) -> str:
        """The name that is asked for: the expected one where it is served, else the first."""
        names = [row["id"] for row in await self.models()]
        expected = self.subject.model
        return expected if expected and (expected in names or not names) else names[0] if names else "model"

    async def max_model_len(self) -> int | None:
        """Longest prompt and answer together [tokens], where the endpoint says it."""
        name = await self.model()
        for row in await self.models():
            if row["id"] == name and isinstance(row.get("max_model_len"), int):
                return int(row["max_model_len"])
        return None

    async def voice(self) -> Voice:
        """Which route generates."""

        async def make() -> Voice:
            replies = []
            for kind in ("chat", "completions"):
                reply = await self._say(kind, "Hello", system=None, max_tokens=1)
                replies.append(reply)
                if reply.ok and isinstance(reply.json(), dict) and "choices" in reply.json():
                    return Voice(kind, tuple(replies))
            return Voice("", tuple(replies))

        return await self.once("voice", make)

    async def say(self, prompt: str, *, system: str | None = None, max_tokens: int = 16, **more: Any) -> Reply:
        """Ask the model; without a voice, the reply says why."""
        voice = await self.voice()
        if not voice.kind:
            return voice.replies[-1]
        return await self._say(voice.kind, prompt, system=system, max_tokens=max_tokens, **more)

    async def _say(
        self,
        kind: str,
        prompt: str,
        *,
        system: str | None,
        max_tokens: int,
        temperature: float = 0.0,
        stream: bool = False,
        key: str | None = OWN,
        fields: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Reply:
        body: dict[str, Any] = {"model": await self.model(), "max_tokens": max_tokens, "temperature": temperature}
        body |= dict(fields or {})
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if kind == "chat":
            before = [{"role": "system", "content": system}] if system else []
            body["messages"] = [*before, {"role": "user", "content": prompt}]
            return await self.ask("POST", "/v1/chat/completions", body=body, stream=stream, key=key, **more)
        body["prompt"] = f"{system}\n\n{prompt}" if system else prompt
        return await self.ask("POST", "/v1/completions", body=body, stream=stream, key=key, **more)

    async def speechless(self, *, fatal: bool = False) -> Evidence | None:
        """Evidence that nothing can be generated; None where it can."""
        voice = await self.voice()
        if voice.kind:
            return None
        found = bad if fatal else unknown
        return found("ask for one token", voice.line, "Let the model answer first; see the API's own check.")

    # --- what the engine says of itself -------------------------------------------------------------------------

    async def metrics_page(self) -> Reply:
        """``/metrics``, read once."""
        return await self.once("metrics", self._read_metrics)

    async def _read_metrics(self) -> Reply:
        return await self.ask("GET", "/metrics", base=self.subject.metrics or "")

    async def metrics(self, *, fresh: bool = False) -> Metrics | None:
        """The engine's own figures; None where the endpoint does not show them."""
        reply = await (self._read_metrics() if fresh else self.metrics_page())
        return metrics_of(reply)

    async def exported(self) -> set[str]:
        """Names of metrics on the endpoint's page, without the endings of histograms and counters."""
        reply = await self.metrics_page()
        return names_on(reply.text) if reply.ok else set()

    def marker(self, what: str) -> str:
        """A word that occurs nowhere else."""
        return f"{what}-{secrets.token_hex(6)}"


def metrics_of(reply: Reply) -> Metrics | None:
    """A page of metrics, read; None if it is none of vLLM's."""
    if not reply.ok:
        return None
    try:
        found = parse_metrics(reply.text)
    except InvalidInput:
        return None
    return found if found.gauges or found.counters or found.histograms else None


def names_on(page: str) -> set[str]:
    """Names of the samples on a page of metrics.

    >>> sorted(names_on("# HELP a b\\nvllm:x_bucket{le=\\"1\\"} 2\\nvllm:y_total 3\\n"))
    ['vllm:x', 'vllm:x_bucket', 'vllm:y', 'vllm:y_total']
    """
    names = set()
    for line in page.splitlines():
        if line and not line.startswith("#"):
            name = line.split("{", 1)[0].split(" ", 1)[0]
            names.add(name)
            for ending in ("_bucket", "_sum", "_count", "_total"):
                names.add(name.removesuffix(ending))
    return names
