"""The app and a browser, once for all tests: Playwright's loop cannot be started twice in a thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from visiting import app, chromium, playwright, visit

__all__ = ["app", "chromium", "nothing_learned_here", "playwright", "visit"]


@pytest.fixture(autouse=True, scope="session")
def nothing_learned_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's own tables would change what is planned; tests have their own, empty ones."""
    place = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(place))
        yield place
