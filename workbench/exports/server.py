"""What an engine is to those who deploy it: its image, its paths, how it takes an address, a key, a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from workbench.exports.file import File

if TYPE_CHECKING:
    from workbench.planner import Plan


def _no_files(plan: Plan) -> Sequence[File]:
    return ()


def _own_words(plan: Plan) -> Sequence[str]:
    return plan.words


def _named_by_nothing(folder: str) -> Sequence[str]:
    return ()


def _nothing(plan: Plan) -> str | None:
    return None


def _root(version: str, on_cpu: bool) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Names of an engine's Prometheus series, current ones; "" where it has none.

    Parameters
    ----------
    running, waiting : str
        Requests, gauges.
    kv_cache_usage : str
        Share of the KV cache in use, 0 to 1, a gauge.
    preemptions : str
        A counter.
    ttft, itl, latency : str
        Histograms [s].
    prompt_tokens, generation_tokens : str
        Counters.
    successes : str
        Requests that ended well, a counter.
    failures, requests : str
        Requests that failed by the server's fault, and all of them: counters with the labels that tell them apart.
    """

    running: str = ""
    waiting: str = ""
    kv_cache_usage: str = ""
    preemptions: str = ""
    ttft: str = ""
    itl: str = ""
    latency: str = ""
    prompt_tokens: str = ""
    generation_tokens: str = ""
    successes: str = ""
    failures: str = ""
    requests: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """One engine's server.

    Parameters
    ----------
    engine : str
        A Deployment's word.
    image : callable
        Version, whether on a CPU -> container image with its tag; "" where nobody publishes one.
    entrypoint : tuple of str
        What the image runs already of the start line: these words are left out in a container's arguments.
    address : callable
        Host, port -> words to append to the start line.
    health, models, metrics : str
        Paths; "" where it has none.
    key_variable, key_words : str, tuple of str
        Environment variable that it reads its API key from; or else the words before the key on its line.
    variables : mapping
        Environment variables that every deployment of it wants.
    cache : str
        Environment variable that names the folder of downloaded models.
    series : Metrics
        Its Prometheus series.
    metrics_key : bool
        Whether its metrics are shown only to who has the key.
    options : tuple of str
        Words that every deployment's start line has besides the plan's: its metrics switched on.
    alias : tuple of str
        Words before the name that clients call the model by; without, an engine calls it by its path.
    words : callable
        Plan -> its start line, the model by ``plan.checkpoint``; without address, options and configuration.
    configuration : callable
        Plan -> files that its start line names, by their bare names.
    naming : callable
        Folder that those files lie in -> words that name them.
    obstacle : callable
        Plan -> what of it this engine's line and files cannot say, naming the field; None if they can.
    host_cache : int
        Host memory that it fills with prompts it has seen, besides all else [GiB].
    shared_memory : bool
        Whether its GPUs' processes talk through ``/dev/shm``.
    user : callable
        Version, whether on a CPU -> number of the user, in group 0, that its image can run as; None: only as root.
    source : str
        Where all this is documented.
    """

    engine: str
    image: Callable[[str, bool], str]
    entrypoint: tuple[str, ...]
    address: Callable[[str, int], Sequence[str]]
    health: str
    models: str
    metrics: str
    source: str
    key_variable: str = ""
    key_words: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cache: str = "HF_HOME"
    series: Metrics = Metrics()
    metrics_key: bool = False
    options: tuple[str, ...] = ()
    alias: tuple[str, ...] = ()
    words: Callable[[Plan], Sequence[str]] = _own_words
    configuration: Callable[[Plan], Sequence[File]] = _no_files
    naming: Callable[[str], Sequence[str]] = _named_by_nothing
    obstacle: Callable[[Plan], str | None] = _nothing
    host_cache: int = 0
    shared_memory: bool = True
    user: Callable[[str, bool], int | None] = _root
