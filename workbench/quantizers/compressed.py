"""What the methods of llm-compressor share: one call of ``oneshot``, and reading back what it wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quantizers.registry import Parameter

IGNORE = Parameter("ignore", ["lm_head"], "Modules left in 16 bit, by name or re:pattern.", list)

#: llm-compressor's other bars, and the part of the way they stand for.
_BARS = {
    "Preparing cache": (0.0, 0.05),
    "Compressing model": (0.9, 0.98),
    "Writing model shards": (0.98, 1.0),
}


def oneshot(
    source: Path,
    out: Path,
    recipe: Any,
    tell: Callable[..., None],
    samples: list[list[int]] | None = None,
    length: int | None = None,
) -> None:
    """Run llm-compressor's ``oneshot`` on a local folder (inside the environment).

    Parameters
    ----------
    recipe : llmcompressor.modifiers.Modifier
        What to do.
    samples : list of list of int, optional
        Token ids of the calibration texts.
    length : int, optional
        Tokens of the longest.
    """
    from llmcompressor import oneshot as run
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from workbench.quantizers.following import follow_tqdm

    model = AutoModelForCausalLM.from_pretrained(source, dtype="auto", trust_remote_code=False)
    extra: dict[str, Any] = {}
    if samples:
        from datasets import Dataset

        columns = {"input_ids": samples, "attention_mask": [[1] * len(ids) for ids in samples]}
        extra = {
            "dataset": Dataset.from_dict(columns),
            "num_calibration_samples": len(samples),
            "max_seq_length": length,
            "shuffle_calibration_samples": False,
        }

    def watch(bar: str, done: int, total: int, seconds_left: float | None) -> None:
        stretch = re.match(r"\((\d+)/(\d+)\): (\w+)", bar)
        if stretch:  # "(2/5): Calibrating": the second of five stretches of the model, gone through twice
            at, of = int(stretch[1]), int(stretch[2])
            half = 0.0 if stretch[3] == "Calibrating" else 0.5
            tell(0.05 + 0.85 * (at - 1 + half + done / total / 2) / of, "quantising", f"part {at} of {of}")
        for beginning, (begin, end) in _BARS.items():
            if bar.startswith(beginning):
                tell(begin + (end - begin) * done / total, beginning.lower(), f"{done} of {total}")

    with follow_tqdm(watch):
        run(
            model=model,
            tokenizer=AutoTokenizer.from_pretrained(source),
            recipe=recipe,
            output_dir=str(out),
            **extra,
        )
