"""The smoke test: does a server answer, everywhere a client will ask, and how fast is one request.

Every step is a real request. Its figures are those of one request at a time on an idle server: a sign of life and
a first look at speed, not a benchmark.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from workbench.engines.vllm.metrics import Metrics
from workbench.errors import InvalidInput, WorkbenchError
from workbench.serving.client import Client, Generation, Prompt

_T = TypeVar("_T")

PROMPT = "The purpose of a function is to"


@dataclass(frozen=True)
class Step:
    """One question to the server.

    Attributes
    ----------
    name : str
        "health", "version", "models", "completion", "chat", "sampling", "streaming" or "metrics".
    status : {"passed", "failed", "skipped"}
        Skipped is what does not apply to this model or server; ``detail`` says why.
    detail : str
        What was seen.
    seconds : float
        How long it took [s].
    """

    name: str
    status: Literal["passed", "failed", "skipped"]
    detail: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it did not fail."""
        return self.status != "failed"


@dataclass(frozen=True)
class SmokeResult:
    """What a smoke test saw; numbers are None where the step that measures them failed.

    Attributes
    ----------
    steps : tuple of Step
        In order.
    answer : str or None
        The greedy completion of the prompt.
    ttft : float or None
        Time to the first token of one streamed request [s].
    tpot : float or None
        Its time per output token after the first [s].
    itl_median, itl_max : float or None
        Times between two pieces of its text [s].
    tokens_per_s : float or None
        Its completion tokens over its whole time [tokens/s].
    engine_ttft, engine_tpot : float or None
        The same two times as the engine itself counted them in ``/metrics`` [s]. On a machine with few cores the
        server may hand several tokens over at once, and the client's times then say little.
    prompt_tokens, completion_tokens : int or None
        Of that request.
    """

    url: str
    model: str | None = None
    version: str | None = None
    steps: tuple[Step, ...] = ()
    answer: str | None = None
    ttft: float | None = None
    tpot: float | None = None
    itl_median: float | None = None
    itl_max: float | None = None
    tokens_per_s: float | None = None
    engine_ttft: float | None = None
    engine_tpot: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def ok(self) -> bool:
        """Whether there were steps and none failed."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """As plain data, ``ok`` included."""
        return {
            "ok": self.ok,
            **asdict(self),
            "steps": [{**asdict(step), "ok": step.ok} for step in self.steps],
        }

    def __str__(self) -> str:
        marks = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}
        return "\n".join(f"{step.name:<11} {marks[step.status]:<8} {step.detail}" for step in self.steps)


class _Skip(Exception):
    """A step that does not apply; the text says why."""


@dataclass
class _Record:
    steps: list[Step] = field(default_factory=list)
    on_step: Callable[[Step], None] | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time the block; what it appends to the list is the detail."""
        detail: list[str] = []
        begin = time.perf_counter()
        status: Literal["passed", "failed", "skipped"] = "passed"
        try:
            yield detail
        except _Skip as skip:
            status, detail[:] = "skipped", [str(skip)]
        except (WorkbenchError, KeyError, ValueError, IndexError, TypeError) as error:
            # An answer of another shape than the API's is a failed step, not a crash.
            text = str(error) if isinstance(error, WorkbenchError) else f"unexpected answer: {error!r}"
            status, detail[:] = "failed", [text]
        done = Step(name, status, " · ".join(detail), time.perf_counter() - begin)
        self.steps.append(done)
        if self.on_step:
            self.on_step(done)


def smoke(
    url: str,
    *,
    prompt: str = PROMPT,
    max_tokens: int = 64,
    api_key: str | None = None,
    model: str | None = None,
    timeout: float = 120.0,
    on_step: Callable[[Step], None] | None = None,
    **sampling: Any,
) -> SmokeResult:
    """Ask a running server everything that matters once.

    Parameters
    ----------
    url : str
        ``http://host:port`` of any server of OpenAI's API; what only vLLM has (``/version``, ``/metrics``) is skipped
        elsewhere.
    prompt : str
        What is completed.
    max_tokens : int
        Length of the streamed answer whose speed is taken [tokens].
    api_key : str, optional
        Bearer token.
    model : str, optional
        Which model to ask; by default the first that the server names.
    timeout : float
        Longest silence of the server [s].
    on_step : callable, optional
        Called with each :class:`Step` as it ends.
    **sampling
        Parameters of the streamed answer, added to ``max_tokens`` and ``ignore_eos``: ``temperature``, ``top_p`` …

    Returns
    -------
    SmokeResult
        Also when every step failed; only a bad URL raises.
    """
    if max_tokens < 2:
        raise InvalidInput(f"max_tokens is {max_tokens}; speed needs at least 2 tokens")
    record = _Record(on_step=on_step)
    seen: dict[str, Any] = {}
    with Client(url, api_key=api_key, timeout=timeout, model=model) as client:
        with record.step("health") as detail:
            if not client.healthy(timeout=10.0):
                raise WorkbenchError(f"{client.url}/health does not answer 200; is the server running?")
            detail.append("answers 200")
        if record.steps[-1].ok:
            _ask(client, record, seen, prompt, max_tokens, sampling)
        return SmokeResult(url=client.url, steps=tuple(record.steps), **seen)


