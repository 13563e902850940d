"""What all clients share: where they ask, with which key, what."""

from __future__ import annotations

from typing import Any

from workbench.exports.subject import Subject

#: Environment variables of a client.
URL, KEY = "LLM_URL", "LLM_API_KEY"
_QUESTION = "What is a KV cache? Answer in one sentence."
_LONGEST = 256  # tokens
_PYTHON = '''\
"""Asks the server a question by {about} and prints the answer as it comes."""

import os

{imported}

client = {client}(
    base_url=os.environ.get("{url_name}", {url!r}) + "/v1",
    api_key=os.environ["{key_name}"],
    timeout={timeout},  # seconds: as long as a whole answer was planned to take
)
answer = client.{call}(
    model={model!r},
    messages={messages!r},
    max_tokens={max_tokens},
    stream=True,
)
for part in answer:
    for choice in part.choices:
        print(choice.delta.content or "", end="", flush=True)
print()
'''


def url(subject: Subject) -> str:
    """Where clients reach the deployment unless told otherwise."""
    return f"https://{subject.wishes.host}"


def question(subject: Subject) -> dict[str, Any]:
    """A chat's request, streamed."""
    longest = min(_LONGEST, max(1, subject.max_model_len // 2))
    return {
        "model": subject.served,
        "messages": [{"role": "user", "content": _QUESTION}],
        "max_tokens": longest,
        "stream": True,
    }


def python(subject: Subject, about: str, imported: str, client: str, call: str) -> str:
    """A client in Python, whose library has OpenAI's words: what it is, its import, its class, its method."""
    asked = {key: value for key, value in question(subject).items() if key != "stream"}
    return _PYTHON.format(
        about=about,
        imported=imported,
        client=client,
        call=call,
        url_name=URL,
        key_name=KEY,
        url=url(subject),
        timeout=subject.longest_answer,
        **asked,
    )


def steps(subject: Subject, run: str, install: str = "") -> list[str]:
    """What to set, what to run."""
    found = [f"Install it: `{install}`."] if install else []
    local = f"http://127.0.0.1:{subject.wishes.port}"
    found.append(
        f"Put the key into `{KEY}` and run `{run}`; it asks `{url(subject)}` unless `{URL}` says otherwise, such as "
        f"`{local}`."
    )
    return [*found, "It needs a model with a chat template; others answer `/v1/completions` only."]
