"""What an engine says of itself while a load is on: its ``/metrics``, read twice a second."""

from __future__ import annotations

import threading
from typing import Self

from workbench.benchmark.load import Served
from workbench.engines.vllm.metrics import Metrics
from workbench.errors import WorkbenchError
from workbench.serving import Client

_EVERY = 0.5  # seconds between two readings


class Meter:
    """Reads ``/metrics`` from entering to leaving; :attr:`served` is what it saw, None where there is nothing to read.

    Parameters
    ----------
    url : str
    api_key : str, optional
    every : float
        Between two readings [s].
    """

    def __init__(self, url: str, api_key: str | None = None, every: float = _EVERY) -> None:
        self._client = Client(url, api_key=api_key, timeout=10.0)
        self._every = every
        self._stop = threading.Event()
        self._first: Metrics | None = None
        self._last: Metrics | None = None
        self._most: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="workbench-meter", daemon=True)

    def __enter__(self) -> Self:
        self._first = self._read()
        if self._first is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(15.0)
        if self._first is not None:
            self._read()
        self._client.close()

    @property
    def served(self) -> Served | None:
        """What was seen."""
        if self._first is None or self._last is None:
            return None
        before, after = self._first.counters, self._last.counters

        def grown(name: str) -> float | None:
            if name not in after:
                return None
            more = after[name] - before.get(name, 0.0)
            return more if more >= 0 else None  # the engine was started anew: nobody knows

        return Served(
            kv_cache_usage=self._most.get("kv_cache_usage"),
            running=self._most.get("requests_running"),
            waiting=self._most.get("requests_waiting"),
            preemptions=grown("preemptions"),
            prefix_hit=_share(grown("prefix_cache_hits"), grown("prefix_cache_queries")),
            acceptance=_share(grown("accepted_tokens"), grown("draft_tokens")),
            generated=grown("generation_tokens"),
        )

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self._read()

    def _read(self) -> Metrics | None:
        """One reading; None of a server that has none of vLLM's metrics, or does not answer just now."""
        try:
            found = self._client.metrics()
        except WorkbenchError:
            return None
        if not found.gauges and not found.counters:
            return None
        for name, value in found.gauges.items():
            self._most[name] = max(value, self._most.get(name, 0.0))
        self._last = found
        return found


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
