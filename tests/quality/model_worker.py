"""Workers of the test of llama.cpp's answers: the same questions, to transformers and to llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from workbench.builtin import text
from workbench.quality.measure import Original, facts, measure
from workbench.quality.tokens import tokenizer
from workbench.quality.windows import passages

TOKENS = 800


def work(request: dict[str, Any], worker: Any) -> Any:
    """Measure, and keep or hold against what was kept; what llama.cpp's own tokenizer says is compared too."""
    folder = Path(request["folder"])
    encode, decode = tokenizer(folder)
    documents = [document.text for document in text.held_out()]
    scored = passages(documents, encode, TOKENS)
    kept = Original(Path(request["kept"]))
    if request["engine"] == "transformers":
        from workbench.quality.torch_model import load

        found = measure(load(folder, "float32"), scored, keep=kept)
        return {"perplexity": found.perplexity, "said": found.said, "tokens": found.tokens}

    from workbench.quality.llama_model import LlamaModel
    from workbench.quantizers.gguf_writer.convert import convert

    convert(folder, worker.out / "model.gguf", "F32")
    model = LlamaModel(worker.out / "model.gguf")
    found = measure(model, scored, against=kept)
    ids = max(scored, key=len)[:40]
    rows = model.log_probs(ids, 1)
    return {
        "perplexity": found.perplexity,
        "said": found.said,
        "tokens": found.tokens,
        "divergence": found.divergence,
        "agreement": found.agreement,
        "layers": found.layers,
        "runs_in": found.runs_in,
        "longest": model.longest,
        "facts": facts(found, found, decode, scored)["perplexity_after"],
        "sums": [
            float(np.exp(rows.astype(np.float64)).sum(1).min()),
            float(np.exp(rows.astype(np.float64)).sum(1).max()),
        ],
        "later": float(np.abs(rows[19:] - model.log_probs(ids, 20)).max()),
        "documents": len(documents),
        "differing": sum(model.tokens(document) != encode(document) for document in documents),
    }
