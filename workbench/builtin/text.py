"""The text the built-in model reads: the documentation that comes with Python itself.

Two sources, both readable English and both on every machine that can run the workbench: the help topics of
``pydoc`` and the docstrings of the standard library (parsed, never imported). Nothing is downloaded and nothing
is bundled; the same Python gives the same text.

Standard library only: the training worker runs this file in an environment that lacks the workbench's packages.
"""

from __future__ import annotations

import ast
import hashlib
import random
import sysconfig
import textwrap
from functools import cache
from pathlib import Path
from typing import NamedTuple

#: One document in this many is never trained on.
HELD_OUT_EVERY = 16
#: Shorter docstrings ("Return self.") teach nothing.
SHORTEST = 80
#: Folders of the standard library that are tests, tools or other people's packages.
_SKIPPED = {
    "__pycache__",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
}


class Document(NamedTuple):
    """A title (``textwrap.wrap``, or a help topic) and its text."""

    title: str
    text: str


def _help_topics() -> list[Document]:
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some distributions ship Python without its help topics
        return []
    return [Document(f"Python help: {name}", text.strip()) for name, text in sorted(topics.items())]


def _docstrings(file: Path, module: str) -> list[Document]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError):
        return []
    found: list[Document] = []

    def visit(node: ast.AST, name: str) -> None:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if node is not tree:
                name = f"{name}.{getattr(node, 'name', '')}"
            text = ast.get_docstring(node)
            if text and len(text) >= SHORTEST:
                found.append(Document(name, textwrap.dedent(text).strip()))
        for child in ast.iter_child_nodes(node):
            visit(child, name)

    visit(tree, module)
    return found


def _library() -> list[tuple[str, list[Document]]]:
    root = Path(sysconfig.get_path("stdlib"))
    modules = []
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if _SKIPPED.isdisjoint(parts):
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            modules.append((module, _docstrings(file, module)))
    return modules


def _is_held_out(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT_EVERY == 0


def _paragraphs(text: str) -> list[str]:
    return [p.strip() for p in text.split("\n\n") if p.strip()]


@cache
def _split() -> tuple[tuple[Document, ...], tuple[Document, ...]]:
    train: list[Document] = []
    kept: list[Document] = []
    # A module is held out whole: its functions' docstrings repeat one another.
    for name, documents in [*((d.title, [d]) for d in _help_topics()), *_library()]:
        (kept if _is_held_out(name) else train).extend(documents)
    train = list({d.text: d for d in train}.values())
    seen = {p for d in train for p in _paragraphs(d.text)}
    held_out = []
    for document in kept:
        fresh = [p for p in _paragraphs(document.text) if p not in seen]
        seen.update(fresh)
        if sum(map(len, fresh)) >= SHORTEST:
            held_out.append(Document(document.title, "\n\n".join(fresh)))
    # Shuffled once, so that any stretch of either part is a fair sample of it.
    random.Random(0).shuffle(train)
    random.Random(1).shuffle(held_out)
    return tuple(train), tuple(held_out)


def training() -> tuple[Document, ...]:
    """Documents to train and to calibrate on, shuffled, always in the same order."""
    return _split()[0]


def held_out() -> tuple[Document, ...]:
    """Documents never trained on; no paragraph of them occurs in :func:`training`."""
    return _split()[1]
