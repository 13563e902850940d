"""Write the file: header, tokenizer, then one tensor after the other. Runs where ``gguf`` is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench import headers
from workbench.errors import UnsupportedModel
from workbench.quantizers.gguf_writer import fields as configuration
from workbench.quantizers.gguf_writer import vocabulary
from workbench.quantizers.gguf_writer.fields import Fields

#: Floats a file can hold: bytes of one, and the number of the file's type (llama.cpp ``include/llama.h``, llama_ftype).
FLOATS = {"F32": (4, 0), "F16": (2, 1), "BF16": (2, 32)}
_BITS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
#: What some checkpoints hold and nobody needs: computed from the configuration.
_NOT_NEEDED = (".rotary_emb.inv_freq",)


@dataclass(frozen=True)
class _Tensor:
    """One tensor: where it lies and what it becomes."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], NDArray[Any]]


def convert(source: Path, file: Path, dtype: str, tell: Callable[[float], None] = lambda _: None) -> None:
    """Write a checkpoint as one GGUF file.

    Parameters
    ----------
    source : Path
        Folder with config.json, safetensors and tokenizer.json.
    file : Path
        Written; removed again if that fails.
    dtype : {"F32", "F16", "BF16"}
        Of the matrices; norms and biases are F32, as llama.cpp wants them.
    tell : callable, optional
        Takes how far it is, 0 to 1.

    Raises
    ------
    UnsupportedModel
        If the architecture, the tokenizer or a tensor has no place in the file; nothing is written then.
    InvalidInput
        If a file of the checkpoint is missing or broken.
    """
    import gguf

    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if reasons := configuration.unsupported(config):
        raise UnsupportedModel("; ".join(reasons))
    model = configuration.read(config)
    words = vocabulary.read(source, model.vocabulary)
    tensors = [_named(tensor, model) for tensor in _tensors(source) if not tensor.name.endswith(_NOT_NEEDED)]
    if model.tied:
        tensors = [tensor for tensor in tensors if tensor.name != "output.weight"]
    stored = [_stored(tensor, model, dtype) for tensor in tensors] + _stretched(model)

    writer = gguf.GGUFWriter(file, model.architecture)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(configuration.model_name(source))
    writer.add_file_type(FLOATS[dtype][1])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _describe(writer, model)
    _tokenize(writer, source, words)
    for tensor in stored:
        size = math.prod(tensor.shape) * FLOATS[tensor.dtype][0]
        kind = np.dtype(_BITS[tensor.dtype])
        writer.add_tensor_info(tensor.name, tensor.shape, kind, size, gguf.GGMLQuantizationType[tensor.dtype])
    total = sum(math.prod(tensor.shape) for tensor in stored)
    done = 0
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in stored:
            writer.write_tensor_data(tensor.load())
            done += math.prod(tensor.shape)
            tell(done / total)
    except BaseException:
        writer.close()
        file.unlink(missing_ok=True)
        raise
    writer.close()


# ---------------------------------------------------------------------------------------------- tensors


def _tensors(source: Path) -> list[_Tensor]:
    """Everything that belongs to the checkpoint, read when it is asked for."""
    from gguf.utility import SafetensorsLocal

    # A folder may hold the same weights once more, in a file that its index does not name.
    left = {tensor.name for tensor in headers.read(source).tensors}
    found = []
    for file in sorted(source.glob("*.safetensors")):
        for name, place in SafetensorsLocal(file).tensors.items():
            if name not in left:
                continue
            left.remove(name)
            if place.dtype not in FLOATS:
                raise UnsupportedModel(f"{name} is stored as {place.dtype}; F32, F16 and BF16 are converted")
            kind, shape = _BITS[place.dtype], place.shape
            found.append(
                _Tensor(name, shape, place.dtype, lambda p=place, k=kind, s=shape: p.mmap_bytes().view(k).reshape(s))
            )
    return found


def _named(tensor: _Tensor, model: Fields) -> _Tensor:
    """The tensor under llama.cpp's name, by the map that comes with ``gguf``."""
    import gguf

    architecture = next(known for known, name in gguf.MODEL_ARCH_NAMES.items() if name == model.architecture)
    name = gguf.get_tensor_name_map(architecture, model.layers).get_name(tensor.name, (".weight", ".bias"))
    if name is None:
        raise UnsupportedModel(f"{tensor.name} has no place in a GGUF file of architecture {model.architecture}")
    return _Tensor(name, tensor.shape, tensor.dtype, tensor.load)


