"""Quantise a checkpoint and say what it cost: the original measured, the method itself, the result measured.

A worker: it runs in the environment of the method.
"""

from __future__ import annotations

import gc
import random
import resource
import shutil
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import headers
from workbench.builtin.train import portable_tokenizer
from workbench.quality import torch_model
from workbench.quality.tokens import tokenizer
from workbench.quantizers import calibration, source
from workbench.quantizers.evaluation import Evaluation, Tell
from workbench.quantizers.method import WORK
from workbench.quantizers.preflight import WIDE_UP_TO, quantised
from workbench.quantizers.registry import Method, find

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
        ``source`` (folder), ``method``, ``parameters``, ``data`` (as ``calibration.load`` takes it), ``chat``,
        ``download``, ``evaluate_tokens`` (0: nothing is measured), ``tasks``, ``notes``, and ``estimated``
        (``bytes``, ``bits`` and ``seconds`` of the preflight).
    worker : Worker
        Takes progress; ``out`` is the folder to write.
    """
    started = time.monotonic()
    out, folder = worker.out, Path(request["source"])
    assert out is not None
    how, parameters = find(request["method"]), request["parameters"]
    before = source.read(folder)
    worker.progress(None, "loading the libraries")
    _same_dice()
    encode, decode = tokenizer(folder)
    samples: list[list[int]] = []
    calibrated: dict[str, Any] | None = None
    notes: list[str] = list(request.get("notes", []))
    if how.reads_text(parameters):
        worker.progress(0.02, "reading the calibration text")
        samples, calibrated, said = _samples(how, request, encode)
        notes += [note for note in said if note and note not in notes]

    module = import_module(f"workbench.quantizers.method.{how.id}")
    original = getattr(module, "original", lambda folder, out, dtype: torch_model.load(folder, dtype))
    dtype = "float32" if before.bytes <= WIDE_UP_TO else "bfloat16"
    tokens, tasks = int(request["evaluate_tokens"]), request.get("tasks", [])
    evaluation = Evaluation(folder, out / WORK, encode, decode, tokens, tasks, dtype)

    def between(begin: float, end: float) -> Tell:
        return lambda done, stage: worker.progress(begin + (end - begin) * done, stage)

    (out / WORK).mkdir(exist_ok=True)
    evaluation.before(lambda: original(folder, out, dtype), between(0.05, 0.15))
    _same_dice()

    def tell(fraction: float, stage: str, detail: str = "", seconds_left: float | None = None) -> None:
        worker.progress(0.15 + 0.7 * fraction, stage, detail, seconds_left)

    tell(0.0, "quantising")
    began = time.monotonic()
    module.quantize(folder, out, parameters, samples, tell)
    quantising = time.monotonic() - began
    take_over(folder, out)
    gc.collect()
    evaluation.after(lambda: module.load(out, dtype), between(0.87, 1.0))
    shutil.rmtree(out / WORK)

    after = headers.read(out)
    return {
        "method": how.id,
        "title": how.title,
        "scheme": how.made(parameters) if how.made else how.scheme,
        "parameters": parameters,
        "bytes_before": before.bytes,
        "bytes_estimated": request["estimated"]["bytes"],
        "bytes_after": after.bytes,
        "bits_estimated": request["estimated"]["bits"],
        "bits_per_weight": _bits_per_weight(before, after, how, parameters),
        "calibration": calibrated,
        "notes": notes,
        "peak_memory": _peak_memory(),
        "seconds_quantising": quantising,
        **evaluation.facts(),
        "seconds_estimated": request["estimated"].get("seconds"),
        "seconds": time.monotonic() - started,
    }


def _same_dice() -> None:
    """The same random numbers in every run."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # the libraries draw from it
    if find_spec("torch"):
        import torch

        torch.manual_seed(0)


def _samples(how: Method, request: dict[str, Any], encode: Any) -> tuple[list[list[int]], dict[str, Any], list[str]]:
    """Token ids of the calibration texts, facts and notes of them."""
    asked, length = request["parameters"][how.samples], request["parameters"][how.length]
    data, chat = request.get("data"), bool(request.get("chat"))
    # More rows of a data set than texts are asked for, because some will be too short or too long.
    texts = calibration.load(data, download=bool(request.get("download")), rows=4 * asked)
    encode = calibration.encoder(Path(request["source"]), encode, chat=chat)
    samples, found = calibration.select(texts, data or "built-in text", encode, asked, length, cut=not how.drops_long)
    said = [calibration.remark(texts) if data else "", calibration.shortfall(found, asked, length)]
    return samples, {**found.to_dict(), "chat": chat}, said


def take_over(source: Path, out: Path) -> None:
    """Tokenizer, chat template and generation config as the source has them, not as a library rewrote them."""
    for pattern in _COMPANIONS:
        for written in out.glob(pattern):
            written.unlink()
        for file in source.glob(pattern):
            if file.is_file():
                shutil.copyfile(file, out / file.name)
    if (out / "tokenizer_config.json").is_file():
        portable_tokenizer(out)


def _bits_per_weight(
    before: source.Source, after: headers.Checkpoint, how: Method, parameters: dict[str, Any]
) -> float:
    """Stored bits of a quantised weight, its scales, zeros and indices included."""
    if how.whole_model:
        return 8 * after.bytes / before.parameters
    weights = {t.name.removesuffix(".weight"): t for t in quantised(before, parameters)}
    stored = sum(t.bytes for t in after.tensors if _module(t.name, weights) and not t.name.endswith(".bias"))
    return 8 * stored / sum(t.elements for t in weights.values())


def _module(name: str, weights: dict[str, Any]) -> bool:
    """Whether a tensor belongs to a quantised module: ``….up_proj.weight_scale``, ``….up_proj.weight.absmax``."""
    parts = name.split(".")
    return any(".".join(parts[:-deep]) in weights for deep in (1, 2, 3))


def _peak_memory() -> int:
    """Most memory this process has held [bytes]."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
