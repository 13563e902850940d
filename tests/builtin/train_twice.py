"""A worker: trains the built-in model's layers twice for a few steps and returns both digests."""

import hashlib

from workbench.builtin import train


def work(request, worker):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(train.THREADS)
    torch.use_deterministic_algorithms(True)
    digests = []
    for _ in range(2):
        torch.manual_seed(train.SEED)
        stream = torch.randint(0, 10_240, (16 * train.LENGTH,)).tolist()
        model = AutoModelForCausalLM.from_config(train.configuration(request["config"], "llama"), dtype=torch.float32)
        train.train(model, stream, 3, lambda step, loss: None)
        weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
        digests.append(hashlib.sha256(weights).hexdigest())
    return digests
