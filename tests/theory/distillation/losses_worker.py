"""Worker of test_student.py: the losses that students are trained by, and torch's own gradients of them."""

from __future__ import annotations

from typing import Any

import numpy as np


def work(request: dict[str, Any], worker: Any) -> dict[str, Any]:
    import torch

    from workbench.theory.distillation.student_worker import lesson_loss

    generator = np.random.default_rng(request["seed"])
    rows, length, words, narrow, wide = 2, 5, 11, 3, 4
    batch = torch.from_numpy(generator.integers(0, words, (rows, length)))
    logits, taught = (torch.from_numpy(generator.normal(size=(rows * (length - 1), words))) for _ in range(2))
    states = [torch.from_numpy(generator.normal(size=(rows, length, narrow))) for _ in range(2)]
    followed = [torch.from_numpy(generator.normal(size=(rows, length, wide))) for _ in range(4)]
    projections = [torch.nn.Linear(narrow, wide, bias=False, dtype=torch.float64) for _ in states]
    found = {
        "batch": batch.tolist(), "logits": logits.tolist(), "taught": taught.tolist(),
        "states": [each.tolist() for each in states], "followed": [each.tolist() for each in followed],
        "projections": [each.weight.tolist() for each in projections], "losses": [], "gradients": [],
    }  # fmt: skip
    for lesson in request["lessons"]:
        moved = logits.clone().requires_grad_()
        loss = lesson_loss(lesson, (moved, states), (taught, followed), projections, batch)
        found["losses"].append(float(loss))
        loss.backward()
        found["gradients"].append(None if moved.grad is None else moved.grad.tolist())
    return found
