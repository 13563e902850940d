"""GGUF for real: made, measured and sized on the built-in model; refused where llama.cpp could not be told what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_checkpoints import llama_config, llama_shapes, write

import workbench as wb
from workbench import builtin, environments, headers, jobs
from workbench.architecture import Model
from workbench.errors import InvalidInput, UnknownName, UnsupportedModel
from workbench.quantizers import check, find
from workbench.quantizers.gguf_writer import fields, vocabulary
from workbench.quantizers.method.gguf import METHOD
from workbench.quantizers.source import read

WORKER = Path(__file__).with_name("gguf_worker.py")
TYPES = next(p for p in METHOD.parameters if p.name == "type").choices


def ask(do: str, environment: str, out: Path, **request: Any) -> dict[str, Any]:
    variables = builtin.SLEEP_WHILE_WAITING
    return jobs.start(do, WORKER, {"do": do, **request}, environment, out, variables=variables).wait(1800)


@pytest.fixture(scope="module")
def folder() -> Path:
    return builtin.ensure()


@pytest.fixture(scope="module")
def reference(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small random models and what transformers says of them."""
    out = tmp_path_factory.mktemp("reference") / "made"
    ask("reference", "quantize", out, tokenizer=str(folder))
    return out


@pytest.mark.environment
def test_every_architecture_says_what_transformers_says(reference: Path, tmp_path: Path) -> None:
    found = ask("models", "llama-cpp", tmp_path / "made", folder=str(reference))
    found.pop("out")
    assert {name.rpartition("-")[0] for name in found} == {"llama", "llama3", "linear", "mistral", "qwen2", "qwen3"}
    for name, said in found.items():
        assert said["spread"] > 1  # the model says something that could be wrong
        # llama.cpp rounds what it multiplies by F16 and BF16 weights to that float.
        most = {"F32": 1e-6, "F16": 1e-4, "BF16": 1e-2}[name.rpartition("-")[2]]
        assert abs(said["divergence"]) < most, (name, said)
        assert said["agreement"] > {"F32": 0.995, "F16": 0.97, "BF16": 0.9}[name.rpartition("-")[2]], (name, said)


LINES = [
    " ", "Hello  world\n\n\n  x", "don't I'LL we'Ve 12345 1234567 3.14 １２３", "naïve Straße Ωmega 漢字 🦙🇩🇪 \u200d",
    "tabs\t\tand\r\nlines \n ", "a_b-c(d)[e]{f};:!? ...", "</s> and <s> inside", "  leading", "UPPERlower CamelCase",
]  # fmt: skip


@pytest.mark.environment
def test_every_tokenizer_reads_text_as_tokenizers_does(tmp_path: Path) -> None:
    found = ask("tokenizers", "llama-cpp", tmp_path / "made", lines=LINES)
    found.pop("out")
    named = {name: (said["model"], said["pre"]) for name, said in found.items()}
    assert named == {
        "gpt2": ("gpt2", "gpt-2"), "llama3": ("gpt2", "llama-bpe"), "dbrx": ("gpt2", "dbrx"),
        "qwen2": ("gpt2", "qwen2"), "smollm": ("gpt2", "smollm"), "tekken": ("gpt2", "tekken"),
        "llama2": ("llama", "default"), "metaspace": ("llama", "default"),
    }  # fmt: skip
    for name, said in found.items():
        assert said["lines"] > 40
        differing = [line for line, _, _ in said["differing"]]
        # What `Vocabulary.differs` says of it, and nothing else.
        assert differing == ([" ", "</s> and <s> inside", "  leading"] if name == "metaspace" else []), said