def _stored(tensor: _Tensor, model: Fields, dtype: str) -> _Tensor:
    """The tensor as it goes into the file: its float, and its rows in llama.cpp's order."""
    wanted = dtype if len(tensor.shape) > 1 else "F32"
    part = tensor.name.split(".")[-2]
    heads = {"attn_q": model.heads, "attn_k": model.kv_heads}.get(part, 0)

    def load() -> NDArray[Any]:
        values = tensor.load()
        if heads and model.architecture in configuration.NEIGHBOURS:
            values = neighbours(values, heads)
        return np.ascontiguousarray(floats(values, tensor.dtype, wanted))

    return _Tensor(tensor.name, tensor.shape, wanted, load)


def neighbours(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of Q or K of each head, its two halves taken in turns.

    transformers turns value i of a head with value i + head_dim / 2, llama.cpp value 2 i with value 2 i + 1.

    >>> neighbours(np.arange(8), 2).tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def floats(values: NDArray[Any], given: str, wanted: str) -> NDArray[Any]:
    """Numbers of one float as another; BF16 is kept as its bits, because NumPy has no such type.

    >>> floats(np.array([0x3FC0], np.uint16), "BF16", "F32").tolist()
    [1.5]
    >>> floats(np.array([1.0, 1.00390625, 1.01171875], np.float32), "F32", "BF16").tolist()  # ties go to even
    [16256, 16256, 16258]
    """
    if given == wanted:
        return values
    wide = (values.astype(np.uint32) << 16).view(np.float32) if given == "BF16" else values.astype(np.float32)
    if wanted == "F32":
        return wide
    if wanted == "F16":
        return wide.astype(np.float16)
    bits = np.ascontiguousarray(wide).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)


def _stretched(model: Fields) -> list[_Tensor]:
    """Llama 3's stretching of the rotary embedding, which a file holds as a divisor for each frequency.

    References
    ----------
    transformers ``modeling_rope_utils.py``, ``_compute_llama3_parameters``: wavelengths beyond
    context / low_freq_factor are divided by factor, those below context / high_freq_factor are left, and between them
    it goes over from one to the other.
    """
    given = model.rope
    if given["rope_type"] != "llama3":
        return []
    factor, low, high = (float(given[name]) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(given["original_max_position_embeddings"])
    frequencies = model.theta ** -(np.arange(0, model.head_dim, 2, dtype=np.float64) / model.head_dim)
    turns = context * frequencies / (2 * math.pi)  # within the context it was first trained on
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    divisors = (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
    return [_Tensor("rope_freqs.weight", divisors.shape, "F32", lambda: divisors)]


# ---------------------------------------------------------------------------------------------- header


def _describe(writer: Any, model: Fields) -> None:
    import gguf

    writer.add_context_length(model.context)
    writer.add_block_count(model.layers)
    writer.add_embedding_length(model.hidden)
    writer.add_feed_forward_length(model.intermediate)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_key_length(model.head_dim)
    writer.add_value_length(model.head_dim)
    writer.add_vocab_size(model.vocabulary)
    writer.add_layer_norm_rms_eps(model.epsilon)
    writer.add_rope_dimension_count(model.head_dim)
    writer.add_rope_freq_base(model.theta)
    stretch = model.rope
    if stretch["rope_type"] not in ("linear", "yarn"):
        return
    writer.add_rope_scaling_type(gguf.RopeScalingType(stretch["rope_type"]))
    writer.add_rope_scaling_factor(float(stretch["factor"]))
    if stretch["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(int(stretch.get("original_max_position_embeddings") or model.context))
        known = {
            "attention_factor": writer.add_rope_scaling_yarn_attn_factor,
            "beta_fast": writer.add_rope_scaling_yarn_beta_fast,
            "beta_slow": writer.add_rope_scaling_yarn_beta_slow,
        }
        for name, write in known.items():
            if name in stretch:
                write(float(stretch[name]))


def _tokenize(writer: Any, source: Path, words: vocabulary.Vocabulary) -> None:
    """Tokenizer, special tokens and chat template."""
    import gguf

    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types([int(kind) for kind in words.kinds])
    if words.scores is not None:
        writer.add_token_scores(words.scores)
    if words.space_first is not None:
        writer.add_add_space_prefix(words.space_first)
    special = gguf.SpecialVocab(source, load_merges=words.model == "gpt2", n_vocab=len(words.tokens))
    special.add_to_gguf(writer, quiet=True)
