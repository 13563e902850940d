"""Where a source of a claim can be opened."""

from __future__ import annotations

import re

_REPOSITORY = re.compile(r"github:([\w.-]+/[\w.-]+) ([\w./-]+?)(?:@([0-9a-f]{7,40}))?")
_PAPER = re.compile(r"arXiv (\d{4}\.\d{4,5})")


def address(source: str) -> str | None:
    """The address of a source; None for what is computed here, or seen in the guide itself.

    Examples
    --------
    >>> address("arXiv 2210.17323")
    'https://arxiv.org/abs/2210.17323'
    >>> address("github:AutoGPTQ/AutoGPTQ auto_gptq/modeling/_base.py@005a942")
    'https://github.com/AutoGPTQ/AutoGPTQ/blob/005a942/auto_gptq/modeling/_base.py'
    >>> address("workbench.formats.size") is None
    True
    """
    if source.startswith("https://"):
        return source
    if paper := _PAPER.fullmatch(source):
        return f"https://arxiv.org/abs/{paper[1]}"
    if file := _REPOSITORY.fullmatch(source):
        return f"https://github.com/{file[1]}/blob/{file[3] or 'HEAD'}/{file[2]}"
    return None


def shown(source: str) -> str:
    """A source as it is read: an address without what all addresses begin with.

    Examples
    --------
    >>> shown("https://docs.vllm.ai/en/latest/"), shown("guide")
    ('docs.vllm.ai/en/latest', "the guide's own text")
    """
    if source == "guide":
        return "the guide's own text"
    return source.removeprefix("https://").removesuffix("/")