@pytest.mark.environment
def test_a_quantised_model_is_one_file_measured_as_it_runs(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    result = wb.quantize("builtin", method="gguf", out=out, type="q8_0", evaluate_tokens=1024).wait(1800)
    assert {file.name for file in out.iterdir()} == {
        "builtin-llama-Q8_0.gguf", "config.json", "chat_template.jinja", "generation_config.json", "tokenizer.json",
        "tokenizer_config.json", "workbench.json",
    }  # fmt: skip
    assert result["scheme"] == "q8_0"
    assert result["measured_in"] == "llama.cpp"
    assert result["perplexity_after"] == pytest.approx(result["perplexity_before"], rel=0.01)
    assert 0 < result["kl_divergence"] < 0.01
    assert result["top1_agreement"] > 0.95
    assert result["layer_errors"] == []
    assert result["generations"][0]["before"]
    assert result["calibration"] is None
    made = headers.read(out)
    assert result["bytes_after"] == made.bytes == pytest.approx(result["bytes_estimated"], rel=0.01)
    assert result["bits_per_weight"] == pytest.approx(result["bits_estimated"], rel=0.01)
    side = headers.compare(Model.from_config(folder), None, made)
    assert side.scheme == "GGUF Q8_0"
    assert abs(side.error) < 0.01
    environment = environments.get("llama-cpp")
    assert "torch" not in environment.versions()
    assert "transformers" not in environment.versions()


@pytest.mark.environment
def test_every_type_has_the_size_that_was_planned(folder: Path, reference: Path, tmp_path: Path) -> None:
    made: dict[str, Any] = {}
    for place, kinds in ((folder, TYPES), (reference / "llama", ("Q4_K_M", "Q2_K", "Q6_K"))):
        made = ask("types", "llama-cpp", tmp_path / place.name, folder=str(place), types=list(kinds))
        source = read(place)
        for kind in kinds:
            assert METHOD.size is not None
            assert METHOD.scratch is not None
            assert made[kind]["bytes"] == pytest.approx(METHOD.size(source, {"type": kind}), rel=0.01), kind
            assert made[kind]["on_the_way"] <= METHOD.scratch(source, {"type": kind}), kind
    # Rows of 96 and 160 are no whole blocks of 256: what llama.cpp stored is what the notes said.
    notes = " ".join(check(reference / "llama", "gguf", {"type": "Q6_K"}, tmp_path / "x").notes)
    assert "rows of 96 are not whole blocks of 256: llama.cpp stores them as Q8_0 instead of Q6_K" in notes
    assert set(made["Q6_K"]["by_type"]) == {"q8_0", "f32"}


@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_keeps_what_its_bits_can(family: str, kind: str, tmp_path: Path) -> None:
    source = builtin.ensure(family=family)
    result = wb.quantize(source, method="gguf", out=tmp_path / "out", type=kind, evaluate_tokens=4096).wait(1800)
    worst = {"Q2": 1.5, "Q3": 1.15, "Q4": 1.05}.get(kind[:2], 1.02)
    assert result["perplexity_before"] / worst < result["perplexity_after"] < result["perplexity_before"] * worst
    assert result["bytes_after"] == pytest.approx(result["bytes_estimated"], rel=0.01)


# ------------------------------------------------------------------------------------ before anything is written


def refused(folder: Path, tmp_path: Path, **parameters: Any) -> str:
    with pytest.raises((UnsupportedModel, InvalidInput)) as caught:
        check(folder, "gguf", parameters, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    return str(caught.value)


def changed(folder: Path, tmp_path: Path, name: str, **more: Any) -> Path:
    """The built-in model with other fields, its weights not copied."""
    place = tmp_path / name
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).symlink_to(file)
    config = json.loads((folder / "config.json").read_text())
    (place / "config.json").unlink()
    (place / "config.json").write_text(json.dumps({**config, **more}))
    return place


def test_what_llama_cpp_could_not_be_told_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "gpt2", {**llama_config(), "model_type": "gpt2"}, llama_shapes())
    assert "llama, mistral, qwen2, qwen3, not 'gpt2'" in refused(other, tmp_path)
    stretched = changed(folder, tmp_path, "stretched", rope_parameters={"rope_type": "longrope", "rope_theta": 1e4})
    assert "rope_type is 'longrope'" in refused(stretched, tmp_path)
    part = changed(folder, tmp_path, "part", partial_rotary_factor=0.5)
    assert "partial_rotary_factor" in refused(part, tmp_path)
    assert "hidden_act is 'gelu'" in refused(changed(folder, tmp_path, "gelu", hidden_act="gelu"), tmp_path)
    bare = write(tmp_path / "bare", {**llama_config(), "num_attention_heads": 4, "max_position_embeddings": 64},
                 llama_shapes())  # fmt: skip
    assert "has no tokenizer.json" in refused(bare, tmp_path)
    with pytest.raises(InvalidInput, match="'Q8_0'"):
        find("gguf").check({"type": "Q9"})
    with pytest.raises(UnknownName):
        find("gguf").check({"bits": 4})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, 'cuts by {"type": "Whitespace"}'),
        ({"normalizer": {"type": "Lowercase"}}, "its normalizer has Lowercase"),
        ({"model": {"type": "Unigram", "vocab": []}}, "its model is 'Unigram'"),
        (
            {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "ignore_merges": True}},
            "whole words before merges",
        ),
        ({"model": {"type": "BPE", "vocab": {"a": 9}, "merges": []}}, "ids go up to 9 and the model has 4 rows"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "byte_fallback": True}}, "its pre_tokenizer"),
        (None, "cannot be read"),
    ],
)
def test_a_tokenizer_that_is_not_known_is_refused_by_name(change: Any, says: str, tmp_path: Path) -> None:
    known = {
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "added_tokens": [{"id": 2, "content": "<s>", "special": True}],
    }
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(known))
    words = vocabulary.read(tmp_path, 4)
    assert (words.pre, words.tokens) == ("gpt-2", ["a", "b", "<s>", "[PAD3]"])
    assert [kind.name for kind in words.kinds] == ["NORMAL", "NORMAL", "CONTROL", "UNUSED"]
    file.write_text("{" if change is None else json.dumps({**known, **change}))
    with pytest.raises((UnsupportedModel, InvalidInput)) as caught:
        vocabulary.read(tmp_path, 4)
    assert says in str(caught.value)


def test_a_window_that_slides_becomes_the_context_and_is_said(folder: Path, tmp_path: Path) -> None:
    sliding = {"model_type": "mistral", "sliding_window": 512}
    place = changed(folder, tmp_path, "mistral", **sliding)
    assert fields.read(json.loads((place / "config.json").read_text())).context == 512
    assert "the file's context is 512 tokens" in " ".join(check(place, "gguf", {}, tmp_path / "out").notes)
    off = {"model_type": "qwen2", "sliding_window": 512, "use_sliding_window": False}
    assert fields.window({**off, "max_position_embeddings": 2048}) is None


def test_preflight_counts_the_file_on_the_way(folder: Path, tmp_path: Path) -> None:
    source = read(folder)
    found = check(folder, "gguf", {"type": "Q4_K_M"}, tmp_path / "out")
    plain = check(folder, "fp8_dynamic", {}, tmp_path / "out")
    assert found.disk > found.bytes_after + 4 * source.parameters
    assert found.disk - found.bytes_after > plain.disk - plain.bytes_after
    assert found.memory > 4 * source.parameters
