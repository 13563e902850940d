"""Train the built-in model: a small Llama, on the CPU, on the text that comes with Python.

The same Python, torch and thread count give the same model: seeds are fixed, algorithms deterministic, threads
always two. (Another kind of processor rounds differently, so it gives another model, as good.)

A worker: it runs in the ``quantize`` environment.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.builtin import text
from workbench.errors import MissingPart
from workbench.quality.measure import measure
from workbench.quality.torch_model import load
from workbench.quality.windows import STRIDE, WINDOW, passages

if TYPE_CHECKING:
    from workbench.worker import Worker

SEED = 0
THREADS = 2
BATCH, LENGTH = 4, 256  # documents' tokens in one step: BATCH × LENGTH
BEGIN, END, USER, ASSISTANT, SYSTEM = "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"
#: One document in so many is put as a question and its answer, so that the chat tokens mean something.
CHAT_EVERY = 4
CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] | trim + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(vocabulary: int) -> Any:
    """A byte-level BPE tokenizer of exactly ``vocabulary`` tokens, from the training part only."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        (document.text for document in text.training()),
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[BEGIN, END, USER, ASSISTANT, SYSTEM],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if tokenizer.get_vocab_size() != vocabulary:
        raise MissingPart(
            "this Python comes with too little documentation to train the built-in model on: "
            "its standard library must lie there as .py files with their docstrings"
        )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A",
        pair=f"{BEGIN} $A {BEGIN} $B",
        special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))],
    )
    return tokenizer


def token_stream(tokenizer: Any) -> list[int]:
    """All training documents, one after the other, some of them as a question and its answer."""
    stream: list[int] = []
    for number, document in enumerate(text.training()):
        if number % CHAT_EVERY:
            line = f"{document.text}{END}"
        else:
            line = f"{USER}What does {document.title} do?{END}{ASSISTANT}{document.text}{END}"
        stream += tokenizer.encode(line).ids  # begins with BEGIN
    return stream


def configuration(config: dict[str, Any], family: str) -> Any:
    """The model's configuration; ``qwen2`` has the same sizes, and biases on Q, K and V."""
    from transformers import LlamaConfig, Qwen2Config

    fields = {k: v for k, v in config.items() if k not in ("model_id", "source", "architectures", "model_type")}
    if family == "llama":
        return LlamaConfig(**fields)
    if family == "qwen2":
        return Qwen2Config(**{k: v for k, v in fields.items() if k not in ("attention_bias", "mlp_bias", "head_dim")})
    raise ValueError(f"no family {family!r}")


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def train(model: Any, stream: list[int], steps: int, tell: Callable[[int, float], None]) -> None:
    """Muon for the layers' matrices, AdamW for the rest.

    After 500 steps held-out perplexity is 211; AdamW alone reached 472.
    """
    import torch

    data = torch.tensor(stream)
    rows = len(data) // LENGTH
    data = data[: rows * LENGTH].view(rows, LENGTH)
    generator = torch.Generator().manual_seed(SEED)
    epochs = -(-steps * BATCH // rows)
    order = torch.cat([torch.randperm(rows, generator=generator) for _ in range(epochs)])

    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.1),
        torch.optim.AdamW(others, lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    warm, constant = min(20, steps), 0.3 * steps
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            o, lambda i: min((i + 1) / warm, 1) * max(0.02, 1 - max(0, i - constant) / (steps - constant))
        )
        for o in optimizers
    ]
    embedding = model.get_output_embeddings().weight
    model.train()
    for step in range(steps):
        batch = data[order[step * BATCH : (step + 1) * BATCH]]
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            hidden = model.model(batch, use_cache=False).last_hidden_state
            logits = hidden[:, :-1] @ embedding.T
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        tell(step + 1, float(loss.detach()))
    model.eval()


def unigram_perplexity(stream: list[int], tokenizer: Any, documents: list[str]) -> float:
    """What guessing every token by its frequency alone scores on ``documents`` (add-one smoothing)."""
    counts = [1] * tokenizer.get_vocab_size()
    for token in stream:
        counts[token] += 1
    total = sum(counts)
    scored = [token for d in documents for token in tokenizer.encode(d).ids[1:]]
    return math.exp(sum(math.log(total / counts[token]) for token in scored) / len(scored))


def save(model: Any, tokenizer: Any, config: dict[str, Any], out: Path) -> None:
    """Write a folder that transformers, vLLM and the quantisers load."""
    import torch
    from transformers import GenerationConfig, PreTrainedTokenizerFast

    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        bos_token_id=config["bos_token_id"],
        eos_token_id=config["eos_token_id"],
        pad_token_id=config["pad_token_id"],
        do_sample=True,
        temperature=0.8,
        top_p=0.95,
    )
    model.save_pretrained(out, safe_serialization=True)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        model_max_length=config["max_position_embeddings"],
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(out)
    portable_tokenizer(out)


def portable_tokenizer(folder: Path) -> None:
    """Name the tokenizer's class as every release of transformers knows it; release 5 writes ``TokenizersBackend``."""
    file = folder / "tokenizer_config.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    if fields.get("tokenizer_class") == "TokenizersBackend":
        fields["tokenizer_class"] = "PreTrainedTokenizerFast"
        file.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def work(request: dict[str, Any], worker: Worker) -> dict[str, Any]:
    """Train, save and measure.

    Parameters
    ----------
    request : dict
        ``config`` (fields of config.json), ``family`` ("llama" or "qwen2"), ``steps``.
    worker : Worker
        Takes progress; ``out`` is the folder to write.
    """
    started = time.monotonic()
    worker.progress(None, "loading torch")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert worker.out is not None
    config, steps = request["config"], int(request["steps"])
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a tenth of the time, and nothing reads it

    worker.progress(0.01, "reading Python's documentation")
    documents = [document.text for document in text.held_out()]
    worker.progress(0.03, "training the tokenizer")
    tokenizer = train_tokenizer(config["vocab_size"])
    stream = token_stream(tokenizer)
    model = AutoModelForCausalLM.from_config(configuration(config, request["family"]), dtype=torch.float32)
    began = time.monotonic()

    def tell(step: int, loss: float) -> None:
        if step % 5 == 0 or step == steps:
            left = (time.monotonic() - began) / step * (steps - step)
            detail = f"step {step} of {steps}, loss {loss:.2f}"
            worker.progress(0.08 + 0.87 * step / steps, "training", detail, left)

    train(model, stream, steps, tell)
    worker.progress(0.95, "saving")
    save(model, tokenizer, config, worker.out)

    def measuring(fraction: float) -> None:
        worker.progress(0.95 + 0.05 * fraction, "measuring perplexity on held-out text")

    measuring(0.0)
    saved = load(worker.out, "float32")
    reader = AutoTokenizer.from_pretrained(worker.out)
    scored = passages(documents, lambda document: reader(document, verbose=False).input_ids, 10**9)
    found = measure(saved, scored, progress=measuring)
    return {
        "parameters": sum(p.numel() for p in saved.model.parameters()),
        "training_tokens": len(stream),
        "tokens_seen": steps * BATCH * LENGTH,
        "held_out": {
            "perplexity": found.perplexity,
            "tokens": found.tokens,
            "documents": len(scored),
            "window": WINDOW,
            "stride": STRIDE,
        },
        "unigram_perplexity": unigram_perplexity(stream, tokenizer, documents),
        "seconds": time.monotonic() - started,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": THREADS,
    }
