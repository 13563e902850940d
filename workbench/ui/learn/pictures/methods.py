"""Methods of quantisation: what each was measured to lose, against how fast the roofline would let it be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.trials.map import methods_map
from workbench.ui.learn import Picture, drawing

if TYPE_CHECKING:
    import pandas as pd

#: Row of the map -> its name in the picture, by how many bits a weight has.
NAMES = {
    "8 bits": {
        "fp8_dynamic": "FP8", "fp8_block": "FP8 blocks", "w8a8": "INT8 W8A8", "w8a16": "INT8 W8A16",
        "bnb_int8": "LLM.int8()", "gguf:type=Q8_0": "Q8_0",
    },
    "4 to 6 bits": {
        "awq": "AWQ", "gptq": "GPTQ", "w4a16_rtn": "rounded", "bnb_nf4": "NF4", "mxfp4": "MXFP4", "nvfp4": "NVFP4",
        "gguf:type=Q6_K": "Q6_K", "gguf:type=Q5_K_M": "Q5_K_M", "gguf": "Q4_K_M", "gguf:type=Q4_0": "Q4_0",
    },
    "2 and 3 bits": {"gguf:type=Q3_K_M": "Q3_K_M", "gguf:type=Q2_K": "Q2_K"},
}  # fmt: skip
#: What a step does -> its bound in the map.
STEPS = {"a token, one request": "decode_alone", "a token, many requests": "decode", "a prompt": "prefill"}
GPUS = ["L40S", "A100 80GB SXM", "H100 SXM", "B200 SXM"]
MODELS = {"Llama 3.1 8B": "meta-llama/Llama-3.1-8B-Instruct", "Llama 3.1 70B": "meta-llama/Llama-3.1-70B-Instruct"}
_RANGE = [0.9, 6.0]
#: Where a name stands, for points that lie close together; right of it where none is said.
_PLACES = {
    "FP8": "top left", "FP8 blocks": "bottom left", "INT8 W8A16": "bottom left", "LLM.int8()": "bottom left",
    "Q8_0": "top right", "AWQ": "middle left", "NF4": "middle left", "rounded": "top left", "GPTQ": "bottom right",
    "NVFP4": "top left", "Q4_0": "bottom right",
}  # fmt: skip


def trade(
    step: str = "decode_alone",
    gpu: str = "L40S",
    concurrency: int = 32,
    model: str = "meta-llama/Llama-3.1-8B-Instruct",
) -> Picture:
    """Loss against the bound of speed, a point a method.

    Parameters
    ----------
    step : {"decode_alone", "decode", "prefill"}
        What is to be fast.
    gpu : str
    concurrency : int
        Requests of a step of decoding.
    model : str
        Whose sizes bound the speed; the loss is the built-in model's.
    """
    words = [word for names in NAMES.values() for word in names]
    table = methods_map(model, gpu, concurrency=concurrency, choices=words)
    series = {group: _points(table, names, step) for group, names in NAMES.items()}
    figure = drawing.points(
        series,
        x={"title": "times as fast as 16 bit, at most", "range": _RANGE},
        y={
            "title": "loss: KL divergence [nats a token]",
            "type": "log",
            "range": [-4.6, -0.8],
            "tickvals": [1e-4, 1e-3, 1e-2, 1e-1],
            "ticktext": ["0.0001", "0.001", "0.01", "0.1"],
        },
        size=9,
    )
    figure.update_layout(height=430)
    for trace, names in zip(figure.data, NAMES.values(), strict=True):
        trace.update(
            mode="markers+text",
            text=list(names.values()),
            textposition=[_PLACES.get(name, "middle right") for name in names.values()],
            textfont={"size": 10.5},
            cliponaxis=False,
            customdata=[[table.at[word, "bits_linear"], table.at[word, "multiplies_in"]] for word in names],
            hovertemplate="%{text}: %{customdata[0]:.2f} bits a weight, multiplies in %{customdata[1]}"
            "<br>at most %{x:.2f} times as fast, loses %{y:.4f} nats<extra></extra>",
        )
    return Picture(figure, _said(table, step))


def _points(table: pd.DataFrame, names: dict[str, str], step: str) -> tuple[list[float], list[float]]:
    rows = table.loc[list(names)]
    return rows[step].to_list(), rows["kl_divergence"].to_list()


def _said(table: pd.DataFrame, step: str) -> str:
    def one(word: str, name: str) -> str:
        row = table.loc[word]
        if not row["multiplies_in"]:
            return f"{name} does not run there"
        return f"{name} at most {row[step]:.1f} times, {row['kl_divergence']:.4f} nats"

    told = "; ".join(one(word, name) for word, name in (("fp8_dynamic", "FP8"), ("awq", "AWQ"), ("gguf", "Q4_K_M")))
    return f"{told}. Speed is a bound of the roofline, not measured; loss was measured on the built-in model."
