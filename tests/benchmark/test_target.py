"""Who is measured: named as rows of measurements name it; the tokenizer found where it lies."""

import json

import pytest
from streaming_server import StreamingServer

import workbench as wb
from workbench.benchmark.endpoint import Manner
from workbench.benchmark.target import configuration, describe, tokenizer
from workbench.errors import InvalidInput
from workbench.evidence.rows import Models
from workbench.evidence.schemes import kind_from


@pytest.fixture
def folder(tmp_path):
    """A model's folder with a tokenizer."""
    made = tmp_path / "model"
    made.mkdir()
    (made / "tokenizer.json").write_text("{}")
    return made


def test_the_tokenizer_is_found_where_it_lies(folder, tmp_path):
    assert tokenizer(folder, None, Manner("m"), None) == str(folder)
    assert tokenizer(None, None, Manner("m", root=str(folder)), None) == str(folder)
    quantised = tmp_path / "quantised"
    quantised.mkdir()
    (quantised / "m.gguf").write_bytes(b"")
    root = str(quantised / "m.gguf")
    with pytest.raises(InvalidInput, match="nobody knows the tokenizer of m"):
        tokenizer(None, None, Manner("m", root=root), None)
    (quantised / "workbench.json").write_text(json.dumps({"request": {"source": str(folder)}}))
    assert tokenizer(None, None, Manner("m", root=root), None) == str(folder)
    for damaged in ("{", "[]", '{"request": 3}'):
        (quantised / "workbench.json").write_text(damaged)
        with pytest.raises(InvalidInput):
            tokenizer(None, None, Manner("m", root=root), None)


def test_a_model_of_the_hub_is_named(folder):
    assert tokenizer(None, None, Manner("owner/name"), None) == "owner/name"
    assert tokenizer("owner/other", None, Manner("owner/name"), None) == "owner/other"
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InvalidInput, match="holds no tokenizer"):
        tokenizer(folder, None, Manner("m"), None)


@pytest.mark.parametrize(
    ("fields", "quant", "kind"),
    [({}, "", None), ({"quantization": "q4_k_m", "engine": "llama.cpp"}, "gguf q4_k_m", "q4_k_m"),
     ({"quantization": "gguf_f16", "engine": "llama.cpp"}, "gguf f16", "float"),
     ({"quantization": "fp8"}, "fp8", "fp8")],
)  # fmt: skip
def test_a_plan_says_what_was_measured(fields, quant, kind):
    plan = wb.plan("builtin", gpu="L40S" if "fp8" in quant else "cpu", **fields)
    with StreamingServer() as server:  # it has no page for its version
        found = describe(server.url, Manner("m", owner="vllm"), plan=plan, version=None, api_key=None)
        unknown = describe(server.url, Manner("m", owner="vllm"), plan=None, version=None, api_key=None)
    assert (found.config, found.quant, found.gpu) == ("builtin", quant, plan.deployment.gpu)
    assert kind is None or kind_from(quant) == kind
    assert (unknown.engine, unknown.engine_version, unknown.config) == ("vllm", "", "")


def test_a_model_of_ones_own_is_kept_beside_its_rows(tmp_path):
    fields = {**wb.Model.from_config("builtin").config, "num_hidden_layers": 2}
    fields.pop("model_id", None)
    (tmp_path / "my model").mkdir()
    (tmp_path / "my model" / "config.json").write_text(json.dumps(fields))
    plan = wb.plan(tmp_path / "my model", gpu="cpu")
    name, kept = configuration(plan)
    assert name == "my_model"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{name}.json").write_text(json.dumps(kept))
    assert Models(tmp_path / "models").get(name).parameters == plan.model.parameters
    assert configuration(wb.plan("builtin", gpu="cpu")) == ("builtin", None)
