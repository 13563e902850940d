"""One real vLLM for all tests that only ask it questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import workbench as wb
from workbench import builtin
from workbench.planner import Plan
from workbench.serving import Server

# No multiple of a block's bytes, and a length that is no multiple of a block: where counting is easy to get wrong.
KV_CACHE = 256 * 2**20 + 12345
MAX_MODEL_LEN = 1000
START = 300.0  # seconds; a shared machine can be slow


@pytest.fixture(scope="session")
def model() -> Path:
    """The built-in model's folder."""
    return builtin.ensure()


@pytest.fixture(scope="session")
def plan(model: Path) -> Plan:
    return wb.plan(
        model,
        gpu="cpu",
        max_model_len=MAX_MODEL_LEN,
        kv_cache_memory_bytes=KV_CACHE,
        max_num_seqs=8,
        enforce_eager=True,
    )


@pytest.fixture(scope="session")
def start_stages() -> list[tuple[str, float | None]]:
    """Stage and fraction of each change while the shared server came up."""
    return []


@pytest.fixture(scope="session")
def server(plan: Plan, start_stages: list[tuple[str, float | None]]) -> Iterator[Server]:
    """A ready server, started once."""
    with wb.serve(plan) as running:
        running.observe(lambda seen: start_stages.append((seen.stage, seen.progress.fraction)))
        running.wait_ready(START)
        yield running


@pytest.fixture
def tree() -> Callable[[int], list[psutil.Process]]:
    """A process with all its descendants."""

    def living(pid: int) -> list[psutil.Process]:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]

    return living
