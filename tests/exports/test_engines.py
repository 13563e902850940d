"""Every engine in its own words: scripts run by a real shell, files read back by what owns their format."""

from __future__ import annotations

import ast
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import workbench as wb
from workbench import cli
from workbench.engines.vllm.schema import schema
from workbench.errors import InvalidInput
from workbench.exports import export
from workbench.exports.bundle import Bundle
from workbench.exports.checks import check
from workbench.exports.checks.modelfile import instructions
from workbench.exports.file import File
from workbench.exports.servers import server

MODEL = "Qwen/Qwen3-8B"
LARGE = "meta-llama/Llama-3.3-70B-Instruct"
HOSTILE = ["a'b", 'a"b', "a$(touch x)b", "a`id`b", "a{{ .V }}b", "a b", "a\\b", "a#b", "a: b", "${HOME}", "模型"]
#: Engine -> the program its script starts, and the fields of a plan for it.
PROGRAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "vllm": ("vllm", {}),
    "llama.cpp": ("llama-server", {"quantization": "q4_k_m", "max_num_seqs": 2}),
    "sglang": ("python", {}),
    "tgi": ("text-generation-launcher", {}),
    "tensorrt-llm": ("trtllm-serve", {"kv_cache_dtype": "fp8"}),
    "transformers": ("transformers", {}),
}


def made(engine: str, targets: list[str], wishes: dict[str, Any] | None = None, **fields: Any) -> Bundle:
    return export(wb.plan(MODEL, "L40S", engine=engine, max_model_len=8192, **fields), targets, **(wishes or {}))


def texts(bundle: Bundle) -> dict[str, str]:
    return {file.path: file.text for file in bundle.files}


