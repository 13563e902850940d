"""The base of every panel: one module and one style sheet for the page, and errors that become sentences.

anywidget takes a single JavaScript module per widget. Panels share ``static/shared.js``, the files of
``static/parts`` and ``static/shared.css`` by concatenation when the class is created: a panel's own file begins with
ordinary ``import … from "./shared.js"`` lines, which editors, node and the tests follow, and which
:func:`joined_module` replaces by the files they name. There is no build step and nothing is fetched by the page.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from workbench.errors import WorkbenchError

STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"(\.{1,2}/[\w./]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|let|function|async function|class) )", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:const|let|function|async function|class) (\w+)", re.MULTILINE)

log = logging.getLogger(__name__)


def joined_module(script: str) -> str:
    """A panel's file and all it imports as one ES module with one default export.

    Every imported file keeps a scope of its own, is there once, and hands over only what it exports.
    """
    path = STATIC / script
    scopes: dict[Path, str] = {}
    own = _joined(path, scopes)
    if not scopes:
        raise ValueError(f'{script} needs an `import {{ … }} from "./shared.js";`')
    return "".join(scopes.values()) + own


def _joined(path: Path, scopes: dict[Path, str]) -> str:
    """The text of a file, its imports taken from scopes, which the files it imports are added to."""

    def taken(line: re.Match[str]) -> str:
        target = (path.parent / line[2]).resolve()
        if target not in scopes:
            text = _joined(target, scopes)
            body, names = _EXPORT.sub("", text), ", ".join(_EXPORTED.findall(text))
            scopes[target] = f"const {_scope(target)} = (() => {{\n{body}\nreturn {{{names}}};\n}})();\n"
        return f"const {{{line[1]}}} = {_scope(target)};\n"

    return _IMPORT.sub(taken, path.read_text(encoding="utf-8"))


def _scope(path: Path) -> str:
    return "_" + "_".join(path.relative_to(STATIC.resolve()).with_suffix("").parts)


class Refused(traitlets.TraitError):
    """A value from the page or from Python that cannot be taken, and the field it belongs to."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


def sentence(error: BaseException) -> str:
    """What a reader is shown of an error: our own errors speak for themselves, others are named only."""
    if isinstance(error, WorkbenchError | traitlets.TraitError):
        text = str(error).strip()
        if "_" in text.split(" ", 1)[0]:  # a parameter keeps the name its library gave it
            return text + ("" if text.endswith((".", "?", "!")) else ".")
        return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
    return (
        f"Something unexpected went wrong ({type(error).__name__}). The last result is still shown; "
        "change the choice, or restart the kernel if it happens again."
    )


class Panel(anywidget.AnyWidget):
    """A widget whose page may only write the traits in `from_page`, and never sees a traceback.

    Attributes
    ----------
    problems : dict of str to str
        Messages by field; the empty key is about the whole panel. Empty when all is well.
    request : int
        Number of the page's last request, so that it knows which answer it is looking at.
    """

    script: ClassVar[str]
    #: A style sheet besides the shared one.
    style: ClassVar[str] = ""
    from_page: ClassVar[frozenset[str]] = frozenset()

    problems = traitlets.Dict(value_trait=traitlets.Unicode(), key_trait=traitlets.Unicode()).tag(sync=True)
    request = traitlets.Int(0, min=0).tag(sync=True, echo_update=False)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "script" in cls.__dict__:
            cls._esm = joined_module(cls.script)
            sheets = ("shared.css", cls.style) if cls.style else ("shared.css",)
            cls._css = "\n".join((STATIC / sheet).read_text(encoding="utf-8") for sheet in sheets)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_msg(self._asked)

    def set_state(self, sync_data: Mapping[str, Any]) -> bool:
        """Take a change from the page; what is refused becomes a message at its control.

        Returns
        -------
        bool
            Whether it was refused.
        """
        locked = set(self.trait_names()) - set(anywidget.AnyWidget.class_trait_names()) - {"request"}
        allowed = {k: v for k, v in sync_data.items() if k in self.from_page or k not in locked}
        request = allowed.pop("request", None)
        try:
            # On its own, since a refusal rolls back all that came with it.
            if request is not None:
                super().set_state({"request": request})
            # Asked here too: a set skips the validator when the value equals the present one, as True does 1.
            for name in self.from_page & allowed.keys():
                self.traits()[name]._validate(self, allowed[name])
            super().set_state(allowed)
        except Exception as error:  # the page must get an answer whatever happened
            self._report(error)
            return True
        return False

    def _report(self, error: Exception, field: str = "") -> None:
        if not isinstance(error, WorkbenchError | traitlets.TraitError):
            log.exception("a panel failed", exc_info=error)
        # Emptied first: the same message twice is two answers for the page, and must be sent twice.
        with self.hold_sync():
            self.problems = {}
            self.problems = {getattr(error, "field", field) or field: sentence(error)}
        self.send({"refused": self.request})

    #: Buttons of the page: the name in the message to the method that does it.
    actions: ClassVar[Mapping[str, str]] = {}

    def _asked(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        if content.get("ping"):
            self.send({"pong": content["ping"]})
            return
        method = self.actions.get(str(content.get("action")))
        if method is None:
            return
        try:
            call: Callable[..., None] = getattr(self, method)
            self.problems = {}
            call(**{str(k): v for k, v in content.get("arguments", {}).items()})
        except Exception as error:
            self._report(error)


class Throttle:
    """Call something often, have it done at most every `every` seconds, and never miss the last call.

    Jobs and servers tell of every line they log, from threads of their own; a page wants a few pictures a second.

    Parameters
    ----------
    do : callable
        What is to be done; it is never run twice at once.
    every : float
        Shortest time between two [s].
    """

    def __init__(self, do: Callable[[], None], every: float = 0.2) -> None:
        self._do, self._every = do, every
        self._lock, self._doing = threading.Lock(), threading.Lock()
        self._timer: threading.Timer | None = None
        self._last = 0.0

    def __call__(self, *_: Any) -> None:
        with self._lock:
            if self._timer is not None:
                return
            wait = self._last + self._every - time.monotonic()
            self._timer = threading.Timer(max(wait, 0.0), self._run)
            self._timer.daemon = True
            self._timer.start()

    def _run(self) -> None:
        with self._lock:
            self._timer, self._last = None, time.monotonic()
        with self._doing:
            try:
                self._do()
            except Exception:
                log.exception("a panel could not show its state")
