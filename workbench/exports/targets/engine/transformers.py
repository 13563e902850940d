"""transformers in its own words: ``transformers serve``, and ``generate`` in Python with the plan's batch and length.

The server takes lengths from each request, so that only the Python says the whole plan.
"""

from __future__ import annotations

from workbench.engines.words import dtype
from workbench.exports.file import File
from workbench.exports.servers.transformers import quantised_at_load
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.engine._script import one_machine, run, start, there

_ANSWER = 32  # tokens
#: Scheme -> the class that turns floats into it while they load, and its arguments.
_AT_LOAD = {
    "fp8": ("FineGrainedFP8Config", ""),
    "nf4": ("BitsAndBytesConfig", 'load_in_4bit=True, bnb_4bit_quant_type="nf4"'),
}
_TEXT = '''\
"""Answers a batch of prompts by model.generate, as planned: so many at a time, so many tokens at most."""

from transformers import {names}

MODEL = {model!r}
BATCH = {batch}
LONGEST = {longest}  # tokens of a prompt and its answer together
ANSWER = {answer}


def main() -> None:
    # On the left: an answer goes on where its prompt ends.
    tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left", truncation_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(
        MODEL,
        dtype={dtype!r},
        device_map={place!r},
{quantised}    )
    prompts = ["Hello, my name is"] * BATCH
    given = tokenizer(prompts, return_tensors="pt", padding=True, truncation=True, max_length=LONGEST - ANSWER)
    given = {{name: given[name].to(model.device) for name in ("input_ids", "attention_mask")}}
    made = model.generate(**given, max_new_tokens=ANSWER, pad_token_id=tokenizer.pad_token_id)
    for text in tokenizer.batch_decode(made[:, given["input_ids"].shape[1] :], skip_special_tokens=True):
        print(text)


if __name__ == "__main__":
    main()
'''


def _generate(subject: Subject) -> str:
    deployment = subject.plan.deployment
    made, arguments = _AT_LOAD.get(quantised_at_load(subject.plan), ("", ""))
    return _TEXT.format(
        names=", ".join(sorted(filter(None, ("AutoModelForCausalLM", "AutoTokenizer", made)))),
        model=subject.model_path or subject.plan.model.id,
        batch=deployment.max_num_seqs or 1,
        longest=subject.max_model_len,
        answer=min(_ANSWER, max(1, subject.max_model_len // 2)),
        dtype=dtype(deployment) or "auto",
        place="cpu" if not subject.gpus else "auto" if subject.gpus > 1 else "cuda:0",
        quantised=f"        quantization_config={made}({arguments}),\n" if made else "",
    )


def files(subject: Subject) -> list[File]:
    """The call in Python; the server's script where its line can say how it is quantised."""
    served = [] if subject.unsaid else [start(subject)]
    return [*served, File("transformers/generate.py", "python", _generate(subject))]


def obstacle(subject: Subject) -> str | None:
    """One machine; and a scheme that transformers makes while it loads."""
    scheme = quantised_at_load(subject.plan)
    if scheme not in ("", *_AT_LOAD):
        return f"quantization {scheme}: how transformers makes it while it loads is not known here"
    return one_machine(subject)


def steps(subject: Subject) -> list[str]:
    """Install, start."""
    version = subject.plan.engine_version
    found = [
        f"Install the release that was planned: `pip install 'transformers[serving]=={version}' accelerate`.",
        *there(subject),
        f"`python transformers/generate.py` answers prompts in batches of {subject.plan.deployment.max_num_seqs or 1}.",
    ]
    if subject.unsaid:
        return [*found, f"There is no script for a server: {subject.unsaid}."]
    asked = "It asks for no key: put a proxy that asks for one in front of it."
    return [*found, f"{run(subject)} It takes lengths from each request, and one request at a time. {asked}"]


TARGET = Target(
    id="transformers",
    title="transformers",
    about="A batch by generate in Python, and the start line of transformers serve.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    starts=False,
    source="https://huggingface.co/docs/transformers/main/en/serve-cli/serving",
    without=only("transformers", because="the plan is for another engine"),
)
