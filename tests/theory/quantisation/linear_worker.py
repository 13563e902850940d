"""Worker of the test of layers in eight bits: torch's own integer and FP8 products."""

from __future__ import annotations

from typing import Any


def work(request: dict[str, Any], worker: Any) -> Any:
    """Sums of INT8 codes, and an FP8 layer with a scale a token and a channel."""
    import torch

    x8, w8 = (torch.tensor(request[name], dtype=torch.int8) for name in ("x_codes", "w_codes"))
    x, w = (torch.tensor(request[name], dtype=torch.float32) for name in ("x", "w"))
    x_scale, w_scale = (each.abs().amax(1, keepdim=True) / 448.0 for each in (x, w))
    x_fp8, w_fp8 = (x / x_scale).to(torch.float8_e4m3fn), (w / w_scale).to(torch.float8_e4m3fn)
    product = torch._scaled_mm(x_fp8, w_fp8.T, scale_a=x_scale, scale_b=w_scale.T, out_dtype=torch.float32)
    # C002-015: a checkpoint cast to float8 without scales, as a layer of torch.
    cast = torch.nn.Linear(w.shape[1], w.shape[0], bias=False).to(torch.float8_e4m3fn)
    try:
        cast(x)
        refused = ""
    except RuntimeError as error:
        refused = str(error)
    return {"sums": torch._int_mm(x8, w8.T).tolist(), "fp8": product.tolist(), "refused": refused}
