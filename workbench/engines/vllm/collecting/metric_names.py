"""Names of a release's metrics, read from its source: no engine needs to run for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"vllm:[a-z0-9_]*[a-z0-9]")
_KINDS = ("gauge", "counter", "histogram")
#: Where a release defines them; elsewhere such names are those of compiled operators.
_FILES = re.compile(r"(metrics|loggers|stats)(/|\.py$)|/kv_connector/|/kv_offload/|^parser/")


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric as its client library is asked for it; ``only`` is where it is seen: "V0", "hidden", or everywhere."""

    name: str
    kind: str
    only: str = ""


def metric_names(package: Path) -> list[MetricName]:
    """Every metric that the files of a package define.

    Parameters
    ----------
    package : Path
        The folder ``vllm``.
    """
    found: dict[str, MetricName] = {}
    newer = (package / "v1" / "metrics" / "loggers.py").exists()
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package).as_posix()
        if not _FILES.search(inside):
            continue
        text = path.read_text(encoding="utf-8")
        if "vllm:" not in text:
            continue
        old = newer and inside == "engine/metrics.py"
        for metric in _defined(ast.parse(text)):
            known = found.get(metric.name)
            if known is None or (known.only and not old):
                found[metric.name] = MetricName(metric.name, metric.kind, "V0" if old else metric.only)
    return [found[name] for name in sorted(found)]


def _defined(tree: ast.AST, hidden: bool = False, kind: str = "") -> Iterator[MetricName]:
    """Names in calls and lists, with the kind of the nearest call or assignment that says it."""
    for node in ast.iter_child_nodes(tree):
        unseen = hidden or (isinstance(node, ast.If) and "show_hidden" in ast.unparse(node.test))
        said = kind
        if isinstance(node, ast.Call):
            said = _said(ast.unparse(node.func)) or kind
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            said = _said(ast.unparse(target)) or kind
        elif isinstance(node, ast.For):
            said = _said(ast.unparse(node.body[0])) or kind
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            of = kind or ("gauge" if node.value.endswith("_info") else "")
            if of:
                name = node.value.removesuffix("_total") if of == "counter" else node.value
                yield MetricName(name, of, "hidden" if unseen else "")
        yield from _defined(node, unseen, said)


def _said(text: str) -> str:
    return next((kind for kind in _KINDS if kind in text.casefold()), "")
