"""Ollama's Modelfile, by a small reader of our own after Ollama's: it has no library that reads one.

References
----------
github:ollama/ollama ``parser/parser.go`` (``ParseFile``, ``unquote``: an instruction a line, names without regard to
case, a value plain or between one or three double quotes, without escapes; what does not print is dropped),
https://docs.ollama.com/modelfile (instructions and parameters), ``api/types.go`` (``Runner``: what else a
``PARAMETER`` may set).
"""

from __future__ import annotations

from collections.abc import Iterator

from workbench.exports.file import Check, File

KIND = "modelfile"
_READER = "our reader of Modelfiles"
_INSTRUCTIONS = {
    "from", "parameter", "template", "system", "adapter", "license", "message", "requires", "renderer", "parser",
    "draft",
}  # fmt: skip
_WHOLE = {
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "num_keep", "num_predict", "seed", "top_k",
    "repeat_last_n", "draft_num_predict",
}  # fmt: skip
_NUMBERS = {"temperature", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "typical_p"}


def quoted(value: str) -> str:
    """A value as Ollama reads it back.

    >>> list(instructions("FROM " + quoted('./a "b" c.gguf')))
    [('from', './a "b" c.gguf')]
    """
    return f'"{value}"'


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Instructions and their values; ValueError for what Ollama refuses."""
    lines = iter(enumerate(text.split("\n"), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, value = line.strip().partition(" ")
        value = value.strip()
        if name.lower() not in _INSTRUCTIONS or not value:
            raise ValueError(f"line {number}: {name!r} is no instruction with a value")
        if value.startswith('"""'):
            while len(value) < 6 or not value.endswith('"""'):
                try:
                    value += "\n" + next(lines)[1]
                except StopIteration:
                    raise ValueError(f"line {number}: its quotes never close") from None
            value = value[3:-3]
        elif value.startswith('"'):
            if len(value) < 2 or not value.endswith('"'):
                raise ValueError(f"line {number}: its quote never closes")
            value = value[1:-1]
        yield name.lower(), value


def check(file: File) -> list[Check]:
    """Whether each line is an instruction, one says where the model comes from, and parameters are Ollama's."""
    try:
        found = list(instructions(file.text))
        if sum(name == "from" for name, _ in found) != 1:
            raise ValueError("one FROM is needed")
        for name, value in found:
            if name == "parameter":
                _parameter(value)
    except ValueError as error:
        return [Check(_READER, "fail", str(error))]
    return [Check(_READER, "pass")]


def _parameter(value: str) -> None:
    name, _, given = value.partition(" ")
    if name in _WHOLE:
        int(given)
    elif name in _NUMBERS:
        float(given)
    elif name not in ("stop", "use_mmap"):
        raise ValueError(f"Ollama has no parameter {name}")
