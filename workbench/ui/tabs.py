"""Several panels on one page, one at a time: each is drawn when its tab is first opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import anywidget
import traitlets

from workbench.ui.panel import Panel, Refused


class Tabs(Panel):
    """Panels behind tabs.

    An ordinary widget: observe or assign ``selected``.

    Parameters
    ----------
    pages : mapping of str to sequence of anywidget.AnyWidget
        Title of a tab -> what stands there, from the top.
    url : bool
        Whether an app page keeps the tab in its address.

    Attributes
    ----------
    titles : tuple of str
        The tabs' titles.
    selected : str
        The title of the one that is open.

    Examples
    --------
    >>> from workbench.ui import GpuTable
    >>> tabs = Tabs({"One": [GpuTable()], "Two": [GpuTable()]})
    >>> tabs.selected
    'One'
    """

    script = "tabs.js"
    from_page: ClassVar[frozenset[str]] = frozenset({"selected"})

    pages = traitlets.List(read_only=True).tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)
    url = traitlets.Bool(False, read_only=True).tag(sync=True)

    def __init__(self, pages: Mapping[str, Sequence[anywidget.AnyWidget]], *, url: bool = False) -> None:
        self.titles = tuple(pages)
        super().__init__()
        self.set_trait("url", url)
        references = [
            {"title": title, "widgets": [f"anywidget:{widget.model_id}" for widget in widgets]}
            for title, widgets in pages.items()
        ]
        self.set_trait("pages", references)
        self.selected = self.titles[0]

    @traitlets.validate("selected")
    def _a_title(self, proposal: Any) -> str:
        if proposal["value"] not in self.titles:
            raise Refused(f"no tab is called {proposal['value']!r}", "selected")
        return str(proposal["value"])
