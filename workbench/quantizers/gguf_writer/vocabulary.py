"""A tokenizer.json as llama.cpp keeps it: pieces, their kinds, merges or scores, and how text is cut before them.

llama.cpp has its own code for each way of cutting text, known by a name in the file; a file with the wrong name loads
and speaks, worse. So the name is taken only where what tokenizer.json says is, to the letter, one of those known here.

References
----------
llama.cpp ``src/llama-vocab.cpp``: ``llm_tokenizer_bpe`` (the expressions, each beside the one it stands for) and
``llama_vocab::impl::load`` (``tokenizer_pre``). ``gguf`` 0.19 ``constants.py``, ``TokenType``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from workbench.errors import InvalidInput, UnsupportedModel


class Kind(IntEnum):
    """What a token is to llama.cpp."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer, ready to be written.

    Parameters
    ----------
    model : {"gpt2", "llama"}
        Byte-level BPE by its merges, or SentencePiece's BPE by its pieces' scores.
    pre : str
        llama.cpp's name for how text is cut into words first.
    tokens : list of str
        Pieces by id.
    kinds : list of Kind
        What each is.
    scores : list of float or None
        What merges first, for "llama".
    space_first : bool or None
        Whether a space is put before the text, for "llama".
    differs : str
        Where llama.cpp reads text otherwise than the checkpoint's tokenizer; empty if nowhere that is known.
    """

    model: str
    pre: str
    tokens: list[str]
    kinds: list[Kind]
    scores: list[float] | None = None
    space_first: bool | None = None
    differs: str = ""


_LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASES = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: How text is cut, and whether a word that is a piece as a whole is taken without merging -> llama.cpp's name.
_CUTS: dict[tuple[tuple[str, ...], bool], str] = {
    (("bytes by GPT-2's words",), False): "gpt-2",
    (("each digit", "bytes by GPT-2's words"), False): "smollm",
    ((_LETTERS + r"\p{N}{1,3}" + _REST, "bytes"), True): "llama-bpe",
    ((_LETTERS + r"\p{N}{1,3}" + _REST, "bytes"), False): "dbrx",
    ((_LETTERS + r"\p{N}" + _REST, "bytes"), False): "qwen2",
    ((_CASES, "bytes"), True): "tekken",
}
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def read(folder: Path, size: int) -> Vocabulary:
    """The tokenizer of a checkpoint.

    Parameters
    ----------
    folder : Path
        With a tokenizer.json.
    size : int
        Rows of the model's embedding; what the tokenizer leaves over is filled.

    Raises
    ------
    InvalidInput
        If tokenizer.json is missing or broken.
    UnsupportedModel
        If llama.cpp has no such tokenizer, or it cannot be told which; the message names what stands against it.
    """
    file = folder / "tokenizer.json"
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        model = fields["model"]
        vocabulary: dict[str, int] = model["vocab"]
        added: list[dict[str, Any]] = fields.get("added_tokens") or []
        kind = model.get("type")
    except FileNotFoundError:
        raise InvalidInput(f"{folder} has no tokenizer.json, which a GGUF file needs; save the tokenizer") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from None
    if kind not in ("BPE", None) or not isinstance(vocabulary, dict):
        raise _unknown(f"its model is {kind!r}; BPE is known")
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix") or model.get("dropout"):
        raise _unknown("its BPE has prefixes, suffixes or dropout")
    tokens, kinds = _pieces(vocabulary, added, size)
    if model.get("byte_fallback"):
        return _sentencepiece(fields, tokens, kinds)
    differs = _only_composes(fields.get("normalizer"))
    cuts = tuple(_cut(step) for step in _steps(fields.get("pre_tokenizer"), "pretokenizers"))
    pre = _CUTS.get((cuts, bool(model.get("ignore_merges"))))
    if pre is None:
        merging = "whole words before merges" if model.get("ignore_merges") else "merges alone"
        raise _unknown(f"its pre_tokenizer cuts by {', then '.join(cuts) or 'nothing'} and takes {merging}")
    return Vocabulary("gpt2", pre, tokens, kinds, differs=differs)


def _unknown(why: str) -> UnsupportedModel:
    return UnsupportedModel(f"llama.cpp's name for this tokenizer is not known: {why}")


def _steps(field: Any, inside: str) -> list[dict[str, Any]]:
    """A normalizer or pre-tokenizer as its steps."""
    if not isinstance(field, Mapping):
        return []
    if field.get("type") == "Sequence":
        return [step for part in field.get(inside) or () for step in _steps(part, inside)]
    return [dict(field)]


def _cut(step: Mapping[str, Any]) -> str:
    """One step of a pre-tokenizer in the words of :data:`_CUTS`, or in its own."""
    kind = step.get("type")
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return "bytes by GPT-2's words" if step.get("use_regex", True) else "bytes"
    if kind == "Digits" and step.get("individual_digits"):
        return "each digit"
    pattern = step.get("pattern")
    # Keeping what matches is said in two ways.
    isolates = (step.get("behavior"), bool(step.get("invert"))) in (("Isolated", False), ("Removed", True))
    if kind == "Split" and isolates and isinstance(pattern, Mapping) and "Regex" in pattern:
        return str(pattern["Regex"])
    return json.dumps(step)[:200]


def _only_composes(normalizer: Any) -> str:
    """What llama.cpp leaves out of what is done to text before it is cut; anything beyond NFC is refused."""
    changing = [step.get("type") for step in _steps(normalizer, "normalizers") if step.get("type") != "NFC"]
    if changing:
        raise _unknown(f"its normalizer has {', '.join(map(str, changing))}")
    return "llama.cpp does not compose characters (NFC) as the checkpoint's tokenizer does" if normalizer else ""


def _pieces(vocabulary: Mapping[str, int], added: list[dict[str, Any]], size: int) -> tuple[list[str], list[Kind]]:
    """Pieces and kinds by id, gaps filled."""
    by_id: dict[int, tuple[str, Kind]] = {}
    for piece, id in vocabulary.items():
        by_id[id] = (piece, Kind.NORMAL)
    for token in added:
        by_id[token["id"]] = (token["content"], Kind.CONTROL if token.get("special") else Kind.USER_DEFINED)
    if not by_id or min(by_id) < 0 or max(by_id) >= size:
        raise InvalidInput(
            f"the tokenizer's ids go up to {max(by_id, default=-1)} and the model has {size} rows; they do not belong "
            "together"
        )
    filled = [by_id.get(id, (f"[PAD{id}]", Kind.UNUSED)) for id in range(size)]
    return [piece for piece, _ in filled], [kind for _, kind in filled]


def _sentencepiece(fields: Mapping[str, Any], tokens: list[str], kinds: list[Kind]) -> Vocabulary:
    """SentencePiece's BPE as transformers writes it: the rank of the merge that makes a piece is its score."""
    model = fields["model"]
    space_first, differs = _space_first(fields)
    ids = {piece: id for id, (piece, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind is Kind.NORMAL}
    rank: dict[str, int] = {}
    for at, merge in enumerate(model.get("merges") or ()):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        rank.setdefault(left + right, at)
    if unmade := [piece for piece in rank if piece not in ids]:
        raise _unknown(f"its merges make {len(unmade)} pieces it does not have, first {unmade[0]!r}")
    scores = [0.0] * len(tokens)
    for piece, id in ids.items():
        if _BYTE.fullmatch(piece):
            kinds[id] = Kind.BYTE
        else:
            scores[id] = -float(rank.get(piece, len(rank)))
    if kinds.count(Kind.BYTE) != 256:
        raise _unknown(f"it falls back to bytes and has {kinds.count(Kind.BYTE)} of 256")
    unknown = model.get("unk_token")
    if unknown in tokens:
        kinds[tokens.index(unknown)] = Kind.UNKNOWN
    return Vocabulary("llama", "default", tokens, kinds, scores, space_first, differs)


def _space_first(fields: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a space is put before the text, and where llama.cpp does so otherwise.

    Refuses what SentencePiece's own settings cannot say.
    """
    normalizer = _steps(fields.get("normalizer"), "normalizers")
    cutting = _steps(fields.get("pre_tokenizer"), "pretokenizers")
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    if not cutting:
        if normalizer == [{"type": "Prepend", "prepend": "▁"}, space]:
            return True, ""
        if normalizer == [space]:
            return False, ""
    elif not normalizer and len(cutting) == 1 and cutting[0].get("type") == "Metaspace":
        step = cutting[0]
        # Cut at spaces, pieces cannot span words; llama.cpp would let them.
        if step.get("replacement") == "▁" and step.get("split") is False:
            scheme = step.get("prepend_scheme", "always")
            if scheme == "never":
                return False, ""
            if scheme in ("always", "first"):
                after = " and after a special token" if scheme == "first" else ""
                return True, f"llama.cpp puts a space before text that begins with one{after}, the tokenizer does not"
    shown = [json.dumps(steps)[:200] for steps in (normalizer, cutting)]
    raise _unknown(f"its normalizer is {shown[0]} and its pre_tokenizer {shown[1]}")
