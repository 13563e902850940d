"""Text as a model's token ids and back, with whatever library the environment has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

Encode = Callable[[str], list[int]]
Decode = Callable[[Sequence[int]], str]


def tokenizer(folder: Path) -> tuple[Encode, Decode]:
    """The tokenizer of a checkpoint: text to ids, with the special tokens the model is used to, and back.

    transformers reads every kind; where it is not installed, ``tokenizers`` reads a ``tokenizer.json``.
    """
    if find_spec("transformers"):
        from transformers import AutoTokenizer

        reader = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        return lambda text: list(reader(text, verbose=False).input_ids), lambda ids: str(reader.decode(list(ids)))
    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(str(folder / "tokenizer.json"))
    fast.no_truncation()
    return lambda text: list(fast.encode(text).ids), lambda ids: str(fast.decode(list(ids), skip_special_tokens=False))
