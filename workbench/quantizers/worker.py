"""Quantise a checkpoint: perplexity, calibration, the method itself, perplexity again, on the same text.

A worker: it runs in the ``quantize`` environment.
"""

from __future__ import annotations

import gc
import shutil
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.builtin import text
from workbench.builtin.perplexity import perplexity
from workbench.builtin.train import portable_tokenizer
from workbench.quantizers import calibration, checkpoint
from workbench.quantizers.preflight import WIDE_UP_TO, quantised
from workbench.quantizers.registry import find

if TYPE_CHECKING:
    from workbench.worker import Worker

#: What belongs to a model besides config and weights; taken over as it stands.
_COMPANIONS = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.tiktoken",
    "chat_template*", "generation_config.json", "preprocessor_config.json", "processor_config.json",
)  # fmt: skip


def work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """Quantise ``source`` into the worker's folder.

    Parameters
    ----------
    request : dict
        ``source`` (folder), ``method``, ``parameters``, ``data`` (file or None), ``evaluate_tokens`` (0: leave
        perplexity out).
    worker : Worker
        Takes progress; ``out`` is the folder to write.
    """
    started = time.monotonic()
    out, source = worker.out, Path(request["source"])
    assert out is not None
    how, parameters = find(request["method"]), request["parameters"]
    before = checkpoint.read(source)
    worker.progress(None, "loading the libraries")
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(source)
    samples: list[list[int]] = []
    calibrated: dict[str, Any] | None = None
    if how.calibrates:
        worker.progress(0.02, "reading the calibration text")
        data = request["data"]
        texts = calibration.read(Path(data)) if data else calibration.builtin_texts()
        samples, facts = calibration.select(
            texts, data or "built-in text", tokenizer, parameters[how.samples], parameters[how.length],
            cut=how.scheme != "awq",
        )  # fmt: skip
        calibrated = facts.to_dict()

    documents = [document.text for document in text.held_out()]
    wide = torch.float32 if before.bytes <= WIDE_UP_TO else torch.bfloat16

    def measure(load: Any, begin: float, end: float, stage: str) -> dict[str, Any] | None:
        if not request["evaluate_tokens"]:
            return None
        worker.progress(begin, stage)
        transformers.set_seed(0)
        return perplexity(
            _placed(load(), torch), tokenizer, documents, max_tokens=request["evaluate_tokens"],
            progress=lambda done: worker.progress(begin + (end - begin) * done, stage),
        )  # fmt: skip

    first = measure(
        lambda: AutoModelForCausalLM.from_pretrained(source, dtype=wide, trust_remote_code=False).eval(),
        0.05, 0.15, "measuring perplexity before",
    )  # fmt: skip
    gc.collect()

    def tell(fraction: float, stage: str, detail: str = "", seconds_left: float | None = None) -> None:
        worker.progress(0.15 + 0.7 * fraction, stage, detail, seconds_left)

    tell(0.0, "quantising")
    module = import_module(f"workbench.quantizers.{how.id}")
    module.quantize(source, out, parameters, samples, tell)
    _take_over(source, out)
    gc.collect()
    second = measure(lambda: module.load(out, wide), 0.87, 1.0, "measuring perplexity after")

    after = checkpoint.read(out)
    return {
        "method": how.id,
        "scheme": how.scheme,
        "parameters": parameters,
        "bytes_before": before.bytes,
        "bytes_after": after.bytes,
        "bits_per_weight": bits_per_weight(before, after, parameters),
        "perplexity_before": first and first.pop("perplexity"),
        "perplexity_after": second and second.pop("perplexity"),
        "evaluation": second and {**second, "text": "built-in, held out", "dtype": str(wide).removeprefix("torch.")},
        "calibration": calibrated,
        "notes": request.get("notes", []),
        "seconds": time.monotonic() - started,
    }


def _placed(model: Any, torch: Any) -> Any:
    """The model on the GPU, if there is one with room for it."""
    if torch.cuda.is_available():
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        if size * 1.2 + 2**30 < torch.cuda.mem_get_info()[0]:
            return model.to("cuda")
    return model


def _take_over(source: Path, out: Path) -> None:
    """Tokenizer, chat template and generation config as the source has them, not as a library rewrote them."""
    for pattern in _COMPANIONS:
        for written in out.glob(pattern):
            written.unlink()
        for file in source.glob(pattern):
            if file.is_file():
                shutil.copyfile(file, out / file.name)
    if (out / "tokenizer_config.json").is_file():
        portable_tokenizer(out)


def bits_per_weight(before: checkpoint.Checkpoint, after: checkpoint.Checkpoint, parameters: dict[str, Any]) -> float:
    """Stored bits of a quantised weight, its scales, zeros and indices included."""
    weights = {t.name.removesuffix(".weight"): t for t in quantised(before, parameters)}
    parts = (".bias",)
    stored = sum(t.bytes for t in after.tensors if t.name.rpartition(".")[0] in weights and not t.name.endswith(parts))
    return 8 * stored / sum(t.elements for t in weights.values())
