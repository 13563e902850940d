"""Why a llama.cpp server did not start: the one line of its log that matters, and what to change.

References
----------
Wordings: llama.cpp at the commit in llama-cpp-python 0.3.36, and https://github.com/ggml-org/llama.cpp/issues/8101
(no room for the KV cache), https://github.com/ollama/ollama/issues/10930 (no merges in the file's tokenizer),
https://github.com/ollama/ollama/issues/7666 (a driver too old).
"""

from __future__ import annotations

import signal
from collections.abc import Iterable

from workbench.engines import causes
from workbench.engines.causes import Failure
from workbench.engines.vllm.logs import strip_ansi

_TITLE = "llama.cpp"
_OWN = causes.rules(
    (
        "not_found",
        r"Model path does not exist",
        "There is no such GGUF file. Check its path.",
    ),
    (
        "bad_weights",
        r"not within the file bounds|corrupted or incomplete|invalid magic characters|failed to read (?:magic|key)|"
        r"gguf_init_from_file\w*: failed",
        "The GGUF file is truncated or damaged. Make or fetch it again.",
    ),
    (
        "unsupported_model",
        r"unknown model architecture|unknown pre-tokenizer type|unsupported model",
        "This release of llama.cpp does not know the model. Use a newer one, or another engine.",
    ),
    (
        "tokenizer",
        r"error loading model vocabulary|cannot find tokenizer \w+ in model file|key not found in model: tokenizer",
        "The GGUF file holds no whole tokenizer. Make it again from a folder with tokenizer.json, or fetch another.",
    ),
    (
        "no_kv_cache",
        r"failed to allocate buffer for kv cache|failed to allocate .*KV cache",
        "There is no room for the KV cache. Lower max_model_len or max_num_seqs, or set kv_cache_dtype to q8_0.",
    ),
    (
        "oom_loading",
        r"failed to allocate|unable to allocate|[Cc]annot allocate memory|MemoryError",
        "The memory is not enough. Lower max_model_len or max_num_seqs, or choose a smaller file type.",
    ),
    (
        "flags",
        r"error: (?:unrecognized arguments?|argument|expected|ambiguous).*|validation errors? for ModelSettings",
        "The server does not take a flag or its value. Look at the options of llama-cpp-python's server.",
    ),
    (
        "missing_module",
        r"ModuleNotFoundError: .*|ImportError: .*|OSError: .*shared object file.*",
        "The environment lacks a library. Build environment llama-cpp again.",
    ),
)
# Said last, whatever came before: only where nothing above was.
_LAST = causes.rules(
    (
        "bad_weights",
        r"Failed to load model from file|failed to load model|error loading model",
        "llama.cpp cannot load the GGUF file. Make or fetch it again.",
    ),
    (
        "oom_loading",
        r"Failed to create llama_context",
        "llama.cpp could not make its context. Lower max_model_len or max_num_seqs.",
    ),
)
_RULES = (
    *causes.ADDRESS,
    *_OWN,
    *causes.ROOM,
    *causes.of(_TITLE, (*causes.CARD, *causes.MACHINE)),
    *_LAST,
)
_SIGNALS = {
    signal.SIGKILL: "llama.cpp was killed from outside, most likely because the machine ran out of memory. Use a "
    "smaller file or context, or close other programs.",
    signal.SIGILL: "llama.cpp was built for another processor. Build environment llama-cpp again on this machine.",
}


def read_failure(lines: Iterable[str], returncode: int | None = None) -> Failure:
    """Find the line that matters in the log of a server that died.

    Parameters
    ----------
    lines : iterable of str
        The log.
    returncode : int, optional
        Of the process; negative is a signal, as in :mod:`subprocess`.

    Examples
    --------
    >>> read_failure(["llama_model_load: error loading model: unknown model architecture: 'x'"]).kind
    'unsupported_model'
    """
    return causes.read(map(strip_ansi, lines), returncode, _TITLE, _RULES, _SIGNALS)