def _ask(
    client: Client,
    record: _Record,
    seen: dict[str, Any],
    prompt: str,
    max_tokens: int,
    sampling: dict[str, Any],
) -> None:
    before: Metrics | None = None
    with record.step("version") as detail:
        seen["version"] = _unless_missing(client.version, "the server does not tell its version")
        detail.append(seen["version"])
    with record.step("models") as detail:
        models = client.models()
        seen["model"] = client.model
        asked = next((model for model in models if model["id"] == client.model), {})
        length = asked.get("max_model_len")
        detail.append(seen["model"] + (f", up to {length:,} tokens" if length else ""))
        before = _metrics_or_none(client)
    asked_with: Prompt = prompt
    with record.step("completion") as detail:
        # The first request also warms the server up, so that the streamed one below is not slowed by it.
        try:
            answer = client.generate(prompt, max_tokens=24, temperature=0)
        except InvalidInput as error:
            if not any(f"HTTP {code}" in str(error) for code in (404, 405)):
                raise
            asked_with = [{"role": "user", "content": prompt}]
            raise _Skip("the server has no /v1/completions; it is asked by chat") from error
        _expect_tokens(answer, 24)
        seen["answer"] = answer.text
        detail.append(_shown(answer))
    with record.step("chat") as detail:
        detail.append(_shown(_chat(client)))
    with record.step("sampling") as detail:
        asking = {"max_tokens": 12, "temperature": 0.9, "top_p": 0.95, "seed": 7}
        first, left_out = _accepted(client.generate, asked_with, asking, {"top_k": 40})
        second, _ = _accepted(client.generate, asked_with, asking, {"top_k": 40})
        _expect_tokens(first, 12)
        _expect_tokens(second, 12)
        same = "repeats with its seed" if first.text == second.text else "does not repeat with its seed"
        detail += [_shown(first), same, *left_out]
    with record.step("streaming") as detail:
        earlier = _metrics_or_none(client)
        streamed, left_out = _accepted(
            client.stream_whole, asked_with, {"max_tokens": max_tokens, **sampling}, {"ignore_eos": True}
        )
        _expect_tokens(streamed, max_tokens)
        if streamed.ttft is None or not streamed.gaps:
            raise WorkbenchError("the answer came in one piece instead of a stream")
        seen.update(
            ttft=streamed.ttft,
            tpot=streamed.tpot,
            itl_median=statistics.median(streamed.gaps),
            itl_max=max(streamed.gaps),
            tokens_per_s=streamed.tokens_per_s,
            prompt_tokens=streamed.prompt_tokens,
            completion_tokens=streamed.completion_tokens,
            engine_ttft=_engine_mean(client, earlier, "ttft"),
            engine_tpot=_engine_mean(client, earlier, "itl"),
        )
        detail.append(f"first token after {streamed.ttft * 1000:.0f} ms")
        tpot = seen["engine_tpot"] or streamed.tpot
        if tpot is not None:
            detail.append(f"{tpot * 1000:.1f} ms per token")
        detail += [f"{streamed.tokens_per_s:.1f} tokens/s", *left_out]
    with record.step("metrics") as detail:
        detail += _check_metrics(client, before)


def _unless_missing(ask: Callable[[], _T], why: str) -> _T:
    """What vLLM has and other servers of the same API need not have, or not show to everybody."""
    try:
        return ask()
    except InvalidInput as error:
        if any(f"HTTP {code}" in str(error) for code in (401, 403, 404, 405)):
            raise _Skip(why) from error
        raise


def _accepted(
    ask: Callable[..., Generation], prompt: Prompt, sampling: dict[str, Any], further: dict[str, Any]
) -> tuple[Generation, list[str]]:
    """An answer, and what was left out: parameters that are vLLM's own are not asked of a server that refuses them."""
    try:
        return ask(prompt, **{**further, **sampling}), []
    except InvalidInput as error:
        if not any(name in str(error) and name not in sampling for name in further):
            raise
    return ask(prompt, **sampling), [f"without {', '.join(further)}, which the server does not take"]


def _metrics_or_none(client: Client) -> Metrics | None:
    try:
        return client.metrics()
    except WorkbenchError:
        return None


def _engine_mean(client: Client, earlier: Metrics | None, name: str) -> float | None:
    """Mean of a histogram over what happened since a reading, as nobody else asks meanwhile."""
    now = _metrics_or_none(client)
    if now is None or name not in now.histograms:
        return None
    fresh = now.histograms[name].since(earlier.histograms.get(name) if earlier else None)
    return fresh.mean if fresh.count else None


def _expect_tokens(answer: Generation, most: int) -> None:
    if not 0 < answer.completion_tokens <= most:
        raise WorkbenchError(f"asked for 1 to {most} tokens, got {answer.completion_tokens}")


def _shown(answer: Generation) -> str:
    text = " ".join(answer.text.split())
    return f"{answer.completion_tokens} tokens: “{text[:60]}{'…' if len(text) > 60 else ''}”"


def _chat(client: Client) -> Generation:
    try:
        answer = client.generate([{"role": "user", "content": "Say hello."}], max_tokens=24, temperature=0)
    except InvalidInput as error:
        if "chat template" in str(error).lower():
            raise _Skip("the model has no chat template; it completes text only") from error
        raise
    _expect_tokens(answer, 24)
    return answer


def _check_metrics(client: Client, before: Metrics | None) -> list[str]:
    after = _unless_missing(client.metrics, "the server has no /metrics")
    generated = after.counters.get("generation_tokens")
    if generated is None:
        raise _Skip("the page has none of vLLM's metrics")
    fresh = generated - (before.counters.get("generation_tokens", 0.0) if before else 0.0)
    if fresh <= 0:
        raise WorkbenchError("/metrics counted none of the tokens that were generated")
    memory = after.memory()
    detail = [f"{fresh:,.0f} tokens counted"]
    if memory.kv_cache_tokens:
        detail.append(f"KV cache of {memory.kv_cache_tokens:,} tokens")
    return detail
