"""``wb.translate``: a pasted command, file, call or query, for the release that is wanted."""

from __future__ import annotations

import json

from workbench.engines.vllm.schema import Schema, schema
from workbench.errors import InvalidInput
from workbench.translation import (
    dashboards,
    dockerfiles,
    llama_python,
    manifests,
    other_tools,
    python_calls,
    reading,
    scraping,
    server,
    triton,
)
from workbench.translation.moved import Made
from workbench.translation.pasted import Lines, Pasted
from workbench.translation.result import Part, Translation
from workbench.translation.server import Offers

#: Longer texts are no command.
LONGEST = 4_000_000
#: More commands than this are no page that a person reads.
MOST = 1_000
#: So many times the nearest names are looked for in a text; comparing is what takes time.
_OFFERS = 50


def translate(text: str, version: str | None = None) -> Translation:
    """What becomes of an old vLLM command, file, call or query under another release.

    Read are a shell's lines (``vllm serve``, ``python -m vllm.entrypoints.openai.api_server``, ``docker run``), a
    configuration in YAML, containers of Kubernetes and Compose, ``LLM(…)`` and its like in Python (never run),
    variables of the environment, queries of Prometheus alone, in rules and in Grafana's JSON, and pages that hold such
    blocks.
    Commands of llama.cpp, TensorRT-LLM, TGI, Triton and Ollama are told what was renamed and what their parsers would
    refuse, Kubernetes objects are mended as a whole.

    Parameters
    ----------
    text : str
        What was pasted.
    version : str, optional
        The release of vLLM; the one planned for when omitted.

    Returns
    -------
    Translation
        A part for each command, call, file or query, in the order of the text.

    Raises
    ------
    InvalidInput
        There is nothing in it that can be read.

    Examples
    --------
    >>> done = translate("vllm serve org/model --swap-space 4 --max-model-len 8192", "0.33.0")
    >>> done.commands
    ['vllm serve org/model --max-model-len 8192']
    >>> [(change.given, change.status) for change in done.changes]
    [('--swap-space', 'removed'), ('--max-model-len', 'kept')]
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(
            "there is nothing to translate: paste a command, a configuration, a call or a query of vLLM's"
        )
    if len(text) > LONGEST:
        raise InvalidInput(f"that is {len(text):,} letters; paste at most {LONGEST:,}")
    text = text.removeprefix("\ufeff")
    known, lines = schema(version), Lines(text)
    parts: list[Part] = []
    offers, steps = Offers(_OFFERS), Made()
    if _is_json(text) and dashboards.has_metrics(text):
        parts.append(dashboards.grafana(text, known, lines))
    else:
        for block in reading.blocks(text):
            parts += _block(text, block, known, lines, offers, steps)
    if len(parts) > MOST:
        raise _too_many()
    if not parts:
        raise InvalidInput(
            "no command, configuration, call or query of vLLM or another engine is in this text; paste one as it stands"
        )
    return Translation(known.version, tuple(parts))


def _too_many() -> InvalidInput:
    return InvalidInput(f"this text holds more than {MOST:,} commands and queries; paste a part of it")


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _block(text: str, block: reading.Block, known: Schema, lines: Lines, offers: Offers, steps: Made) -> list[Part]:
    """Commands and calls, then the files that they stand in or that are none of theirs."""
    found: list[Part] = []
    servers: dict[int, Part] = {}
    for pasted in reading.servers(text, block):
        if len(found) > MOST:
            raise _too_many()
        made = _made(pasted, known, lines, offers, steps)
        if made is not None and made.engine == "vllm" and not any(one.form == "dockerfile" for one in found):
            made = dockerfiles.anew(text, block.start, block.end, made, lines)
        if made is not None:
            found.append(made)
            servers[pasted.start] = made
        handed = triton.handed(pasted.words) if pasted.program == "tritonserver" else None
        if handed is not None:
            found.append(server.part(handed, known, lines, offers))
    found += python_calls.parts(text, block.start, block.end, lines, steps)
    for configuration, arguments in triton.parts(text, block.start, block.end, lines):
        found += [configuration, *([server.part(arguments, known, lines, offers)] if arguments else [])]
    inside = text[block.start : block.end]
    if block.language != "page":
        found += _files(inside, servers, known, lines, block.start)
    if dashboards.has_metrics(inside):
        rules = None
        if block.language != "page":
            rules = dashboards.rules(inside, known, lines, block.start)
        if rules is not None:
            found.append(rules)
        elif not found:
            found += dashboards.queries(text, known, lines, block.start, block.end)
    return found


def _made(pasted: Pasted, known: Schema, lines: Lines, offers: Offers, steps: Made) -> Part | None:
    """What becomes of one command or call, by whose it is."""
    if pasted.program == "vllm":
        return server.part(pasted, known, lines, offers)
    if pasted.program == "Llama":
        return llama_python.part(pasted, lines)
    return other_tools.part(pasted, lines, steps)


def _files(inside: str, servers: dict[int, Part], known: Schema, lines: Lines, start: int) -> list[Part]:
    """Kubernetes objects and a configuration of Prometheus, each as a whole."""
    found = []
    if "apiVersion" in inside:
        found.append(manifests.part(inside, servers, lines, known.version, start))
    if "scrape_configs" in inside:
        found.append(scraping.part(inside, lines, start))
    return [part for part in found if part is not None]
