"""GGUF: llama.cpp's block formats, by its own quantiser; runs on any processor.

Needs no calibration text. Which tensor gets how many bits is llama.cpp's rule for the type; the planner has the same
rules (:mod:`workbench.formats.gguf_rules`), so the size is known beforehand.

References
----------
llama.cpp ``tools/quantize/README.md`` (the types), ``src/llama-quant.cpp`` (the rules), ``include/llama.h``
(``llama_model_quantize``), as in llama-cpp-python 0.3.36.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench import headers
from workbench.architecture import Model
from workbench.errors import InvalidInput, UnsupportedModel, WorkbenchError
from workbench.formats import GGUF, stored_bytes
from workbench.formats.gguf_rules import DEFAULT
from workbench.formats.gguf_types import TYPES, fitting
from workbench.quality.llama_model import LlamaModel
from workbench.quality.windows import WINDOW
from workbench.quantities import show_count
from workbench.quantizers.gguf_writer import fields, vocabulary
from workbench.quantizers.method import WORK
from workbench.quantizers.registry import Method, Parameter
from workbench.quantizers.source import Source

#: The checkpoint's own floats as a GGUF file, in the working folder.
_FLOATS = "original.gguf"
_TYPES = (
    "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0",
)  # fmt: skip


def _against(source: Source, parameters: Mapping[str, Any]) -> list[str]:
    if reasons := fields.unsupported(source.config):
        return reasons
    try:
        vocabulary.read(source.folder, fields.read(source.config).vocabulary)
    except (InvalidInput, UnsupportedModel) as error:
        return [str(error)]
    odd = [t for t in source.tensors if t.dtype not in ("F32", "F16", "BF16")]
    return [f"{odd[0].name} is stored as {odd[0].dtype}; F32, F16 and BF16 are converted"] if odd else []


def _about(source: Source, parameters: Mapping[str, Any]) -> list[str]:
    wanted = DEFAULT[parameters["type"].casefold()]
    rows = sorted({t.shape[1] for t in source.linears if t.shape[1] % TYPES[wanted].block})
    notes = [
        f"rows of {row} are not whole blocks of {TYPES[wanted].block}: llama.cpp stores them as "
        f"{fitting(wanted, row).id.upper()} instead of {wanted.upper()}"
        for row in rows
    ]
    if differs := vocabulary.read(source.folder, fields.read(source.config).vocabulary).differs:
        notes.append(differs)
    if (window := fields.window(source.config)) is not None:
        notes.append(
            f"the model looks back {show_count(window)} tokens and llama.cpp all of them, so the file's context is "
            f"{show_count(window)} tokens, within which both are the same"
        )
    return notes


def _size(source: Source, parameters: Mapping[str, Any]) -> int:
    model = Model.from_config(source.folder)
    return int(sum(stored_bytes(model, GGUF[parameters["type"].casefold()]).values()))


def _on_the_way(source: Source, parameters: Mapping[str, Any]) -> int:
    """The file of floats, F32 where the model is measured so, and the words in it, rather too many [bytes]."""
    from workbench.quantizers.preflight import WIDE_UP_TO

    floats = source.parameters * 4 if source.bytes <= WIDE_UP_TO else source.bytes
    # A piece takes its letters and 16 bytes (length, kind, score), a merge no more than in tokenizer.json.
    return floats + (source.folder / "tokenizer.json").stat().st_size + 16 * source.vocabulary


def _memory(source: Source, parameters: Mapping[str, Any]) -> int:
    """The file of floats, mapped while it is measured, and a window's scores; or one tensor in three forms [bytes]."""
    scores = 3 * 4 * WINDOW * source.vocabulary
    largest = max(t.elements for t in source.tensors)
    return max(_on_the_way(source, parameters) + scores, 12 * largest)


METHOD = Method(
    id="gguf",
    title="GGUF, llama.cpp's block formats",
    library="llama-cpp-python 0.3.36",
    scheme="q4_k_m",
    engines=("llama.cpp",),
    calibrates=False,
    environment="llama-cpp",
    whole_model=True,
    against=_against,
    made=lambda parameters: str(parameters["type"]).casefold(),
    about=_about,
    size=_size,
    scratch=_on_the_way,
    memory=_memory,
    variants=({"type": "Q8_0"}, {"type": "Q4_K_M"}),
    note="One file for llama.cpp, embeddings quantised too; vLLM does not read it.",
    parameters=(
        Parameter("type", "Q4_K_M", "File type: bits of a weight, and how much more some layers get.", str,
                  choices=_TYPES),
    ),
    model_types=frozenset(fields.ARCHITECTURES),
)  # fmt: skip


def original(source: Path, out: Path, dtype: str) -> LlamaModel:
    """The checkpoint, converted into the working folder and opened: in F32 if asked, else in its own float."""
    return LlamaModel(_converted(source, out, "F32" if dtype == "float32" else None))


def _converted(
    source: Path, out: Path, dtype: str | None = None, tell: Callable[[float], None] = lambda _: None
) -> Path:
    """The file on the way, in the checkpoint's own float unless another is named; made once."""
    from workbench.quantizers.gguf_writer.convert import convert

    file = out / WORK / _FLOATS
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        convert(source, file, dtype or next(iter(headers.read(source).bytes_by_dtype)), tell)
    return file


def quantize(
    source: Path, out: Path, parameters: dict[str, Any], samples: list[list[int]], tell: Callable[..., None]
) -> None:
    """Quantise ``source`` into ``out`` (inside the environment); ``samples`` is empty."""
    import llama_cpp

    kind = parameters["type"]
    floats = _converted(source, out, tell=lambda done: tell(0.3 * done, "converting to GGUF"))
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    target = out / f"{fields.model_name(source)}-{kind}.gguf"

    @llama_cpp.llama_log_callback
    def watch(level: int, text: bytes, _: Any) -> None:
        line = text.decode("utf-8", "replace")
        print(line, end="", flush=True)
        if at := re.match(r"\[ *(\d+)/ *(\d+)\] +(\S+)", line):
            tell(0.3 + 0.7 * int(at[1]) / int(at[2]), "quantising", f"{at[3]}, {at[1]} of {at[2]}")

    llama_cpp.llama_log_set(watch, None)
    try:
        if llama_cpp.llama_model_quantize(str(floats).encode(), str(target).encode(), settings):
            raise WorkbenchError(f"llama.cpp could not quantise to {kind}; the job's log says why")
    finally:
        llama_cpp.llama_log_set(llama_cpp._logger.llama_log_callback, None)
    shutil.copyfile(source / "config.json", out / "config.json")


def load(folder: Path, dtype: str) -> LlamaModel:
    """The quantised file, opened."""
    return LlamaModel(next(folder.glob("*.gguf")))
