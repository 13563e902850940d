"""Why a llama.cpp server did not start: the one line of its log that matters, and what to change."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable

from workbench.engines.vllm.failures import Failure
from workbench.engines.vllm.logs import strip_ansi

_TITLE = "llama.cpp"
# (kind, sign, advice), most specific first.
_RULES = tuple(
    (kind, re.compile(sign), advice)
    for kind, sign, advice in (
        (
            "port_busy",
            r"[Aa]ddress already in use|error while attempting to bind on address",
            "The port is taken by another program. Choose another one, or stop what listens there.",
        ),
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
            "oom_loading",
            r"failed to allocate|unable to allocate|std::bad_alloc|[Cc]annot allocate memory|MemoryError",
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
)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception)\b(?:: .+)?$")
_SIGNALS = {
    signal.SIGKILL: "llama.cpp was killed from outside, most likely because the machine ran out of memory. Use a "
    "smaller file or context, or close other programs.",
    signal.SIGILL: "llama.cpp was built for another processor. Build environment llama-cpp again on this machine.",
    signal.SIGTERM: "llama.cpp was stopped from outside.",
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
    said = [text for line in lines if (text := strip_ansi(line).strip())]
    for kind, sign, advice in _RULES:
        if found := next((text for text in said if sign.search(text)), None):
            return Failure(kind, found[:600], advice, _TITLE)
    if returncode is not None and returncode < 0:
        known = {int(number): advice for number, advice in _SIGNALS.items()}
        advice = known.get(-returncode, f"llama.cpp was ended by signal {-returncode}.")
        return Failure("killed", "", advice, _TITLE)
    exception = next((text for text in reversed(said) if _EXCEPTION.match(text)), "")
    code = f" (exit code {returncode})" if returncode is not None else ""
    return Failure("unknown", (exception or (said or [""])[-1])[:600], f"llama.cpp ended by itself{code}.", _TITLE)
