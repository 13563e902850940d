"""A running engine and its machine, live: charts, numbers, and what limits it."""

from __future__ import annotations

import weakref
from dataclasses import asdict
from typing import Any, ClassVar

import traitlets

from workbench.errors import WorkbenchError
from workbench.monitoring import Diagnosis, Monitor, Point, monitor
from workbench.serving import Server
from workbench.ui.panel import Panel, Refused
from workbench.ui.plain import plain

#: Pages that may look at one panel at once, each under a name of its own.
_MOST_VIEWS = 50


class MonitorPanel(Panel):
    """Follow a server, a point a second; nothing is sent while nobody looks.

    The page is told the newest point only and keeps the last minutes itself. All of it is in :attr:`monitor`.

    Parameters
    ----------
    source : Monitor, Server or str, optional
        A monitor that runs, or whom to follow: what ``wb.serve`` returned, or the address of a running server.
    **options
        Of :func:`workbench.monitor`, for a source that is no monitor.

    Attributes
    ----------
    monitor : Monitor or None
        The one that is shown.
    now : dict
        ``point`` and ``diagnosis``, the newest.
    """

    script = "monitor.js"
    style = "monitor.css"
    actions: ClassVar[dict[str, str]] = {"look": "look", "stop": "stop", "again": "again"}

    now = traitlets.Dict(read_only=True).tag(sync=True)
    about = traitlets.Dict(read_only=True).tag(sync=True)
    python = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, source: Monitor | Server | str | None = None, **options: Any) -> None:
        self.monitor: Monitor | None = None
        self._own = False
        self._source: Server | str | None = None
        self._options = options
        self._forget = lambda: None
        self._views: dict[str, bool] = {}
        super().__init__()
        self.set_trait("about", {"url": "", "running": False, "every": 1.0})
        if source is not None:
            self.watch(source, **options)

    def watch(self, source: Monitor | Server | str, **options: Any) -> Monitor:
        """Show a monitor, or follow another server.

        Raises
        ------
        WorkbenchError
            The source cannot be followed.
        """
        own = not isinstance(source, Monitor)
        watching = source if isinstance(source, Monitor) else monitor(source, **options)
        self._leave()
        self.monitor, self._own = watching, own
        # Not the server itself, which must end when nobody else holds it.
        self._source = None if isinstance(source, Monitor | Server) else source
        self._options = options
        panel = weakref.ref(self)

        def told(point: Point, diagnosis: Diagnosis) -> None:
            here = panel()
            if here is not None:
                here._tell(point, diagnosis)

        self._forget = watching.observe(told)
        self.set_trait("python", _call(source, options))
        self._say_running()
        latest = watching.latest
        if latest is not None:
            self._tell(latest, watching.diagnosis)
        return watching

    def look(self, view: str, visible: bool | None) -> None:
        """A page says whether it is seen; None that it is gone."""
        if not isinstance(view, str) or len(view) > 40 or not (visible is None or isinstance(visible, bool)):
            raise Refused("look takes the name of a view and whether it is seen")
        if visible is None:
            self._views.pop(view, None)
        elif view in self._views or len(self._views) < _MOST_VIEWS:
            self._views[view] = visible
        if visible and self.monitor is not None and self.monitor.latest is not None:
            self._tell(self.monitor.latest, self.monitor.diagnosis)

    @property
    def seen(self) -> bool:
        """Whether a page shows it, or may: a page that a busy kernel has not heard of yet counts."""
        return not self._views or any(self._views.values())

    def stop(self) -> None:
        """Take no further reading."""
        if self.monitor is not None:
            self.monitor.stop()
        self._say_running()

    def again(self) -> None:
        """Follow the same address again.

        Raises
        ------
        WorkbenchError
            What was followed is not known by its address, or is followed already.
        """
        if self.monitor is None:
            raise WorkbenchError("nothing was watched yet; call watch(server)")
        if self.monitor.running:
            raise WorkbenchError("the server is watched already")
        self.watch(self._source if self._source is not None else self.monitor.url, **self._options)

    def close(self) -> None:
        """Leave the page, and end what was begun here."""
        self._leave()
        super().close()

    def _leave(self) -> None:
        self._forget()
        if self._own and self.monitor is not None:
            self.monitor.stop()

    def _tell(self, point: Point, diagnosis: Diagnosis) -> None:
        if not self.seen:
            return
        row = point.to_dict() | {
            "words": point.words,
            "cards": [asdict(card) for card in point.machine.cards] if point.machine else [],
        }
        self.set_trait("now", {"point": plain(row), "diagnosis": diagnosis.to_dict()})
        if point.state == "stopped":
            self._say_running()

    def _say_running(self) -> None:
        following = self.monitor
        running = following is not None and following.running
        if running and following is not None and following.latest is not None:
            running = following.latest.state != "stopped"
        every = following.every if following else 1.0
        self.set_trait("about", {"url": following.url if following else "", "running": running, "every": every})


def _call(source: Monitor | Server | str, options: dict[str, Any]) -> str:
    what = repr(source) if isinstance(source, str) else "server"
    words = "".join(f", {name}={value!r}" for name, value in options.items() if name in ("every", "history", "pid"))
    return f"watching = wb.monitor({what}{words})\nwatching.wait(10).diagnosis\nwatching.frame()"
