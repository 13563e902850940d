"""How a vLLM is started: the process's command line and its environment variables. Starts nothing itself.

Facts about the CPU backend, from the source of vLLM 0.32.0 (``platforms/cpu.py``, ``v1/worker/cpu_worker.py``,
``v1/core/kv_cache_utils.py``):

- ``--kv-cache-memory-bytes`` is honoured to the byte. ``VLLM_CPU_KVCACHE_SPACE`` is the older way: whole GiB only
  (``int(value) * 2**30``; "1.5" is an error), and where it is set it overrides the flag.
- With neither, the cache is ``ceil(node memory × gpu_memory_utilization)`` less the worker's resident memory after
  warm-up, and the start is refused when the node has less free memory than the product.
- ``block_size`` is 128 tokens unless set (16 always for latent attention without AMX).
- blocks = cache bytes // (bytes of one block over all layers);
  tokens = int(blocks / ceil(max_model_len / block_size) × max_model_len);
  concurrency = blocks / ceil(max_model_len / block_size).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.engines.starting import OFFLINE, at_address
from workbench.errors import InvalidInput

#: Set for every vLLM that the workbench starts: no usage report leaves the machine, no animation in the log.
ALWAYS: dict[str, str] = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_DISABLE_LOG_LOGO": "1",
}
# Where it is set it overrides the flag: a plan's cache would silently be another.
_OVERRIDING = ("VLLM_CPU_KVCACHE_SPACE",)


def process_command(command: Sequence[str], python: Path, host: str, port: int) -> list[str]:
    """The command of a plan as it is started: by an environment's own Python, at one address.

    Parameters
    ----------
    command : sequence of str
        ``vllm serve MODEL …``.
    python : Path
        The environment's interpreter. Running the module rather than the ``vllm`` script works where the script's
        first line does not (moved folders, long paths).

    Raises
    ------
    InvalidInput
        The command is not one of ``vllm serve``, or names another host or port.

    Examples
    --------
    >>> process_command(["vllm", "serve", "m"], Path("/e/bin/python"), "127.0.0.1", 8000)[1:]
    ['-m', 'vllm.entrypoints.cli.main', 'serve', 'm', '--host', '127.0.0.1', '--port', '8000']
    """
    words = list(command)
    if words[:2] != ["vllm", "serve"]:
        raise InvalidInput("the command to start must begin with `vllm serve`")
    return [str(python), "-m", "vllm.entrypoints.cli.main", *at_address(words[1:], host, port)]


def process_environment(
    inherited: Mapping[str, str],
    *,
    offline: bool,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment variables that a vLLM is started with.

    Parameters
    ----------
    inherited : mapping
        What programs of its environment run with; tokens, CUDA and proxy settings pass through.
    offline : bool
        Whether the model is a local folder, so that nothing needs to be asked of Hugging Face.
    more : mapping, optional
        Set last: what the plan or the user asks for.

    Examples
    --------
    >>> process_environment({"VLLM_CPU_KVCACHE_SPACE": "40"}, offline=True)["HF_HUB_OFFLINE"]
    '1'
    """
    environment = {name: value for name, value in inherited.items() if name not in _OVERRIDING}
    environment.update(ALWAYS)
    if offline:
        environment.update(OFFLINE)
    environment.update(more or {})
    return environment
