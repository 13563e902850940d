"""A learn notebook as a page of the app: its formulas as MathML, its links as addresses.

Browsers draw MathML by themselves, so a page needs no MathJax, which Voila's own templates fetch from a CDN. In
JupyterLab the same cells are shown as they are written.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

import traitlets
from nbconvert.filters.markdown_mistune import markdown2html_mistune
from nbconvert.preprocessors import Preprocessor

_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s:#]+\.ipynb)(#[^)\s]*)?\)")
_TITLE = re.compile(r"\A#\s[^\n]*\n*")


class LearnPages(Preprocessor):  # type: ignore[misc]
    """Makes Markdown cells ready for a page: what they become stands in their metadata, as ``html``.

    Attributes
    ----------
    addresses : dict of str to str
        Notebook, relative to the notebooks' folder -> the address of its page.
    """

    enabled = True
    addresses = traitlets.Dict(value_trait=traitlets.Unicode(), key_trait=traitlets.Unicode()).tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Prepare a notebook; its own title, which the page shows already, is left out."""
        folder = "learn" if "learn" in nb.metadata.get("tags", []) else ""
        for at, cell in enumerate(nb.cells):
            if cell.cell_type == "markdown":
                text = cell.source if at else _TITLE.sub("", cell.source)
                cell.metadata["html"] = markdown2html_mistune(prepared(text, folder, self.addresses))
        return nb, resources


def prepared(text: str, folder: str, addresses: Mapping[str, str]) -> str:
    """Markdown for a page: formulas become MathML, links to notebooks addresses; code stays as it is.

    A notebook that the app does not serve is named, not linked.

    Parameters
    ----------
    text : str
        Of one cell.
    folder : str
        Where its notebook lies, relative to the notebooks' folder.
    addresses : mapping of str to str
        As of :class:`LearnPages`.

    Examples
    --------
    >>> prepared("See [plan](../planner.ipynb) and [do](../quantize.ipynb).", "learn", {"planner.ipynb": ""})
    'See [plan](/) and do (notebook quantize).'
    """

    def formula(found: re.Match[str]) -> str:
        from latex2mathml.converter import convert

        block = found[1] is not None
        made = convert((found[1] or found[2]).strip(), display="block" if block else "inline")
        return f"\n\n<div class='formula'>{made}</div>\n\n" if block else str(made)

    def link(found: re.Match[str]) -> str:
        name = posixpath.normpath(posixpath.join(folder, found[2]))
        if name in addresses:
            return f"[{found[1]}](/{addresses[name]}{found[3] or ''})"
        return f"{found[1]} (notebook {posixpath.basename(name).removesuffix('.ipynb')})"

    parts = _CODE.split(text)
    # Every second part is code.
    return "".join(part if at % 2 else _LINK.sub(link, _FORMULA.sub(formula, part)) for at, part in enumerate(parts))
