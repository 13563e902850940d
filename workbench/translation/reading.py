"""What a pasted text is: a page with blocks, YAML, Python, a shell's words, queries; each read by its own reader."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from workbench.translation import commands, other_tools, python_text, yaml_text
from workbench.translation.pasted import Pasted

_FENCE = re.compile(r"^[ \t]*+(`{3,}|~{3,})[ \t]*+([\w+-]*)[^\n]*$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*+#+[ \t]?", re.MULTILINE)
_YAML = frozenset({"yaml", "yml", "compose"})
_PYTHON = frozenset({"python", "py", "python3", "ipython"})
_SHELL = frozenset({"bash", "sh", "shell", "console", "zsh", "dockerfile", "docker"})
_IMAGE = re.compile(r"^[ \t]*+FROM[ \t]++\S*vllm\S*[:@/]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a text that is read by itself, and the language that it says it is in."""

    start: int
    end: int
    language: str = ""


def blocks(text: str) -> Iterator[Block]:
    """Fenced blocks of a page and what stands between them; the whole text where there are none."""
    at, opened = 0, None
    for fence in _FENCE.finditer(text):
        if opened is None:
            if fence.start() > at:
                yield Block(at, fence.start(), "page")
            opened, at = fence, fence.end() + 1
        elif fence[1].startswith(opened[1]) and not fence[2]:
            yield Block(at, fence.start(), opened[2].casefold() or "fenced")
            opened, at = None, fence.end() + 1
    if at < len(text):
        rest = "" if at == 0 else ("page" if opened is None else opened[2].casefold())
        yield Block(at, len(text), rest)


def servers(text: str, block: Block) -> list[Pasted]:
    """Every server, call and other tool's command in a block, in the order of the text."""
    start, end, language = block.start, block.end, block.language
    if language == "page":
        return []
    if language not in _PYTHON | _SHELL:
        inside = text[start:end]
        described = yaml_text.pasted(inside, start) or []
        if not described and (alone := yaml_text.environment(inside, start)) is not None:
            described = [alone]
        if described or language in _YAML:
            return described
    called = [] if language in _SHELL else python_text.pasted(text, start, end)
    typed = _building(commands.pasted(text, start, end))
    if not any(found.program == "vllm" for found in typed) and language not in _SHELL:
        plain = _commented(text[start:end])
        seen = {found.start for found in typed}
        commented = [found for found in commands.pasted(" " * start + plain, start, end) if found.start not in seen]
        typed += [found for found in commented if found.program == "vllm" or other_tools.unmistakable(found.program)]
    if called:
        typed = _outside(typed, called)
    if _IMAGE.search(text, start, end):
        typed = [_in_image(_after_entrypoint(text, found)) for found in typed]
    return sorted([*called, *typed], key=lambda found: found.start)


def _commented(text: str) -> str:
    """The comments alone, where guides write commands beside other code; blanks keep every place."""
    made = []
    for line in text.splitlines(keepends=True):
        mark = _COMMENT.match(line)
        ending = line[len(line.rstrip("\r\n")) :]
        body = line[: len(line) - len(ending)]
        made += [" " * mark.end() + body[mark.end() :] if mark else " " * len(body), ending]
    return "".join(made)


def _building(typed: list[Pasted]) -> list[Pasted]:
    """``make`` in the folder of llama.cpp, which is known by the ``cd`` before it."""
    found, folder = [], ""
    for one in typed:
        if one.program == "cd" and len(one.words) > 1:
            folder = one.words[1].text.rstrip("/").rsplit("/", 1)[-1]
        found.append(replace(one, named=folder) if one.program == "make" else one)
    return found


def _outside(typed: list[Pasted], calls: list[Pasted]) -> list[Pasted]:
    """Commands that do not stand among the arguments of a call."""
    starts = [call.start for call in calls]
    ends = [max([setting.end for setting in call.settings], default=call.start) for call in calls]
    kept = []
    for found in typed:
        at = bisect_right(starts, found.start) - 1
        if found.form != "environment" and not (at >= 0 and found.start <= ends[at]):
            kept.append(found)
    return kept


def _after_entrypoint(text: str, found: Pasted) -> Pasted:
    """A CMD upon vLLM's image that names no program: words of ``vllm serve``, which the image starts itself."""
    line = text[text.rfind("\n", 0, found.start) + 1 : found.start].split()
    if found.program == "vllm" or line[:1] != ["CMD"] or not found.words:
        return found
    return replace(commands.served("shell", found.words, found.start, named=""), named="")


def _in_image(found: Pasted) -> Pasted:
    """A Dockerfile on vLLM's image, whose words follow the image's own ``vllm serve``."""
    if found.program != "vllm" or not found.named:
        return found
    remark = (
        "the image starts `vllm serve` itself (its ENTRYPOINT), so CMD holds the words after it, as a list:"
        ' CMD ["MODEL", "--option", "value"]'
    )
    return replace(found, remarks=(*found.remarks, remark))
