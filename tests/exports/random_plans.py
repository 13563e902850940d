"""Plans at random: models, cards, engines and settings that fit."""

from __future__ import annotations

import random
from collections.abc import Iterator

import workbench as wb
from workbench.errors import WorkbenchError

MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-8B", "mistralai/Mistral-7B-Instruct-v0.3", "Qwen/Qwen3-30B-A3B",
    "meta-llama/Llama-3.3-70B-Instruct", "builtin",
)  # fmt: skip
GPUS = ("L40S", "H100 SXM", "A100 80GB SXM", "L4", "RTX 4090", "cpu")
ENGINES = ("vllm", "vllm", "vllm", "llama.cpp", "sglang", "tgi", "tensorrt-llm", "transformers")


def plans(count: int, seed: int = 0, engines: tuple[str, ...] = ENGINES) -> Iterator[wb.Plan]:
    """So many plans that fit, always the same for a seed."""
    dice = random.Random(seed)
    found = 0
    while found < count:
        engine, gpu = dice.choice(engines), dice.choice(GPUS)
        fields = {
            "max_model_len": dice.choice([None, 2048, 8192, 32768]),
            "max_num_seqs": dice.choice([None, None, 8, 64]),
            "quantization": dice.choice([None, None, "fp8", "awq", "q4_k_m"]),
            "kv_cache_dtype": dice.choice(["auto", "auto", "fp8"]),
        }
        cards = dice.choice([1, 1, 2, 4])
        if engine != "llama.cpp":
            fields["tensor_parallel_size"] = cards
        if engine == "vllm":
            fields |= dice.choice(
                [{}, {"enforce_eager": True}, {"gpu_memory_utilization": 0.8}, {"enable_prefix_caching": False}, {
                    "speculative_config": {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}
                }]
            )  # fmt: skip
        try:
            plan = wb.plan(dice.choice(MODELS), gpu, engine=engine, **fields)
        except WorkbenchError:
            continue
        if plan.fits:
            found += 1
            yield plan
