"""Speculative decoding: counters read, formulas beside them, and the real thing on the built-in model."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest

from workbench import builtin
from workbench.benchmark.speculation import Counted, _Seen, _table, counted, measure_speculation
from workbench.errors import InvalidInput

NGRAM = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}
PAGE = """\
# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="m"} 100.0
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="m"} 300.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"} 175.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="0"} 100.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="1"} 50.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="2"} 25.0
vllm:generation_tokens_total{engine="0",model_name="m"} 999.0
"""


def shortened(folder: Path, layers: int, out: Path) -> Path:
    """A model of the first layers of another, written tensor by tensor: a draft that nobody trained."""
    out.mkdir()
    config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": layers}
    config.pop("layer_types", None)
    (out / "config.json").write_text(json.dumps(config))
    for file in folder.glob("*token*"):
        (out / file.name).write_bytes(file.read_bytes())
    data = (folder / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    made, body = {}, b""
    for name, entry in header.items():
        if name == "__metadata__" or (".layers." in name and int(name.split(".layers.")[1].split(".")[0]) >= layers):
            continue
        begin, end = entry["data_offsets"]
        made[name] = {**entry, "data_offsets": [len(body), len(body) + end - begin]}
        body += data[8 + size + begin : 8 + size + end]
    text = json.dumps({"__metadata__": {"format": "pt"}, **made}).encode()
    (out / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    return out


def test_what_the_counters_say() -> None:
    now = counted(PAGE)
    assert now == Counted(100.0, 300.0, 175.0, (100.0, 50.0, 25.0))
    assert now.shares == (1.0, 0.5, 0.25)
    assert now.since(Counted()) == now
    assert now.since(Counted(50.0, 150.0, 75.0, (50.0, 25.0))) == Counted(50.0, 150.0, 100.0, (50.0, 25.0, 25.0))
    assert counted("vllm:generation_tokens_total 3.0") == Counted()


def test_what_is_made_of_them() -> None:
    none = _Seen(("a", "b"), (0.010, 0.012, 0.014), 300, Counted(), None)
    # 100 steps drafted three tokens each and kept 175: of 300 tokens, 125 steps, 25 of them without a draft.
    way = _Seen(("a", "c"), (0.006, 0.005, 0.008), 300, Counted(100.0, 300.0, 175.0, (80.0, 60.0, 35.0)), None)
    table = _table({"none": none, "x": way}, {"x": NGRAM}, ("p",), 64)
    row = table.loc["x"]
    assert table.loc["none", "speedup"] == 1.0
    assert row["speedup"] == pytest.approx(2.0)
    assert (row["tpot"], row["tpot_low"], row["tpot_high"]) == (0.006, 0.005, 0.008)
    assert row["acceptance"] == pytest.approx(175 / 300)
    assert row["emitted"] == pytest.approx(300 / 125)
    assert row["emitted_drafting"] == pytest.approx(2.75)
    assert row["emitted_by_formula"] == pytest.approx(1 + 0.8 + 0.64 + 0.512)
    assert row["speedup"] == pytest.approx(row["emitted"] / row["step_cost"])
    assert row["same_answers"] == 0.5
    # An answer of 64 tokens: 63 after the first, in 16 steps of four, of which the last accepts one too many.
    whole = _Seen(("a", "b"), (0.005,), 63, Counted(16.0, 48.0, 48.0, (16.0, 16.0, 16.0)), None)
    assert _table({"none": none, "x": whole}, {"x": NGRAM}, ("p",), 64).loc["x", "emitted"] == 4.0
    assert math.isnan(row["speedup_planned"])


def test_what_cannot_be_measured() -> None:
    for ways, more in (({}, {}), ({"none": NGRAM}, {}), ({"x": NGRAM}, {"prompts": []}), ({"x": NGRAM}, {"passes": 0})):
        with pytest.raises(InvalidInput):
            measure_speculation("builtin", ways, **more)


@pytest.mark.soak
@pytest.mark.environment
def test_drafting_on_a_real_vllm(tmp_path: Path) -> None:
    """N-gram, the model's own first half, and the model itself as its draft, whose every token must be kept."""
    model = builtin.ensure()
    half = shortened(model, 2, tmp_path / "half")
    ways = {
        "n-gram": NGRAM,
        "half": {"model": str(half), "num_speculative_tokens": 3, "method": "draft_model"},
        "itself": {"model": str(model), "num_speculative_tokens": 3, "method": "draft_model"},
    }
    told: list[str] = []
    table = measure_speculation(
        model, ways, tell=told.append, enforce_eager=True, kv_cache_memory_bytes=2**28, max_model_len=512
    )
    print(table.T.to_string())
    assert list(table.index) == ["none", *ways]
    assert told[0] == "none: starting"
    assert table.loc["itself", "acceptance"] > 0.97
    assert table.loc["itself", "emitted_drafting"] == pytest.approx(4.0, abs=0.15)
    assert 0 < table.loc["half", "acceptance"] < table.loc["itself", "acceptance"]
    assert 1 <= table.loc["n-gram", "emitted"] <= table.loc["n-gram", "emitted_drafting"] <= 4
    assert (table["same_answers"] >= 0.5).all()
    for name in ways:
        row = table.loc[name]
        assert row["speedup"] == pytest.approx(row["emitted"] / row["step_cost"])
        assert row["speedup_planned"] > 0
