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

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.errors import InvalidInput
from workbench.quantities import GIB

#: Set for every vLLM that the workbench starts: no usage report leaves the machine, no animation in the log.
ALWAYS: dict[str, str] = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_DISABLE_LOG_LOGO": "1",
}
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_CPU_SPACE = "VLLM_CPU_KVCACHE_SPACE"
# What a notebook's or another environment's Python leaves behind and must not reach vLLM's own.
_FOREIGN = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "MPLBACKEND",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    _CPU_SPACE,
)


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
    for flag in ("--host", "--port"):
        if any(word == flag or word.startswith(flag + "=") for word in words):
            raise InvalidInput(f"leave {flag} out of the command; the workbench chooses the address")
    return [str(python), "-m", "vllm.entrypoints.cli.main", *words[1:], "--host", host, "--port", str(port)]


def process_environment(
    inherited: Mapping[str, str],
    python: Path,
    *,
    offline: bool,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment variables that a vLLM is started with.

    Parameters
    ----------
    inherited : mapping
        The workbench's own, usually ``os.environ``; tokens, CUDA and proxy settings pass through.
    python : Path
        The environment's interpreter; its folder comes first on PATH (compilers and tools of the environment).
    offline : bool
        Whether the model is a local folder, so that nothing needs to be asked of Hugging Face.
    more : mapping, optional
        Set last: what the plan or the user asks for.
    """
    environment = {name: value for name, value in inherited.items() if name not in _FOREIGN}
    environment["PATH"] = os.pathsep.join([str(python.parent), inherited.get("PATH", os.defpath)])
    environment.update(ALWAYS)
    if offline:
        environment.update(_OFFLINE)
    environment.update(more or {})
    return environment


def cpu_cache_variables(kv_cache_memory_bytes: int | None, command: Sequence[str]) -> dict[str, str]:
    """``VLLM_CPU_KVCACHE_SPACE`` where the command itself does not set the cache.

    Raises
    ------
    InvalidInput
        The size is not whole GiB, which is all that the variable can say.

    Examples
    --------
    >>> cpu_cache_variables(2 * 2**30, ["vllm", "serve", "m"])
    {'VLLM_CPU_KVCACHE_SPACE': '2'}
    >>> cpu_cache_variables(2 * 2**30, ["vllm", "serve", "m", "--kv-cache-memory-bytes", "2147483648"])
    {}
    """
    if kv_cache_memory_bytes is None or any(word.startswith("--kv-cache-memory") for word in command):
        return {}
    if kv_cache_memory_bytes % GIB:
        raise InvalidInput("on a CPU, kv_cache_memory_bytes must be a multiple of 1 GiB (1073741824 bytes)")
    return {_CPU_SPACE: str(kv_cache_memory_bytes // GIB)}
