"""What the methods share that transformers runs while it loads a model: load as configured, write what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.quantizers.registry import Parameter

#: bitsandbytes' and torchao's words for the same.
SKIPPED, NOT_CONVERTED = (
    Parameter(name, None, "Modules left in 16 bit, by a part of their name.", list, optional=True)
    for name in ("llm_int8_skip_modules", "modules_to_not_convert")
)


def convert(source: Path, out: Path, config: Any, tell: Callable[..., None]) -> None:
    """Load ``source`` as ``config`` says and write it to ``out`` (inside the environment).

    Parameters
    ----------
    config : transformers.utils.quantization_config.QuantizationConfigMixin
        The library's own configuration.
    """
    from transformers import AutoModelForCausalLM

    from workbench.quantizers.following import follow_tqdm

    def watch(bar: str, done: int, total: int, seconds_left: float | None) -> None:
        if bar.startswith("Loading weights"):
            tell(0.8 * done / total, "quantising", f"tensor {done} of {total}", seconds_left=seconds_left)

    with follow_tqdm(watch):
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype="auto", quantization_config=config, trust_remote_code=False
        )
    tell(0.8, "saving")
    model.save_pretrained(out)
