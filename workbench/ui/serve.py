"""Start a model server, watch it come up, ask it things, stop it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from workbench.cluster import Cluster
from workbench.errors import WorkbenchError
from workbench.ui.panel import Refused, Throttle, log, sentence
from workbench.ui.where import PlacedPanel, spoken

if TYPE_CHECKING:
    from workbench.planner import Plan
    from workbench.serving import Server

LOG_LINES = 300

#: The sampling parameters of the prompt box: default, lowest, highest; whole numbers are of type int.
SAMPLING: Mapping[str, tuple[float, float, float]] = {
    "max_tokens": (64, 1, 131072),
    "temperature": (0.0, 0.0, 2.0),
    "top_p": (1.0, 0.01, 1.0),
    "top_k": (0, 0, 100000),
    "repetition_penalty": (1.0, 0.1, 2.0),
    "seed": (0, 0, 2**31 - 1),
}


class ServePanel(PlacedPanel):
    """Start vLLM with a plan's own flags, see its stages and its log, try a prompt, stop it.

    Parameters
    ----------
    source : Plan, str or Path
        What ``wb.serve`` takes: a plan, a folder, "builtin", or the address of a running server.
    on : str or Cluster, optional
        The cluster that it is started on, to begin with; the page may name one.
    **options
        Further arguments of ``wb.serve``: ``checkpoint``, ``port``, deployment fields.

    Attributes
    ----------
    server : Server or None
        The one started or watched.
    state : dict
        Status, stage, progress, address, log, what the engine says of its memory.
    prompt : dict
        ``text`` and the sampling parameters of :data:`SAMPLING`.
    """

    script = "serve.js"
    from_page: ClassVar[frozenset[str]] = frozenset({"prompt"})
    actions: ClassVar[dict[str, str]] = {
        "start": "start",
        "stop": "stop",
        "ask": "ask",
        "smoke": "smoke",
        **PlacedPanel.placing,
    }

    state = traitlets.Dict(read_only=True).tag(sync=True)
    prompt = traitlets.Dict(key_trait=traitlets.Unicode()).tag(sync=True)
    sampling = traitlets.Dict(read_only=True).tag(sync=True)
    said = traitlets.Dict(read_only=True).tag(sync=True)
    steps = traitlets.List(read_only=True).tag(sync=True)
    python = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(
        self, source: Plan | str | Path = "builtin", *, on: str | Cluster | None = None, **options: Any
    ) -> None:
        self._source, self._options = source, options
        self.server: Server | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._busy = threading.Lock()
        self._text = ""
        super().__init__()
        self._throttle = Throttle(self._show)
        self._draw_said = Throttle(lambda: self._say(busy=True), every=0.1)
        self.set_trait("sampling", {name: list(limits) for name, limits in SAMPLING.items()})
        self.prompt = {"text": "The quick brown fox"}
        self.set_trait("state", {"status": "", "source": _named(source)})
        self.set_trait("python", self._call())
        self.put(on)

    def _placed(self) -> None:
        self.set_trait("python", self._call())

    @property
    def _started_on(self) -> Cluster | None:
        """The cluster, where anything is started; a server that runs stays where it is."""
        running = isinstance(self._source, str) and self._source.startswith(("http://", "https://"))
        return None if running else self.on

    @traitlets.validate("prompt")
    def _check(self, proposal: Any) -> dict[str, Any]:
        defaults = {"text": "", **{name: limits[0] for name, limits in SAMPLING.items()}}
        proposed = {**defaults, **self.prompt, **proposal["value"]}
        for name, value in proposed.items():
            if name not in defaults:
                raise Refused(f"there is no sampling parameter {name!r} here", name)
            if name == "text":
                if not isinstance(value, str):
                    raise Refused("The prompt is text.", "text")
                continue
            default, low, high = SAMPLING[name]
            whole = isinstance(default, int)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise Refused(f"{name} is a number from {low:g} to {high:g}.", name)
            if not low <= value <= high or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise Refused(f"{name} is {kind} from {low:g} to {high:g}.", name)
            proposed[name] = int(value) if whole else float(value)
        return proposed

    @traitlets.observe("prompt")
    def _accepted(self, _change: Any) -> None:
        self.problems = {}

    def take(self, source: Plan | str | Path, **options: Any) -> None:
        """Offer to start another; what runs goes on until it is stopped.

        Parameters
        ----------
        source, **options
            As when the panel was made.
        """
        self._source, self._options = source, options
        with self.hold_sync():
            self.set_trait("state", {**self.state, "source": _named(source)})
            self.set_trait("python", self._call())

    def _call(self) -> str:
        source = repr(str(self._source)).replace("'", '"') if isinstance(self._source, str | Path) else "plan"
        options = "".join(f", {k}={str(v) if isinstance(v, Path) else v!r}" for k, v in self._options.items())
        options += f", on={spoken(self._started_on)}" if self._started_on is not None else ""
        return f"server = wb.serve({source}{options}).wait_ready()\nserver.smoke()"

    def start(self) -> Server:
        """Start the server; returns at once.

        Raises
        ------
        WorkbenchError
            It cannot be started, or one runs already.
        """
        from workbench.serving import serve

        if self.server is not None and self.server.status in ("starting", "ready"):
            raise WorkbenchError("a server runs already; stop it first")
        server = serve(self._source, on=self._started_on, **self._options)
        self.watch(server)
        return server

    def watch(self, server: Server) -> None:
        """Show a server started elsewhere."""
        self._unsubscribe()
        self.server = server
        self.set_trait("steps", [])
        self.set_trait("said", {})
        self._unsubscribe = server.observe(self._throttle)
        self._throttle()

    def stop(self) -> None:
        """Stop the server, if one was started here."""
        if self.server is not None:
            threading.Thread(target=self._stop, daemon=True, name="stop server").start()

    def _stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self._throttle()

    def ask(self) -> None:
        """Send the prompt; the answer comes into ``said`` piece by piece.

        Raises
        ------
        WorkbenchError
            The server is not ready, or still answers.
        """
        server = self._ready()
        if not self.prompt["text"].strip():
            raise Refused("Write a prompt first.", "text")
        if not self._busy.acquire(blocking=False):
            raise WorkbenchError("the server still answers; wait for it")
        threading.Thread(target=self._answer, args=(server, dict(self.prompt)), daemon=True, name="ask").start()

    def smoke(self) -> None:
        """Run the smoke test; its steps come into ``steps``.

        Raises
        ------
        WorkbenchError
            The server is not ready, or still answers.
        """
        server = self._ready()
        if not self._busy.acquire(blocking=False):
            raise WorkbenchError("the server still answers; wait for it")
        threading.Thread(target=self._smoke, args=(server,), daemon=True, name="smoke").start()

    def _ready(self) -> Server:
        if self.server is None or self.server.status != "ready":
            raise WorkbenchError("the server is not ready; start it and wait until it is")
        return self.server

    def _answer(self, server: Server, prompt: dict[str, Any]) -> None:
        self._text, text = "", prompt.pop("text")
        if prompt["top_k"] == 0:  # vLLM's word for "all of them" is -1; an absent field means the same everywhere
            del prompt["top_k"]
        self._say(busy=True)
        facts: dict[str, Any] = {}
        try:
            for piece in server.stream(text, **prompt):
                if isinstance(piece, str):
                    self._text += piece
                    self._draw_said()
                else:
                    facts = {
                        "tokens": piece.completion_tokens,
                        "seconds": piece.seconds,
                        "tokens_per_s": piece.tokens_per_s,
                        "ttft": piece.ttft,
                        "finish": piece.finish_reason,
                    }
        except Exception as error:  # a sentence in the page, whatever the server did
            log.info("no answer", exc_info=error)
            facts = {"error": sentence(error)}
        finally:
            self._busy.release()
        self._say(busy=False, **facts)

    def _say(self, *, busy: bool, **facts: Any) -> None:
        if busy and not self._busy.locked():
            return  # a late picture of an answer that is complete by now
        self.set_trait("said", {"text": self._text, "busy": busy, **facts})

    def _smoke(self, server: Server) -> None:
        seen: list[dict[str, Any]] = []

        def show(step: Any) -> None:
            seen.append({"name": step.name, "status": step.status, "detail": step.detail, "seconds": step.seconds})
            self.set_trait("steps", list(seen))

        self.set_trait("steps", [])
        try:
            server.smoke(on_step=show)
        except Exception as error:  # a sentence in the page, whatever the server did
            self._report(error)
        finally:
            self._busy.release()
        self._throttle()

    def _show(self) -> None:
        server = self.server
        if server is None:
            return
        report = server.report
        self.set_trait(
            "state",
            {
                "status": server.status,
                "stage": server.stage,
                "progress": vars(server.progress),
                "source": _named(self._source),
                "url": server.url if server.status in ("ready", "starting") else "",
                "attached": server.attached,
                "error": server.error or "",
                "log": server.log(LOG_LINES),
                "ready_seconds": server.ready_seconds,
                "version": server.version or "",
                "kv_cache": report.kv_cache,
                "kv_cache_tokens": report.kv_cache_tokens,
                "max_concurrency": report.max_concurrency,
            },
        )


def _named(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else str(source.checkpoint)