def outcomes(kind: str, text: str, version: str = "") -> set[str]:
    return {found.outcome for found in check(File("x", kind, text, version=version))}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs that write down how they were started, one for every name."""
    place = tmp_path / "bin"
    place.mkdir()
    names = {program for program, _ in PROGRAMS.values()} | {"ollama", "mlc_llm", "hf", "tritonserver", "docker"}
    for name in names:
        script = (
            f"#!{sys.executable}\nimport json, os, sys\n"
            f"with open({str(tmp_path / 'started.jsonl')!r}, 'a') as out:\n"
            "    print(json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], dict(os.environ)]), file=out)\n"
        )
        (place / name).write_text(script)
        (place / name).chmod(0o755)
    return place


def run(bundle: Bundle, path: str, programs: Path, **variables: str) -> list[tuple[str, list[str], dict[str, str]]]:
    """Run an exported script by a real shell; how the programs were started."""
    folder = programs.parent / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    bundle.write(folder)
    notes = programs.parent / "started.jsonl"
    notes.unlink(missing_ok=True)
    search = f"{programs}:/usr/bin:/bin"
    ran = subprocess.run(
        [str(folder / path)],
        cwd=folder,
        env={"PATH": search, "HOME": "/home/x", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return [tuple(json.loads(line)) for line in notes.read_text().splitlines()]


@pytest.mark.parametrize("engine", PROGRAMS)
def test_a_script_starts_the_plan_and_asks_for_a_key(engine: str, programs: Path) -> None:
    program, fields = PROGRAMS[engine]
    path = '/srv/it\'s $(id) "here".gguf' if engine == "llama.cpp" else '/srv/it\'s $(id) "here"'
    bundle = made(engine, ["engine"], {"model_path": path, "port": 9000}, **fields)
    folder = engine.replace(".", "-")
    key = bundle.subject.key
    if key:
        with pytest.raises(RuntimeError, match=key):
            run(bundle, f"{folder}/serve.sh", programs)
    [(name, words, variables)] = run(bundle, f"{folder}/serve.sh", programs, **({key: "a 'key'"} if key else {}))
    assert name == program
    expected = bundle.subject.words[1:] + list(server(engine).address("127.0.0.1", 9000))
    expected += ["--api-key", "a 'key'"] if server(engine).key_words else []
    assert words == expected
    assert path in words
    assert variables["CUDA_VISIBLE_DEVICES"] == "0"
    assert variables["HF_HUB_OFFLINE"] == "1"
    assert (variables.get(key) == "a 'key'") == bool(key)
    for word, given in itertools.pairwise(words):
        if word == "--config":
            assert (programs.parent / "bundle" / given).is_file()


def test_a_hub_model_is_fetched_to_the_callers_own_place(programs: Path) -> None:
    bundle = made("vllm", ["vllm"])
    [(_, words, variables)] = run(bundle, "vllm/serve.sh", programs, VLLM_API_KEY="k", CUDA_VISIBLE_DEVICES="3")
    assert words[:2] == ["serve", MODEL]
    assert (variables["HF_HOME"], variables["CUDA_VISIBLE_DEVICES"]) == ("/home/x/.cache/huggingface", "3")
    assert "HF_HUB_OFFLINE" not in variables


def test_one_process_does_not_run_replicas_side_by_side() -> None:
    assert "vllm/offline.py" in texts(made("vllm", ["vllm"]))
    assert "vllm/offline.py" not in texts(made("vllm", ["vllm"], data_parallel_size=2))


def test_amds_cards_are_named_in_amds_words() -> None:
    plan = wb.plan(MODEL, "MI300X", max_model_len=8192)
    found = texts(export(plan, ["vllm"]))
    assert "HIP_VISIBLE_DEVICES" in found["vllm/serve.sh"]
    assert "CUDA" not in found["vllm/serve.sh"]
    assert "pip install vllm" not in found["README.md"]
    for target in ("triton", "mlc"):
        with pytest.raises(InvalidInput, match="MI300X"):
            export(plan, [target])


def test_a_plan_for_a_processor_keeps_its_own_cache(programs: Path) -> None:
    plan = wb.plan("builtin", "cpu", max_model_len=512, kv_cache_memory_bytes=2**28)
    bundle = export(plan, ["vllm"], model_path="/srv/m")
    [(_, words, variables)] = run(bundle, "vllm/serve.sh", programs, VLLM_API_KEY="k", VLLM_CPU_KVCACHE_SPACE="40")
    assert words[words.index("--kv-cache-memory-bytes") + 1] == str(2**28)
    assert not {"VLLM_CPU_KVCACHE_SPACE", "CUDA_VISIBLE_DEVICES"} & set(variables)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_paths_come_back_from_every_format(name: str) -> None:
    path = f"/srv/{name}"
    found = texts(made("vllm", ["vllm", "triton"], {"model_path": path}))
    assert yaml.safe_load(found["vllm/config.yaml"])["model"] == path
    assert json.loads(found["triton/model_repository/qwen3-8b/1/model.json"])["model"] == path
    for python in ("vllm/offline.py", "triton/model_repository/qwen3-8b-prompt/1/model.py"):
        constants = [node.value for node in ast.walk(ast.parse(found[python])) if isinstance(node, ast.Constant)]
        assert path in constants
    found = texts(made("llama.cpp", ["ollama"], {"model_path": f"{path}.gguf"}, quantization="q4_k_m"))
    assert dict(instructions(found["ollama/Modelfile"]))["from"] == f"{path}.gguf"


def test_vllms_series_are_those_of_its_release() -> None:
    known = schema("0.32.0").metrics
    series = server("vllm").series
    names = [getattr(series, field) for field in series.__dataclass_fields__]
    own = [name for name in names if name.startswith("vllm:")]
    assert len(own) > 8
    for name in own:
        assert name.removesuffix("_total") in known, name


@pytest.mark.parametrize(
    ("kind", "text", "version", "outcome"),
    [
        ("vllm-yaml", "model: m\nmax-model-len: 8192\n", "0.32.0", "pass"),
        ("vllm-yaml", "model: m\nswap-space: 4\n", "0.17.1", "pass"),
        ("vllm-yaml", "model: m\nswap-space: 4\n", "0.32.0", "fail"),
        ("vllm-yaml", "model: m\nkv-cache-dtype: nope\n", "0.32.0", "fail"),
        ("vllm-yaml", "model: m\nmax-num-seqs: many\n", "0.32.0", "fail"),
        ("vllm-yaml", "- model\n", "0.32.0", "fail"),
        ("vllm-yaml", "model: [\n", "0.32.0", "fail"),
        ("vllm-shell", "#!/bin/sh\nexec vllm serve m \\\n    --max-model-len 8192\n", "0.32.0", "pass"),
        ("vllm-shell", "#!/bin/sh\nexec vllm serve m \\\n    --max-model-length 8192\n", "0.32.0", "fail"),
        ("vllm-shell", "#!/bin/sh\nexec vllm serve 'm\n", "0.32.0", "fail"),
        ("vllm-shell", "#!/bin/sh\necho\n", "0.32.0", "fail"),
        ("vllm-python", "from vllm import LLM\nLLM(model='m', enforce_eager=True)\n", "0.32.0", "pass"),
        ("vllm-python", "from vllm import LLM\nLLM(model='m', enforce_eagerly=True)\n", "0.32.0", "fail"),
        ("vllm-python", "LLM(\n", "0.32.0", "fail"),
        ("vllm-json", '{"model": "m", "tensor_parallel_size": 2}', "0.32.0", "pass"),
        ("vllm-json", '{"model": "m", "tensor-parallel": 2}', "0.32.0", "fail"),
        ("vllm-json", '{"tensor_parallel_size": 2}', "0.32.0", "fail"),
        ("triton-config", 'name: "a" backend: "vllm" max_batch_size: 0', "", "pass"),
        ("triton-config", 'name: "a" backend: "vllm" max_batch: 0', "", "fail"),
        ("triton-config", 'name: "a" backend: "vllm" max_batch_size: "none"', "", "fail"),
        ("triton-config", 'name: "a"', "", "fail"),
        ("modelfile", 'FROM "./a b.gguf"\n# c\nparameter num_ctx 8192\nPARAMETER stop "x y"\n', "", "pass"),
        ("modelfile", 'FROM a\nSYSTEM """two\nlines"""\n', "", "pass"),
        ("modelfile", "PARAMETER num_ctx 8192\n", "", "fail"),
        ("modelfile", "FROM a\nPARAMETER num_ctx many\n", "", "fail"),
        ("modelfile", "FROM a\nPARAMETER num_context 8192\n", "", "fail"),
        ("modelfile", "FROM a\nRUN x\n", "", "fail"),
        ("modelfile", 'FROM "a\n', "", "fail"),
        ("modelfile", 'FROM a\nSYSTEM """never\n', "", "fail"),
    ],
)
def test_what_reads_a_file_finds_mistakes(kind: str, text: str, version: str, outcome: str) -> None:
    found = outcomes(kind, text, version)
    assert ("fail" in found) == (outcome == "fail"), found


