"""How transformers' server is started: the process's command line and its environment variables. Starts nothing itself.

A plan's command is ``transformers serve MODEL …``, and it is that server which is started, by ``server.py`` beside this
file. It answers OpenAI's API with ``model.generate``, one request after the other, and takes lengths from each request:
``max_model_len`` and ``max_num_seqs`` of a plan bound what is asked of it, not what it allows.

References
----------
transformers 5.19.0 ``cli/serve.py`` (options), ``integrations/accelerate.py`` (``device_map`` needs accelerate, which
is why the environments hold it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.engines.starting import OFFLINE, at_address
from workbench.errors import InvalidInput

#: Starts the server within the environment.
SERVER = Path(__file__).with_name("server.py")
#: Set for every server: no usage report leaves the machine, no thread of a tokenizer outlives a fork.
ALWAYS: dict[str, str] = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def process_command(command: Sequence[str], python: Path, host: str, port: int) -> list[str]:
    """The command of a plan as it is started: by an environment's own Python, at one address.

    Parameters
    ----------
    command : sequence of str
        ``transformers serve MODEL …``.
    python : Path
        The environment's interpreter.

    Raises
    ------
    InvalidInput
        The command is not one of ``transformers serve``, or names another host or port.

    Examples
    --------
    >>> process_command(["transformers", "serve", "m"], Path("/e/bin/python"), "127.0.0.1", 8000)[2:]
    ['serve', 'm', '--host', '127.0.0.1', '--port', '8000']
    """
    words = list(command)
    if words[:2] != ["transformers", "serve"] or len(words) < 3:
        raise InvalidInput("the command to start must begin with `transformers serve MODEL`")
    return [str(python), str(SERVER), *at_address(words[1:], host, port)]


def process_environment(
    inherited: Mapping[str, str],
    *,
    offline: bool,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment variables that the server is started with.

    Parameters
    ----------
    inherited : mapping
        What programs of its environment run with; tokens, CUDA and proxy settings pass through.
    offline : bool
        Whether the model is a local folder, so that nothing needs to be asked of Hugging Face.
    more : mapping, optional
        Set last.

    Examples
    --------
    >>> process_environment({"HF_TOKEN": "t"}, offline=True)["HF_HUB_OFFLINE"]
    '1'
    """
    return {**inherited, **ALWAYS, **(OFFLINE if offline else {}), **(more or {})}
