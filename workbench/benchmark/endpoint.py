"""The first questions to a server that is to be measured: whether it answers at all, and how it wants to be asked.

A load generator counts what came back; it does not say why nothing did. So one whole answer is streamed first, and
what is wrong with it is told in a sentence. The requests that warm the server up are sent here too: their prompts are
not the load's, so that a prefix cache gives nothing away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.errors import InvalidInput, MissingPart, WorkbenchError
from workbench.jobs import JobCancelled
from workbench.serving import Client, Generation
from workbench.serving.client import Prompt

#: Share of the tokens asked for below which an answer counts as short; a tokenizer that counts the words again, where
#: the server does not tell, comes out a little lower.
WHOLE = 0.8
#: Owners of models, by the engines that know ``ignore_eos``. Others pass over it (llama-cpp-python) and are asked for a
#: least number of tokens, which would slow down the first two a little.
_IGNORE_EOS = frozenset({"vllm", "sglang"})
#: A server that says nothing for so long is not at work [s].
_SILENCE = 300.0
#: Words of a warm-up's prompt: one token each, or nearly, whatever the tokenizer.
_WORDS = ("the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not")


@dataclass(frozen=True)
class Manner:
    """How a server wants to be asked.

    Attributes
    ----------
    model : str
        The model's name in requests.
    chat : bool
        Whether it answers chats only.
    minimum : bool
        Whether it is asked for a least number of tokens, since it does not know ``ignore_eos``.
    whole : bool
        Whether its answers are as long as they are asked for.
    root : str
        Where it says that the model's files lie, if it does.
    owner : str
        Who it says the model belongs to; engines write their own name there.
    """

    model: str
    chat: bool = False
    minimum: bool = False
    whole: bool = True
    root: str = ""
    owner: str = ""

    @property
    def endpoint(self) -> str:
        """The path of the API that is asked."""
        return "/v1/chat/completions" if self.chat else "/v1/completions"


def approach(
    url: str,
    *,
    api_key: str | None,
    model: str | None,
    isl: int,
    osl: int,
    patience: float = 300.0,
    cancel: threading.Event | None = None,
) -> Manner:
    """Ask for one whole answer, and see how the server wants to be asked.

    Parameters
    ----------
    url, api_key
        As :class:`workbench.serving.Client` takes them.
    model : str, optional
        By default the first that it serves.
    isl, osl : int
        Tokens of a request of the load that follows.
    patience : float
        Longest wait for each answer, of which not more than five minutes in silence [s].
    cancel : Event, optional
        Ends the waiting when set.

    Raises
    ------
    JobCancelled
        ``cancel`` was set.
    MissingPart
        Nothing listens there, or it does not answer in time.
    InvalidInput
        It refuses: no such model, no key, too long a prompt; the message is its own.
    WorkbenchError
        It fails, or what it says is not OpenAI's API.
    """
    silence, wait = min(patience, _SILENCE), _Patience(patience, cancel)
    with Client(url, api_key=api_key, timeout=silence) as client:
        listed = wait.answered(client, client.models)
        found = [each for each in listed if isinstance(each, dict) and each.get("id")]
        if not found:
            raise WorkbenchError(f"{client.url} serves no model")
    names = [str(each["id"]) for each in found]
    if model is not None and model not in names:
        raise InvalidInput(f"{url} serves {', '.join(names)} and not {model}")
    entry = found[names.index(model)] if model is not None else found[0]
    owner = str(entry.get("owned_by") or "")
    manner = Manner(str(entry["id"]), minimum=owner not in _IGNORE_EOS, root=str(entry.get("root") or ""), owner=owner)
    with Client(url, api_key=api_key, timeout=silence, model=manner.model) as client:
        try:
            answer = _ask(client, manner, isl, osl, wait)
        except InvalidInput as error:
            if "HTTP 404" in str(error) or "HTTP 405" in str(error):
                manner = replace(manner, chat=True)  # it has no /v1/completions
            elif manner.minimum:
                manner = replace(manner, minimum=False)  # it refuses what it does not know
            else:
                raise
            answer = _ask(client, manner, isl, osl, wait)
        manner = replace(manner, whole=_is_whole(answer, osl))
        manner = replace(manner, minimum=manner.minimum and manner.whole)  # else it passes over min_tokens too
        if osl > 1 and not answer.gaps:
            raise WorkbenchError(
                f"{url} sends its answer in one piece, so there is no time to the first token to measure"
            )
        return manner


def warm_up(
    url: str,
    manner: Manner,
    *,
    api_key: str | None,
    isl: int,
    osl: int,
    requests: int,
    patience: float = 300.0,
    cancel: threading.Event | None = None,
) -> None:
    """Send requests at the same time and forget the answers; one that fails is the load's to tell.

    Raises
    ------
    JobCancelled
        ``cancel`` was set meanwhile.
    """
    if requests < 1:
        return
    wait = _Patience(patience, cancel)
    with Client(url, api_key=api_key, timeout=patience, model=manner.model) as client:

        def one(number: int) -> None:
            try:
                client.stream_whole(_prompt(manner, isl, number), **_sampling(manner, osl))
            except Exception:  # the load that follows meets the same, and counts it
                return

        threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(1, requests + 1)]
        for thread in threads:
            thread.start()
        wait.ended(threads)


def _ask(client: Client, manner: Manner, isl: int, osl: int, wait: _Patience) -> Generation:
    answer = wait.answered(client, lambda: client.stream_whole(_prompt(manner, isl, 0), **_sampling(manner, osl)))
    if not isinstance(answer, Generation) or answer.ttft is None or answer.completion_tokens < 1:
        raise WorkbenchError(f"{client.url} answers without a single token")
    return answer


def _sampling(manner: Manner, osl: int) -> dict[str, Any]:
    asked: dict[str, Any] = {"max_tokens": osl, "temperature": 0, "ignore_eos": True}
    return asked | ({"min_tokens": osl} if manner.minimum else {})


def _prompt(manner: Manner, isl: int, number: int) -> Prompt:
    """Half as many words as the load has tokens, other ones than it has, so that it fits in any tokenizer."""
    words = [_WORDS[(place * (number + 1) + number) % len(_WORDS)] for place in range(max(isl // 2, 1))]
    text = " ".join([str(number), *words][: max(isl // 2, 1)])
    return [{"role": "user", "content": text}] if manner.chat else text


def _is_whole(answer: Generation, osl: int) -> bool:
    return answer.completion_tokens >= WHOLE * osl


@dataclass(frozen=True)
class _Patience:
    """How long is waited for each answer [s], and what ends the waiting."""

    seconds: float
    cancel: threading.Event | None = None

    def ended(self, threads: Sequence[threading.Thread]) -> bool:
        """Whether all of them end in time; JobCancelled once nobody wants to know."""
        deadline = time.monotonic() + self.seconds
        while left := [thread for thread in threads if thread.is_alive()]:
            if self.cancel is not None and self.cancel.is_set():
                raise JobCancelled("the benchmark was cancelled")
            if time.monotonic() > deadline:
                return False
            left[0].join(0.1)
        return True

    def answered(self, client: Client, ask: Callable[[], Any]) -> Any:
        """What is answered, in time; what is no answer of OpenAI's API as a sentence.

        A server that keeps the line open with a word now and then never breaks a connection's own time limit, so the
        question is asked in a thread.
        """
        kept: list[Any] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                kept.append(ask())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            answered = self.ended([thread])
        except JobCancelled:
            client.close()
            raise
        if not answered:
            client.close()
            raise MissingPart(f"{client.url} does not answer in {self.seconds:g} s; is it still alive?")
        if not failed:
            return kept[0]
        error = failed[0]
        if isinstance(error, WorkbenchError):
            raise error
        if isinstance(error, ValueError | KeyError | TypeError | AttributeError | IndexError):
            raise WorkbenchError(
                f"what {client.url} sends is not OpenAI's API ({type(error).__name__}: {error})"
            ) from error
        raise error