def test_tensorrt_llms_file_says_what_its_line_cannot() -> None:
    fields = {"kv_cache_dtype": "fp8", "block_size": 64, "free_gpu_memory_fraction": 0.8, "enforce_eager": True}
    bundle = made("tensorrt-llm", ["tensorrt-llm", "docker-run"], **fields)
    found = texts(bundle)
    said = yaml.safe_load(found["tensorrt-llm/llm-api.yaml"])
    assert said["kv_cache_config"] == {"dtype": "fp8", "tokens_per_block": 64, "free_gpu_memory_fraction": 0.8}
    assert said["cuda_graph_config"] is None
    assert "cuda_graph_config" in said
    assert said["return_perf_metrics"] is True
    assert bundle.subject.words[-2:] == ["--config", "tensorrt-llm/llm-api.yaml"]
    assert bundle.subject.arguments[-6:-4] == ["--config", "/configuration/llm-api.yaml"]
    plain = made("tensorrt-llm", ["tensorrt-llm"])
    assert yaml.safe_load(texts(plain)["tensorrt-llm/llm-api.yaml"]) == {"return_perf_metrics": True}
    assert not wb.plan(MODEL, "L40S", engine="tensorrt-llm", max_model_len=8192, enforce_eager=True).command


def test_attention_of_tensorrt_llm_is_divided_or_repeated() -> None:
    plan = wb.plan(MODEL, "L40S", engine="tensorrt-llm", max_model_len=8192, data_parallel_size=2)
    bundle = export(plan, ["tensorrt-llm"])
    assert yaml.safe_load(texts(bundle)["tensorrt-llm/llm-api.yaml"])["enable_attention_dp"] is True
    words = bundle.subject.words
    assert words[words.index("--tp_size") + 1] == "2"
    both = {"data_parallel_size": 2, "tensor_parallel_size": 2}
    with pytest.raises(InvalidInput, match="data_parallel_size"):
        export(wb.plan(MODEL, "L40S", engine="tensorrt-llm", max_model_len=8192, **both), ["tensorrt-llm"])
    with pytest.raises(InvalidInput, match="kv_cache_dtype int8"):
        made("tensorrt-llm", ["tensorrt-llm"], kv_cache_dtype="int8")


