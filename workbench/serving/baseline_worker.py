"""Runs in an engine's environment: time transformers' ``generate`` at one batch after the other.

Run by its path (see :mod:`workbench.worker`); of the workbench it imports only what needs the standard library alone.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from workbench.errors import WorkbenchError


def work(request: dict[str, Any], worker: Any) -> dict[str, Any]:
    """Measure ``request["batches"]``; see :func:`workbench.serving.baseline.baseline` for what comes back."""
    worker.progress(0.0, "loading the model")
    import torch
    import transformers

    device = request["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
    prompt, new = request["prompt_tokens"], request["new_tokens"]
    config = transformers.AutoConfig.from_pretrained(request["model"], trust_remote_code=False)
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and prompt + new > longest:
        raise WorkbenchError(f"the model takes {longest} tokens and {prompt} + {new} are asked for; ask for fewer")
    loader = transformers.AutoModelForCausalLM
    model = loader.from_pretrained(request["model"], dtype=request["dtype"], trust_remote_code=False)
    model = model.to(device).eval()
    rows: list[dict[str, Any]] = []
    stopped = None
    runs = request["warmup"] + request["repeats"]
    for number, batch in enumerate(request["batches"]):

        def tell(run: int, number: int = number, batch: int = batch) -> None:
            done = (number + run / runs) / len(request["batches"])
            worker.progress(0.05 + 0.95 * done, "measuring", f"batch {batch}")

        try:
            rows.append(_measure(torch, model, device, batch, request, tell))
        except (torch.OutOfMemoryError, MemoryError) as error:
            stopped = f"memory ran out at batch {batch}: {str(error).splitlines()[0] if str(error) else 'no more'}"
            break
        except RuntimeError as error:
            if "can't allocate memory" not in str(error):
                raise
            stopped = f"memory ran out at batch {batch}"
            break
    if not rows:
        raise WorkbenchError(stopped or "nothing was measured")
    return {
        "engine": "transformers",
        "version": transformers.__version__,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "prompt_tokens": prompt,
        "new_tokens": new,
        "warmup": request["warmup"],
        "repeats": request["repeats"],
        "stopped": stopped,
        "rows": rows,
    }


def _measure(torch: Any, model: Any, device: str, batch: int, request: dict[str, Any], tell: Any) -> dict[str, Any]:
    """One batch: the prompts' pass alone, and the whole answer, each so many times."""
    prompt, new = request["prompt_tokens"], request["new_tokens"]
    size = model.get_input_embeddings().num_embeddings
    chance = torch.Generator().manual_seed(batch)
    tokens = torch.randint(0, size, (batch, prompt), generator=chance).to(device)
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()

    def seconds(length: int) -> float:
        if cuda:
            torch.cuda.synchronize()
        begin = time.perf_counter()
        with torch.inference_mode():
            made = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=length,
                min_new_tokens=length,
                do_sample=False,
                num_beams=1,
                pad_token_id=0,
            )
        if cuda:
            torch.cuda.synchronize()
        taken = time.perf_counter() - begin
        if made.shape[-1] != prompt + length:
            raise WorkbenchError(f"asked for {length} tokens, got {made.shape[-1] - prompt}")
        return taken

    first, whole = [], []
    for run in range(request["warmup"] + request["repeats"]):
        tell(run)
        pair = seconds(1), seconds(new)
        if run >= request["warmup"]:
            first.append(pair[0])
            whole.append(pair[1])
    ttft, total = statistics.median(first), statistics.median(whole)
    return {
        "batch": batch,
        "ttft": ttft,
        "tpot": max(total - ttft, 0.0) / (new - 1),
        "output_tokens_per_s": batch * new / total,
        "output_tokens_per_s_low": batch * new / max(whole),
        "output_tokens_per_s_high": batch * new / min(whole),
        "peak_memory": torch.cuda.max_memory_allocated() if cuda else None,
    }
