"""Worker of the test of GPTQ: one layer, rounded by llm-compressor on the grids it is given."""

from __future__ import annotations

from typing import Any

import numpy as np

#: llm-compressor's word for each order.
ORDERS = {"stored": None, "energy": "weight"}


def work(request: dict[str, Any], worker: Any) -> Any:
    """The rounded weights of each case, in the order of the cases."""
    return {"rounded": [_rounded(case) for case in request["cases"]]}


def _rounded(case: dict[str, Any]) -> list[list[float]]:
    import torch
    from compressed_tensors.quantization import QuantizationArgs
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight

    args = QuantizationArgs(
        num_bits=case["bits"], type="int", symmetric=case["symmetric"], group_size=case["group"],
        strategy="group" if case["group"] else "channel", actorder=ORDERS[case["order"]],
    )  # fmt: skip

    def one(values: Any, dtype: Any = torch.float32) -> Any:
        return torch.tensor(np.array(values), dtype=dtype)[None]

    # Its symmetric codes are ours; an asymmetric code of ours, from 0, is theirs plus half the range.
    shift = 0 if case["symmetric"] else 2 ** (case["bits"] - 1)
    zero_point = one(np.array(case["zero_point"]) - shift, torch.int8)
    rounded, _, fell_back = quantize_weight(
        one(case["weight"]), one(case["hessian"]), one(case["scale"]), zero_point, None, args, percdamp=case["damping"]
    )
    assert not fell_back.any()
    return rounded[0].tolist()