def test_sglangs_words_are_its_releases() -> None:
    fields = {"enforce_eager": True, "data_parallel_size": 2}
    new = made("sglang", ["sglang"], **fields).subject.words
    assert new[new.index("--attn-dp-size") + 1] == "2"
    assert {"--disable-prefill-cuda-graph", "--disable-decode-cuda-graph"} <= set(new)
    assert not {"--dp-size", "--enable-dp-attention", "--disable-cuda-graph"} & set(new)
    old = made("sglang", ["sglang"], engine_version="0.5.10", **fields).subject.words
    assert {"--dp-size", "--enable-dp-attention", "--disable-cuda-graph"} <= set(old)


def test_ollama_takes_context_layers_and_slots(programs: Path) -> None:
    fields = {"quantization": "q4_k_m", "max_num_seqs": 4, "kv_cache_dtype": "q8_0", "max_num_batched_tokens": 1024}
    bundle = made("llama.cpp", ["ollama"], {"port": 9001, "name": "mine"}, **fields)
    found = list(instructions(texts(bundle)["ollama/Modelfile"]))
    assert found == [
        ("from", "./Qwen3-8B-q4_k_m.gguf"),
        ("parameter", "num_ctx 8192"),
        ("parameter", "num_gpu 37"),
        ("parameter", "num_batch 1024"),
    ]
    [(_, words, variables)] = run(bundle, "ollama/serve.sh", programs)
    assert words == ["serve"]
    expected = {"OLLAMA_HOST": "127.0.0.1:9001", "OLLAMA_NUM_PARALLEL": "4", "OLLAMA_KV_CACHE_TYPE": "q8_0"}
    assert expected.items() <= variables.items()
    assert variables["OLLAMA_FLASH_ATTENTION"] == "1"
    [(_, words, _)] = run(bundle, "ollama/create.sh", programs)
    assert words == ["create", "mine", "-f", "ollama/Modelfile"]


