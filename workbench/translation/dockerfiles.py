"""Dockerfiles upon vLLM's image, anew: its ENTRYPOINT starts the server, so that CMD holds the words after it.

References
----------
https://docs.docker.com/reference/dockerfile/#understand-how-cmd-and-entrypoint-interact,
https://docs.vllm.ai/en/stable/deployment/docker.html,
https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables (``HF_HOME``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from workbench.translation.pasted import Lines
from workbench.translation.result import Change, Part

_FROM = re.compile(r"^[ \t]*+FROM[ \t]++(\S*vllm\S*)", re.MULTILINE)
_TAG = re.compile(r"(.*/vllm-openai)(?::latest)?")
_ENV = re.compile(r"\s*(?:ENV|ARG)\s+(\w+)=")
_CACHE = re.compile(r",\s*cache_dir=(['\"])([^'\"]*)\1")
_USED = re.compile(r"\$\{?(\w+)")
_SERVES = re.compile(r"\s*(?:CMD|ENTRYPOINT)\b")
_DOCKER = "https://docs.docker.com/reference/dockerfile/#understand-how-cmd-and-entrypoint-interact"
_IMAGE = "https://docs.vllm.ai/en/stable/deployment/docker.html"
_HUB = "https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables"


def anew(text: str, start: int, end: int, part: Part, lines: Lines) -> Part:
    """The whole file, where a text is one that starts vLLM; else the part as it is.

    Parameters
    ----------
    text : str
    start, end : int
        The block.
    part : Part
        The server that its CMD starts.
    lines : Lines
    """
    image = _FROM.search(text, start, end)
    if image is None or part.form != "shell" or not part.words:
        return part
    changes = list(part.changes)
    used = set(_USED.findall(text, image.start(), end))
    made: list[str] = []
    for begins, ends in _instructions(text, image.start(), end):
        said = text[begins:ends]
        place = (lines[begins], begins, ends)
        if (found := _FROM.match(said)) and (tag := _TAG.fullmatch(found[1])):
            new = f"{tag[1]}:v{part.version}"
            why = "latest is whatever was pushed last: the release that the arguments are for"
            at = begins + found.start(1)
            changes.append(Change(found[1], "", "renamed", new, why, _IMAGE, lines[at], at, begins + found.end(1)))
            said = said.replace(found[1], new, 1)
        elif (variable := _ENV.match(said)) and variable[1] in used:
            why = "its value stands in CMD: no shell fills in the words of a list"
            changes.append(Change(variable[1], "", "default", "", why, _DOCKER, *place))
            continue
        elif _SERVES.match(said):
            why = "the image starts `vllm serve` itself (its ENTRYPOINT): CMD holds the words after it, as a list"
            new = "CMD " + json.dumps(list(part.words[2:]), ensure_ascii=False)
            word = said.split()[0]
            at = begins + said.index(word)
            if said.strip() != new:
                changes.append(Change(word, "", "wrong", new, why, _DOCKER, lines[at], at, at + len(word)))
            said = new + "\n"
        elif (cache := _CACHE.search(said)) is not None:
            why = "the server looks into its own cache (HF_HOME): what lies elsewhere is fetched again at every start"
            at = begins + cache.start()
            changes.append(Change("cache_dir", cache[2], "wrong", "", why, _HUB, lines[at], at, begins + cache.end()))
            said = said.replace(cache[0], "")
        made.append(said)
    whole = "".join(made)
    ordered = tuple(sorted(changes, key=lambda change: change.start))
    remarks = tuple(remark for remark in part.remarks if "ENTRYPOINT" not in remark)
    return replace(part, form="dockerfile", text=whole, changes=ordered, remarks=remarks)


def _instructions(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where each instruction, comment or blank line begins and ends, its continued lines with it."""
    at = start
    while at < end:
        begins = at
        while True:
            line = text.find("\n", at, end)
            stop = end if line < 0 else line + 1
            goes_on = text[at:stop].rstrip().endswith("\\") and not text[at:stop].lstrip().startswith("#")
            at = stop
            if not goes_on or at >= end:
                break
        yield begins, at
