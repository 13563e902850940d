"""Worker of the test of training: torch differentiates x + (Q(x) - x).detach()."""

from __future__ import annotations

from typing import Any


def work(request: dict[str, Any], worker: Any) -> Any:
    """Loss and gradients of the network, and the gradient through bare rounding."""
    import torch

    def of(name: str) -> list[Any]:
        return [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in request[name]]

    weights, biases = of("weights"), of("biases")
    x, y = (torch.tensor(request[name], dtype=torch.float64) for name in ("x", "y"))
    most = 2 ** (request["bits"] - 1) - 1

    def rounded(weight: Any) -> Any:
        scale = weight.detach().abs().max() / most
        return torch.round(weight / scale) * scale

    def loss(through: Any) -> Any:
        signal = x
        for at, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            signal = signal @ through(weight).T + bias
            signal = torch.tanh(signal) if at < len(weights) - 1 else signal
        return ((signal - y) ** 2).mean()

    straight = loss(lambda weight: weight + (rounded(weight) - weight).detach())
    straight.backward()
    found = {"loss": straight.item(), "weights": [w.grad.tolist() for w in weights]}
    found["biases"] = [b.grad.tolist() for b in biases]
    for weight in weights:
        weight.grad = None
    loss(rounded).backward()
    found["bare"] = max(float(w.grad.abs().max()) for w in weights)
    return found