@pytest.mark.parametrize(
    ("wishes", "fields", "named"),
    [
        ({}, {"kv_cache_dtype": "q5_1"}, "kv_cache_dtype q5_1"),
        ({}, {"swa_full": True}, "swa_full"),
        ({"model_path": "/srv/a*.gguf"}, {}, "model_path"),
        ({"model_path": "/srv/a\u3000b.gguf"}, {}, "model_path"),
    ],
)
def test_what_ollama_cannot_be_told(wishes: dict[str, Any], fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        made("llama.cpp", ["ollama"], wishes, quantization="q4_k_m", **fields)


def test_mlc_converts_compiles_and_serves(programs: Path) -> None:
    bundle = made("vllm", ["mlc"], {}, max_num_seqs=8, tensor_parallel_size=2, enable_prefix_caching=False)
    started = run(bundle, "mlc/build.sh", programs)
    assert [(name, words[0]) for name, words, _ in started] == [
        ("hf", "download"),
        ("mlc_llm", "convert_weight"),
        ("mlc_llm", "gen_config"),
        ("mlc_llm", "compile"),
    ]
    words = started[2][1]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    expected = {"--quantization": "q0bf16", "--conv-template": "chatml", "--context-window-size": "8192"}
    expected |= {"--tensor-parallel-shards": "2", "--max-batch-size": "8"}
    assert expected.items() <= given.items()
    [(_, words, _)] = run(bundle, "mlc/serve.sh", programs)
    assert words[words.index("--overrides") + 1] == "context_window_size=8192;max_num_sequence=8"
    assert words[words.index("--prefix-cache-mode") + 1] == "disable"
    assert "planned for vllm" in texts(bundle)["README.md"]


@pytest.mark.parametrize(
    ("fields", "form"),
    [({}, "q0bf16"), ({"dtype": "float16"}, "q0f16"), ({"quantization": "awq"}, "q4f16_autoawq")],
)
def test_mlc_stores_weights_as_planned(fields: dict[str, Any], form: str) -> None:
    assert f"--quantization {form} " in texts(made("vllm", ["mlc"], **fields))["mlc/build.sh"]


@pytest.mark.parametrize(
    ("model", "fields", "named"),
    [
        (MODEL, {"kv_cache_dtype": "fp8"}, "kv_cache_dtype"),
        (MODEL, {"quantization": "fp8"}, "quantization"),
        (MODEL, {"speculative_config": {"method": "ngram", "num_speculative_tokens": 3}}, "speculative_config"),
        (MODEL, {"data_parallel_size": 2}, "data_parallel_size"),
        ("allenai/OLMo-2-1124-7B", {"max_model_len": 4096}, "conversation templates"),
    ],
)
def test_what_mlc_has_no_word_for(model: str, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        export(wb.plan(model, "L40S", **{"max_model_len": 8192, **fields}), ["mlc"])


def read_config(text: str) -> Any:
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_triton_places_replicas_and_models_on_their_own_gpus(programs: Path) -> None:
    one = wb.plan(MODEL, "H100 SXM", max_model_len=8192)
    other = wb.plan(LARGE, "H100 SXM", tensor_parallel_size=2, quantization="fp8", max_model_len=8192)
    bundle = export(one, ["triton"], replicas=2, beside=[other], port=9000)
    configs = {file.path.split("/")[2]: read_config(file.text) for file in bundle.files if file.kind == "triton-config"}
    large = "llama-3-3-70b-instruct"
    assert set(configs) >= {"qwen3-8b", "qwen3-8b-chat", f"{large}-1", f"{large}-2", f"{large}-chat"}
    assert list(configs["qwen3-8b"].instance_group[0].gpus) == [0, 1]
    taken = [configs[f"{large}-{n}"].parameters["GPU_DEVICE_IDS"].string_value for n in (1, 2)]
    assert taken == ["2,3", "4,5"]
    for name, config in configs.items():
        assert config.name == name
        assert config.backend != "vllm" or config.model_transaction_policy.decoupled
    for step in configs[f"{large}-chat"].ensemble_scheduling.step:
        given = configs[step.model_name]
        assert set(step.input_map) <= {tensor.name for tensor in given.input}
        assert set(step.output_map) <= {tensor.name for tensor in given.output}
    assert json.loads(texts(bundle)["plan-2.json"])["model"]
    engine = json.loads(texts(bundle)[f"triton/model_repository/{large}-1/1/model.json"])
    assert engine["tensor_parallel_size"] == 2
    [(_, words, _)] = run(bundle, "triton/serve.sh", programs)
    assert {"--http-port=9000", "--grpc-port=9001", "--metrics-port=9002"} <= set(words)
    [(_, words, _)] = run(bundle, "triton/run.sh", programs)
    assert words[words.index("--gpus") + 1] == "6"


@pytest.mark.parametrize(
    ("wishes", "fields", "named"),
    [
        ({"replicas": 9}, {}, "replicas"),
        ({"port": 65535}, {}, "port"),
        ({"model_path": "relative"}, {}, "model_path"),
        ({}, {"data_parallel_size": 2}, "data_parallel_size"),
    ],
)
def test_what_triton_does_not_take(wishes: dict[str, Any], fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        made("vllm", ["triton"], wishes, **fields)


def test_plans_beside_are_for_what_holds_several() -> None:
    plan = wb.plan(MODEL, "L40S", max_model_len=8192)
    with pytest.raises(InvalidInput, match="beside"):
        export(plan, ["vllm"], beside=[plan])
    with pytest.raises(InvalidInput, match="two models are called"):
        export(plan, ["triton"], beside=[plan])
    with pytest.raises(InvalidInput, match="planned for H100"):
        export(plan, ["triton"], beside=[wb.plan(LARGE, "H100 SXM", tensor_parallel_size=4, max_model_len=8192)])
    with pytest.raises(InvalidInput, match="beside"):
        export(plan, ["triton"], beside=["plan.json"])
    assert set(export(plan, beside=[wb.plan("mistralai/Mistral-7B-Instruct-v0.3", "L40S")]).by_target) == {"triton"}


def test_transformers_quantises_while_it_loads_or_says_that_its_server_cannot() -> None:
    plain = texts(made("transformers", ["transformers"], max_num_seqs=4))
    assert "BATCH = 4\nLONGEST = 8192 " in plain["transformers/generate.py"]
    assert "transformers/serve.sh" in plain
    small = made("transformers", ["transformers"], quantization="fp8")
    assert "quantization_config=FineGrainedFP8Config()" in texts(small)["transformers/generate.py"]
    assert "transformers/serve.sh" not in texts(small)
    assert "quantization fp8" in texts(small)["README.md"]
    with pytest.raises(InvalidInput, match="quantization fp8"):
        made("transformers", ["docker-run"], {"image": "mine:1"}, quantization="fp8")
    words = made("transformers", ["transformers"], quantization="nf4").subject.words
    assert words[-2:] == ["--quantization", "bnb-4bit"]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed here")
@pytest.mark.parametrize("engine", PROGRAMS)
def test_shellcheck_reads_every_script(engine: str) -> None:
    bundle = made(engine, ["engine", "client"], {"model_path": "/srv/it's $(id).gguf"}, **PROGRAMS[engine][1])
    scripts = [file for file in bundle.files if file.path.endswith(".sh")]
    for file in scripts:
        said = {found.reader: found for found in check(file, programs=True)}
        assert said["shellcheck"].outcome == said["sh -n"].outcome == "pass", (file.path, said)


def test_the_command_line_takes_plans_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beside = tmp_path / "other.json"
    beside.write_text(json.dumps(wb.plan("mistralai/Mistral-7B-Instruct-v0.3", "L40S", max_model_len=8192).to_dict()))
    words = ["export", MODEL, "--gpu", "L40S", "--max-model-len", "8192", "--to", "triton"]
    assert cli.main([*words, "--beside", str(beside), "--out", str(tmp_path / "x")]) == 0
    assert (tmp_path / "x/triton/model_repository/mistral-7b-instruct-v0-3/1/model.json").is_file()
    assert (tmp_path / "x/plan-2.json").is_file()
    capsys.readouterr()
