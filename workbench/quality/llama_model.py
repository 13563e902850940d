"""A model of llama.cpp, asked: the same questions as of transformers', answered by a GGUF file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.quality.measure import Floats
from workbench.quality.windows import WINDOW


class LlamaModel:
    """A GGUF file, opened on the CPU with a context of one window.

    Keys and values are kept in F32, so that a difference from the original comes from the weights.

    Parameters
    ----------
    file : Path
        The file.

    Raises
    ------
    RuntimeError, ValueError
        If llama.cpp cannot open it.
    """

    runs_in = "llama.cpp"

    def __init__(self, file: Path) -> None:
        import llama_cpp

        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.model = llama_cpp.Llama(
            str(file), n_ctx=WINDOW, n_batch=WINDOW, n_ubatch=WINDOW, n_threads=threads, n_threads_batch=threads,
            logits_all=True, type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32, verbose=False,
        )  # fmt: skip
        trained = int(self.model.metadata.get(f"{self.model.metadata['general.architecture']}.context_length", WINDOW))
        self.longest = min(trained, WINDOW)

    def log_probs(self, ids: Sequence[int], first: int) -> Floats:
        """See :class:`measure.Scored`."""
        self.model.reset()
        self.model.eval(list(ids))
        logits = self.model.scores[first - 1 : len(ids) - 1]
        high = logits.max(1, keepdims=True)
        total = np.log(np.exp(logits - high, dtype=np.float32).sum(1, keepdims=True, dtype=np.float64)) + high
        return np.asarray(logits - total, np.float32)

    def layers(self, ids: Sequence[int]) -> list[Floats]:
        """Nothing: llama.cpp's interface shows no layer."""
        return []

    def say(self, ids: Sequence[int], tokens: int) -> list[int]:
        """See :class:`measure.Scored`."""
        import llama_cpp

        vocabulary = llama_cpp.llama_model_get_vocab(self.model.model)
        self.model.reset()
        self.model.eval(list(ids))
        said: list[int] = []
        while len(said) < min(tokens, self.longest - len(ids)):
            said.append(int(self.model.scores[self.model.n_tokens - 1].argmax()))
            if llama_cpp.llama_vocab_is_eog(vocabulary, said[-1]):
                break
            self.model.eval(said[-1:])
        return said

    def tokens(self, text: str) -> list[int]:
        """A text's token ids by llama.cpp's own tokenizer, with what the file says begins or ends it."""
        return list(self.model.tokenize(text.encode("utf-8"), add_bos=True, special=True))
