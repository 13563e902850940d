"""llm-compressor and AutoAWQ as their own documentation calls them, with nothing of ours: the yardstick.

Run by the quantize environment's Python with what to do in one JSON argument; prints the peak memory [bytes].
"""

import json
import os
import resource
import sys

told = json.loads(sys.argv[1])
folder, out, samples, length = told["folder"], told["out"], told["samples"], told["length"]
with open(told["text"], encoding="utf-8") as file:
    texts = file.read().split("\n\n")[:samples]


def compressor(recipe, text):
    from datasets import Dataset
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    extra = {}
    if text:
        rows = Dataset.from_dict({"text": texts})
        rows = rows.map(
            lambda row: tokenizer(row["text"], max_length=length, truncation=True, add_special_tokens=False),
            remove_columns=["text"],
        )
        extra = {"dataset": rows, "max_seq_length": length, "num_calibration_samples": samples}
    oneshot(model=model, tokenizer=tokenizer, recipe=recipe, output_dir=out, **extra)


def gptq():
    from llmcompressor.modifiers.gptq import GPTQModifier

    compressor(GPTQModifier(targets="Linear", scheme="W4A16", ignore=["lm_head"]), text=True)


def fp8_dynamic():
    from llmcompressor.modifiers.quantization import QuantizationModifier

    compressor(QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=["lm_head"]), text=False)


{"gptq": gptq, "fp8_dynamic": fp8_dynamic}[told["method"]]()
print(json.dumps({"out": os.listdir(out), "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
