"""What nginx and HAProxy agree on: who gets in, how much each may ask, what is refused and in which words.

The proxy asks for the key, not the engine behind it. An engine knows one key for all: who shares it cannot be told
apart, limited or shut out alone, and vLLM asks for it below ``/v1`` only
(https://docs.vllm.ai/en/stable/usage/security/). So each client has a key of its own, which ends at the proxy, and the
engine gets its own key from the proxy, which no client knows.

Only numbers and DNS names (:mod:`workbench.exports.names`) are put into the texts: neither format needs to quote them.
"""

from __future__ import annotations

import json
import math

from workbench.errors import InvalidInput
from workbench.exports.subject import Subject
from workbench.exports.writing import script

#: Ports that the proxy itself listens on, without and with TLS.
PORTS = (80, 443)
#: Below ``/v1``, but not for clients: with VLLM_ALLOW_RUNTIME_LORA_UPDATING they load any folder into the engine
#: (https://docs.vllm.ai/en/stable/features/lora/).
CLOSED = ("/v1/load_lora_adapter", "/v1/unload_lora_adapter")


def burst(subject: Subject) -> int:
    """Requests a client may send at once: what a second brings, or what a replica was planned to answer together."""
    return max(math.ceil(subject.wishes.requests_per_s), subject.at_once)


def again(subject: Subject) -> int:
    """When a client that was refused may come again [s]."""
    return max(1, math.ceil(1 / subject.wishes.requests_per_s))


def says(message: str) -> str:
    """An error's body as OpenAI's API has it.

    >>> says("no such route")
    '{"error": {"message": "no such route"}}'
    """
    return json.dumps({"error": {"message": message}})


NO_KEY = says("send a valid key: Authorization: Bearer ...")
TOO_FAST = says("too many requests of this key; come again later")
NO_ROUTE = says("there is no such route")
DOWN = says("no engine answers; come again later")


def obstacle(subject: Subject) -> str | None:
    """Replicas on ports that are not there, or that the proxy itself listens on."""
    try:
        ports = [int(address.rpartition(":")[2]) for address in subject.addresses]
    except InvalidInput as error:
        return str(error)
    taken = sorted(set(ports) & set(PORTS))
    return f"port is {subject.wishes.port}: the proxy itself listens on {taken[0]}" if taken else None


def new_key(file: str, line: str) -> str:
    """A script that makes a key for one client, appends a line to the proxy's file and prints the key, once.

    Parameters
    ----------
    file : str
        Of the keys, beside the proxy's configuration.
    line : str
        Shell commands that print the line for ``$name`` and ``$key``.
    """
    return script(
        "# Makes a key for one client. Its name is what the log and the rate limit know it by.",
        'name="${1:?say whose: new-key.sh NAME}"\n'
        'case "$name" in\n'
        '    *[!a-z0-9-]*) echo "a name is lower-case letters, digits and dashes" >&2; exit 2 ;;\n'
        "esac",
        f'file="${{2:-$(dirname "$0")/{file}}}"\n'
        "# Nobody but its owner may read it; the proxy does so before it gives its rights away.\n"
        "umask 077\n"
        'mkdir -p "$(dirname "$file")"\n'
        "key=\"sk-$(od -An -N32 -tx1 /dev/urandom | tr -d ' \\n')\"\n"
        f'{line} >>"$file"\n'
        "printf '%s\\n' \"$key\"",
    )
