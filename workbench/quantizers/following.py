"""Progress out of libraries that only draw a bar: every tqdm bar is followed as it is drawn.

Runs inside an environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def follow_tqdm(watch: Callable[[str, int, int, float | None], None]) -> Iterator[None]:
    """Within the context, call ``watch`` whenever a bar is drawn.

    Parameters
    ----------
    watch : callable
        Takes the bar's description, how many are done, of how many, and the estimated rest [s] or None.
    """
    from tqdm import std

    original = std.tqdm.display

    def display(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.total:
            rate = self.format_dict["n"] / (self.format_dict["elapsed"] or 1)
            watch(self.desc or "", self.n, int(self.total), (self.total - self.n) / rate if rate else None)
        return original(self, *args, **kwargs)

    std.tqdm.display = display
    try:
        yield
    finally:
        std.tqdm.display = original
