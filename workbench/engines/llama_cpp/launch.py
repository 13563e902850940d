"""How llama.cpp's server is started: the process's command line and its environment variables. Starts nothing itself.

A plan's command is ``llama-server``'s. Started from here is the server of llama-cpp-python, which is built on the same
library and answers OpenAI's API; its options carry the library's own names. It computes one request after the other, so
``--parallel`` has no counterpart: the context is as large as that of all slots, and whoever comes second waits.

References
----------
llama-cpp-python 0.3.36 ``llama_cpp/server/settings.py`` (options, and that each can be set by an environment variable
of its name), ``llama_cpp/server/__main__.py`` (``HOST``, ``PORT`` and ``CONFIG_FILE`` override the command line).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.errors import InvalidInput
from workbench.formats.gguf_types import BY_NUMBER

#: The environment that runs it.
ENVIRONMENT = "llama-cpp"
_NUMBERS = {made.id: number for number, made in BY_NUMBER.items()}
#: Tokens that a slot's context is rounded up to (llama.cpp ``src/llama-context.cpp``, ``GGML_PAD(…, 256)``).
_WHOLE = 256
#: llama-server's flags -> the Python server's; an empty name is left out.
_FLAGS = {
    "--model": "--model",
    "--ctx-size": "--n_ctx",
    "--parallel": "",
    "--n-gpu-layers": "--n_gpu_layers",
    "--ubatch-size": "--n_ubatch",
    "--batch-size": "--n_batch",
    "--split-mode": "",
    "--cache-type-k": "--type_k",
    "--cache-type-v": "--type_v",
}
#: The server's settings, each of which would be taken from an environment variable of that name.
_OVERRIDING = frozenset((
    "host", "port", "config_file", "ssl_keyfile", "ssl_certfile", "api_key", "interrupt_requests",
    "disable_ping_events", "root_path", "model", "model_alias", "n_gpu_layers", "split_mode", "main_gpu",
    "tensor_split", "vocab_only", "use_mmap", "use_mlock", "kv_overrides", "rpc_servers", "seed", "n_ctx", "n_batch",
    "n_ubatch", "n_threads", "n_threads_batch", "rope_scaling_type", "rope_freq_base", "rope_freq_scale",
    "yarn_ext_factor", "yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow", "yarn_orig_ctx", "mul_mat_q",
    "logits_all", "embedding", "offload_kqv", "flash_attn", "last_n_tokens_size", "lora_base", "lora_path", "numa",
    "chat_format", "chat_template_kwargs", "clip_model_path", "cache", "cache_type", "cache_size",
    "hf_tokenizer_config_path", "hf_pretrained_model_name_or_path", "hf_model_repo_id", "draft_model",
    "draft_model_num_pred_tokens", "type_k", "type_v", "verbose",
))  # fmt: skip


def process_command(command: Sequence[str], python: Path, host: str, port: int) -> list[str]:
    """The command of a plan as it is started: by an environment's own Python, at one address.

    Parameters
    ----------
    command : sequence of str
        ``llama-server --model FILE …``; options of llama-cpp-python's server (``--n_threads``) are passed on.
    python : Path
        The environment's interpreter.

    Raises
    ------
    InvalidInput
        The command is not one of ``llama-server``, names another host or port, or has a flag that the server lacks.

    Examples
    --------
    >>> line = ["llama-server", "--model", "m.gguf", "--ctx-size", "4096", "--parallel", "2", "--cache-type-k", "q8_0"]
    >>> " ".join(process_command(line, Path("python"), "127.0.0.1", 8000)[3:10])
    '--model m.gguf --n_ctx 4096 --type_k 8 --model_alias'
    """
    words = list(command)
    if words[:1] != ["llama-server"]:
        raise InvalidInput("the command to start must begin with `llama-server`")
    slots = int(words[words.index("--parallel") + 1]) if "--parallel" in words else 1
    made: list[str] = []
    at = 1
    while at < len(words):
        word = words[at]
        if word.split("=")[0] in ("--host", "--port"):
            raise InvalidInput(f"leave {word} out of the command; the workbench chooses the address")
        if word in _FLAGS:
            name, value = _FLAGS[word], words[at + 1] if at + 1 < len(words) else ""
            if name.startswith("--type"):
                value = str(_NUMBERS.get(value, value))
            elif name == "--n_ctx":
                value = str(_context(int(value), slots))
            made += [name, value] if name else []
            at += 2
        elif word.startswith("--") and "-" in word[2:]:
            raise InvalidInput(f"llama-cpp-python's server has no {word}; its own options are written with underscores")
        else:
            made.append(word)
            at += 1
    given = {word.split("=")[0] for word in made}
    threads = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    defaults = {
        "--model_alias": Path(made[made.index("--model") + 1]).stem if "--model" in made else "",
        "--n_threads": threads,
        "--n_threads_batch": threads,
        "--logits_all": "false",  # else it keeps the scores of every token of the context
        "--interrupt_requests": "false",  # else a stream ends unsaid when the next request comes
    }
    if "--n_ubatch" in made and "--n_batch" not in made:
        defaults["--n_batch"] = made[made.index("--n_ubatch") + 1]
    if "--type_v" in made:
        defaults["--flash_attn"] = "true"  # without it, values are cached in floats only
    for name, value in defaults.items():
        made += [name, value] if name not in given else []
    return [str(python), "-m", "llama_cpp.server", *made, "--host", host, "--port", str(port)]


def _context(tokens: int, slots: int) -> int:
    """Tokens of a context that so many slots share alike, each rounded up as llama-server does.

    >>> _context(1800, 3)
    2304
    """
    return -(-tokens // (slots * _WHOLE)) * _WHOLE * slots


def process_environment(
    inherited: Mapping[str, str],
    *,
    offline: bool,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment variables that the server is started with.

    Parameters
    ----------
    inherited : mapping
        What programs of its environment run with.
    offline : bool
        Whether the model is a local file; always, here.
    more : mapping, optional
        Set last.

    Examples
    --------
    >>> process_environment({"PORT": "80", "n_ctx": "5", "HOME": "/h"}, offline=True)
    {'HOME': '/h', 'PYTHONUNBUFFERED': '1', 'HF_HUB_OFFLINE': '1'}
    """
    environment = {name: value for name, value in inherited.items() if name.casefold() not in _OVERRIDING}
    return {**environment, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", **(more or {})}
