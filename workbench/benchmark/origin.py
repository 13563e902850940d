"""Where a load comes from: this machine, or the node of a cluster that the server itself was started on.

A server that runs at an address is asked from here, and the way there and back is in its times. One that was started on
a node is asked from that node, as benchmarks that plans were fitted to were measured, so that figures of all nodes can
be compared with one another and with the plan: whatever lies between here and there is in none of them, this machine
need not hold the load generator, and several at once do not wait for its processor. Who wants the times that a client
far away sees gives the server's address instead of the server.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import environments, jobs
from workbench.benchmark.footprint import WEIGHTS
from workbench.jobs import Place

if TYPE_CHECKING:
    from workbench.serving import Server

#: The environments that hold the load generator.
_HOLD_IT = ("vllm", "vllm-cpu")


@dataclass(frozen=True)
class Origin:
    """A machine that loads come from.

    Attributes
    ----------
    node : str
        Address of the node, which the server stands on too; empty for this machine.
    place : Place
        Where its workers run.
    holds : str
        The environment there that holds the load generator; empty for this machine's own choice.
    """

    node: str = ""
    place: Place = jobs.HERE
    holds: str = ""

    @property
    def environment(self) -> str:
        """The environment that the load generator runs in."""
        return self.holds or environments.for_serving().name

    @contextlib.contextmanager
    def words(self, tokenizer: str) -> Iterator[str]:
        """The tokenizer as it goes along: of a folder, all but the weights, which a node may have to be sent."""
        folder = Path(tokenizer)
        if not self.node or not folder.is_dir():
            yield tokenizer
            return
        with tempfile.TemporaryDirectory(prefix="tokenizer-") as made:
            for file in folder.iterdir():
                if file.is_file() and file.suffix not in WEIGHTS:
                    Path(made, file.name).symlink_to(file.resolve())
            yield made


HERE = Origin()


def origin_of(server: Server | None) -> Origin:
    """Where the load on a server comes from."""
    if server is None or not server.node:
        return HERE
    # The engine's own, which is there already. Where that is another engine's, it is one without cards.
    holds = server.environment if server.environment in _HOLD_IT else "vllm-cpu"
    return Origin(server.node, server.beside(), holds)
