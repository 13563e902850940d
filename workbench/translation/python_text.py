"""Engines in Python: vLLM's ``LLM(…)`` and its like, llama-cpp-python's ``Llama(…)``, read by ``ast`` and never run.

The calls are looked for in the text, each cut out by its brackets and read alone, so that what stands around them need
not be whole: a cell with ``!pip``, a page, a text in another text.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from workbench.translation.pasted import Pasted, Setting, as_text

_CALL = re.compile(
    r"(?<![\w.-])(?:vllm\.|llama_cpp\.)?(LLM|EngineArgs|AsyncEngineArgs|AsyncLLM|LLMEngine|AsyncLLMEngine|Llama)\s*\("
)
_GIVEN = re.compile(r"^[ \t]*+([A-Za-z_]\w*+)[ \t]*+=[ \t]*+(\S.{0,300}?)[ \t]*+(?:#.*)?$", re.MULTILINE)
_OPEN, _CLOSE = "([{", ")]}"
_PART = re.compile(r"[^()\[\]{}'\"#]+")
#: Longer calls are no engine's.
_LONGEST = 100_000
#: Arguments by their place: ``LLM(model)``.
_PLACES = ("model",)


def pasted(text: str, start: int = 0, end: int | None = None) -> list[Pasted]:
    """Every engine that a text makes, with its arguments.

    Parameters
    ----------
    text : str
    start, end : int
        The part that is read; places count from the whole.
    """
    end = len(text) if end is None else end
    found: list[Pasted] = []
    at = start
    names: dict[str, Any] | None = None
    budget = 2 * (end - start) + _LONGEST  # brackets that never close would be looked for again and again
    while budget > 0 and (call := _CALL.search(text, at, end)) is not None:
        close = closed(text, call.end() - 1, min(end, call.end() + _LONGEST))
        budget -= (close or min(end, call.end() + _LONGEST)) - call.start()
        at = call.end() if close is None else close
        if close is None:
            continue
        if names is None:
            names = _names(text[start:end])
        made = _read(text, call.start(), close, call[1], names)
        if made is not None:
            found.append(made)
    return found


def closed(text: str, at: int, end: int) -> int | None:
    """Just past the bracket that closes the one at this place."""
    depth = 0
    while at < end:
        letter = text[at]
        if letter in _OPEN:
            depth += 1
            at += 1
        elif letter in _CLOSE:
            depth -= 1
            at += 1
            if depth == 0:
                return at
        elif letter == "#":
            line = text.find("\n", at, end)
            at = end if line < 0 else line
        elif letter in "'\"":
            at = _string_end(text, at, end)
        else:
            part = _PART.match(text, at, end)
            at = part.end() if part else at + 1
    return None


def _string_end(text: str, at: int, end: int) -> int:
    """Past a string literal."""
    quote = text[at] * 3 if text.startswith(text[at] * 3, at) else text[at]
    at += len(quote)
    while at < end:
        if text[at] == "\\":
            at += 2
        elif text.startswith(quote, at):
            return at + len(quote)
        elif len(quote) == 1 and text[at] == "\n":
            return at
        else:
            at += 1
    return end


def _names(text: str) -> dict[str, Any]:
    """Names that the text gives a plain value, such as ``model_name = "org/model"``."""
    found: dict[str, Any] = {}
    for match in _GIVEN.finditer(text):
        try:
            found[match[1]] = ast.literal_eval(match[2])
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return found


def _read(text: str, start: int, close: int, function: str, names: dict[str, Any]) -> Pasted | None:
    source = text[start:close]
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    if not isinstance(tree, ast.Call):
        return None
    offsets = _Offsets(source, start)
    settings, model = [], None
    arguments = [*zip(("model_path",) if function == "Llama" else _PLACES, tree.args, strict=False)]
    arguments += [(word.arg, word.value) for word in tree.keywords if word.arg is not None]
    remarks = () if all(word.arg for word in tree.keywords) else ("arguments given as ** are not read",)
    for name, value in arguments:
        known, given = _value(value, names)
        place = offsets.of(value)
        begins = text.rfind(name, start, place[0])
        setting = Setting(name, as_text(given), begins if begins >= 0 else place[0], place[1], known=known)
        if name == "model":
            model = setting
        else:
            settings.append(setting)
    if function == "Llama":
        named = any(setting.name == "model_path" for setting in settings)
        return Pasted("python", "Llama", tuple(settings), None, start, remarks=remarks) if named else None
    if not settings and (model is None or not model.known):
        return None  # no engine, or words in a sentence
    return Pasted("python", "vllm", tuple(settings), model, start, remarks=remarks, named=function)


def _value(node: ast.expr, names: dict[str, Any]) -> tuple[bool, Any]:
    """A plain value, or the text of what is none."""
    try:
        return True, ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError, SyntaxError):
        pass
    if isinstance(node, ast.Name) and node.id in names:
        return True, names[node.id]
    return False, ast.unparse(node)[:200]


class _Offsets:
    """Places of nodes as letters of the text: ``ast`` counts lines, and bytes of UTF-8 in a line."""

    def __init__(self, source: str, start: int) -> None:
        self._lines = [line + "\n" for line in source.split("\n")]
        self._starts = [start]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def of(self, node: ast.expr) -> tuple[int, int]:
        """Where a node begins and ends."""
        begin = self._at(node.lineno, node.col_offset)
        return begin, self._at(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def _at(self, line: int, column: int) -> int:
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        return self._starts[line - 1] + len(text.encode()[:column].decode(errors="ignore"))
