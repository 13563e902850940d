"""Every other tool's block of the older guides, translated: what is said, and that the tool's own reader takes it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from translation.kubernetes_blocks import BLOCKS as OBJECTS
from translation.tool_blocks import BUILT, COMMANDS, DOCKERFILE, PROMETHEUS, REFUSED, TRITON

import workbench as wb
from workbench import environments
from workbench.datafiles import data_path, read_rows
from workbench.engines.vllm.schema import bundled, check
from workbench.errors import InvalidInput
from workbench.exports.checks import check as read_by
from workbench.exports.file import File
from workbench.translation.programs import given, options
from workbench.translation.result import STATUSES
from workbench.translation.shell import Word

CURRENT = bundled()[-1]
#: The guides themselves, where a checkout of the steering folder lies beside this one.
GUIDES = Path(__file__).resolve().parents[3] / "shared" / "guides"
#: The kind of file that a part's text is, by its form.
KINDS = {"manifest": "kubernetes", "triton": "triton-config", "prometheus": "prometheus", "dockerfile": "dockerfile"}


def refused(kind, text, programs=False, version=""):
    said = read_by(File("file", kind, text, version=version), programs=programs)
    assert said
    return [check.detail for check in said if check.outcome == "fail"]


def unknown(words):
    """Options that the table of a command's program lacks, and values that it does not take."""
    words = [word for word in words if word]
    names = [word.rsplit("/", 1)[-1] for word in words]
    at = next((at for at in range(len(names)) if options(names[at]) or options(" ".join(names[at : at + 2]))), None)
    if at is None:
        image = next((at for at, word in enumerate(words) if "text-generation-inference" in word), None)
        program, rest = ("text-generation-launcher", words[image + 1 :]) if image is not None else ("", [])
    elif options(names[at]):
        program, rest = names[at], words[at + 1 :]
    else:
        program, rest = " ".join(names[at : at + 2]), words[at + 2 :]
    items = given([Word(word, 0, 0) for word in rest], options(program))
    return [
        item.name
        for item in items
        if item.name and (item.option is None or (item.values and item.option.wrong(item.values[0])))
    ]


@pytest.mark.parametrize("block", [*COMMANDS, *REFUSED], ids=lambda block: block.claim)
def test_a_command_is_told_and_taken(block):
    parts = [part for part in wb.translate(block.text).parts if part.form == "program"]
    told = {change.given: change.status for part in parts for change in part.changes}
    assert told.items() >= block.said.items()
    for part in parts:
        assert unknown(part.words) == []
        for change in part.changes:
            assert change.status in STATUSES
            assert change.source
            assert change.text or change.status == "kept"
            assert change.given.strip("-./") in block.text[change.start : change.end].replace('"', "")
    if block.holds:
        assert parts[-1].command == block.holds[0]


@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: block.claim)
def test_translating_what_was_translated_changes_nothing(block):
    for part in wb.translate(block.text).parts:
        if part.form == "program" and part.words and part.words[0] != "workbench":
            again = wb.translate(part.command).parts[0]
            assert again.words == part.words
            assert not again.lost


def test_llama_cpp_is_built_by_cmake():
    (part,) = wb.translate("cd ~/llama.cpp && make -j LLAMA_CUBLAS=1\n").parts
    assert part.text.startswith("cmake -B build")
    assert wb.translate("cd here && make -j\nvllm serve m\n").parts[0].engine == "vllm"


def test_steps_that_built_an_engine_say_it_all_in_the_last():
    first, second, third = wb.translate(BUILT).parts
    assert first.command == "trtllm-serve ./plain --tp_size 2"
    assert second.command == third.command == "trtllm-serve ./plain --tp_size 2 --max_batch_size 256"
    assert "mpirun -n 2" in third.remarks[0]
    alone = wb.translate(BUILT.splitlines()[1]).parts[0]
    assert alone.command == "trtllm-serve ./made --max_batch_size 256"


# ------------------------------------------------------------------------------------------------ files


def test_triton_reads_its_configuration_and_vllm_its_arguments():
    """C002-043: what stood in parameters has to stand in model.json."""
    configuration, arguments = wb.translate(TRITON, CURRENT).parts
    assert {change.given: change.status for change in configuration.changes} == {
        "max_batch_size": "wrong",
        "model": "wrong",
        "dtype": "wrong",
    }
    assert refused("triton-config", configuration.text) == []
    assert "string_value" not in configuration.text
    assert refused("vllm-json", arguments.text, version=CURRENT) == []
    held = json.loads(arguments.text)
    assert held == {"model": "meta-llama/Llama-3.1-8B-Instruct", "dtype": "bfloat16"}
    assert arguments.plan(gpu="L40S").fits
    assert not arguments.plan(gpu="T4").fits
    (again,) = wb.translate(configuration.text, CURRENT).parts
    assert (again.changes, again.text) == ((), configuration.text)


def test_a_configuration_that_is_not_decoupled_is_made_so():
    text = 'name: "m"\nbackend: "vllm"\nmax_batch_size: 0\n'
    (part,) = wb.translate(text).parts
    assert refused("triton-config", part.text) == []
    assert "decoupled: true" in part.text


def test_parameters_of_the_backend_itself_stay():
    own = 'parameters: [ { key: "REPORT_CUSTOM_METRICS" value: { string_value: "true" } },\n'
    text = TRITON.split("parameters")[0] + own + '  { key: "dtype" value: { string_value: "half" } } ]\n'
    configuration, arguments = wb.translate(text).parts
    assert refused("triton-config", configuration.text) == []
    assert "REPORT_CUSTOM_METRICS" in configuration.text
    assert "dtype" not in configuration.text
    assert json.loads(arguments.text)["dtype"] == "half"


@pytest.mark.parametrize("text", ['backend: "vllm" {', 'backend: "vllm"\nparameters [ { key: ', 'backend: "vllm" }'])
def test_a_configuration_that_is_none_is_left_alone(text):
    try:
        parts = wb.translate(text).parts
    except InvalidInput:
        return
    assert all(part.form != "triton" or refused("triton-config", part.text) is not None for part in parts)


def test_a_dockerfile_upon_an_image_that_starts_the_server_itself():
    """C004-051: CMD is the words after the image's ENTRYPOINT; the model lies where the server looks."""
    (part,) = wb.translate(DOCKERFILE, CURRENT).parts
    told = {change.given: change.status for change in part.changes}
    assert (
        told.items()
        >= {
            "vllm/vllm-openai:latest": "renamed",
            "CMD": "wrong",
            "cache_dir": "wrong",
            "MODEL_NAME": "default",
        }.items()
    )
    assert refused("dockerfile", part.text, version=CURRENT) == []
    assert refused("dockerfile", DOCKERFILE)
    assert "ENV HF_HOME=/cache" in part.text
    assert "MODEL_NAME" not in part.text
    (again,) = wb.translate(part.text, CURRENT).parts
    assert (again.text, again.words) == (part.text, part.words)


def test_prometheus_reads_whom_to_ask():
    (part,) = wb.translate(PROMETHEUS).parts
    assert refused("prometheus", PROMETHEUS)
    assert refused("prometheus", part.text, programs=True) == []
    assert {change.given: change.status for change in part.changes} == {
        "metrics_path": "default",
        "http://other:8000/metrics": "wrong",
    }
    assert yaml.safe_load(part.text)["scrape_configs"][0]["scrape_interval"] == "15s"
    assert "kubernetes_sd_configs" in part.remarks[0]


@pytest.mark.parametrize(
    ("claim", "query", "new"),
    [
        ("C004-057", "vllm:num_requests_waiting", "vllm:num_requests_waiting"),
        ("C004-058, C004-063", "vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"),
        ("C004-059", "vllm:avg_generation_throughput_toks_per_s", "rate(vllm:generation_tokens_total[1m])"),
        ("C004-060", "vllm:avg_time_to_first_token_seconds",
         "(rate(vllm:time_to_first_token_seconds_sum[5m]) / rate(vllm:time_to_first_token_seconds_count[5m]))"),
        ("C004-061", "vllm:avg_time_per_output_token_seconds",
         "(rate(vllm:inter_token_latency_seconds_sum[5m]) / rate(vllm:inter_token_latency_seconds_count[5m]))"),
        ("C004-062", "rate(vllm:num_requests_running[1m])", "rate(vllm:generation_tokens_total[1m])"),
        ("a gauge in a rate", "max(rate(vllm:kv_cache_usage_perc[5m]))",
         "max(avg_over_time(vllm:kv_cache_usage_perc[5m]))"),
    ],
)  # fmt: skip
def test_a_query_becomes_one_that_prometheus_reads(claim, query, new):
    (part,) = wb.translate(query, CURRENT).parts
    assert part.text == new, claim
    rules = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": part.text}]}]}
    assert refused("prometheus-rules", yaml.safe_dump(rules)) == []


def test_all_queries_are_taken_by_promtool():
    text = "groups:\n- name: g\n  rules:\n"
    for number, query in enumerate(("vllm:gpu_cache_usage_perc > 0.9", "rate(vllm:num_requests_running[1m])")):
        text += f"  - {{alert: A{number}, expr: '{query}'}}\n"
    (part,) = wb.translate(text, CURRENT).parts
    assert part.form == "rules"
    assert refused("prometheus-rules", part.text, programs=True) == []


# ------------------------------------------------------------------------------------------------ plans


@pytest.mark.parametrize(
    ("claim", "text", "gpu", "fits"),
    [
        ("C003-035", "ollama run llama3.1:8b", "L40S", True),
        ("C003-035, 70B", "ollama run llama3.1:70b", "RTX 4090", False),
        ("C003-033", "Llama(model_path='llama-3.1-8b-instruct-q4_k_m.gguf', n_ctx=4096, n_gpu_layers=35)", "L4", True),
        ("C003-044", COMMANDS[9].text, "L40S", True),
        ("C003-044", COMMANDS[9].text, "T4", False),
        ("C003-068", COMMANDS[10].text, "H100 SXM", True),
        ("C003-068", COMMANDS[10].text, "T4", False),
        ("C004-070 of 70B", BUILT.replace("./plain", "meta-llama/Llama-3.1-70B-Instruct"), "L40S", False),
    ],
)  # fmt: skip
def test_what_a_command_describes_is_planned(claim, text, gpu, fits):
    part = wb.translate(text).parts[-1]
    plan = part.plan(gpu=gpu)
    assert plan.fits == fits, (claim, plan.reasons)
    assert plan.reasons


def test_what_names_no_model_is_not_planned():
    for text in ("ollama list", "ollama run mine:1b", "./llama-quantize a.gguf b.gguf Q4_K_M"):
        (part,) = wb.translate(text).parts
        assert part.deployment is None
        with pytest.raises(InvalidInput, match="no model"):
            part.plan()


def test_a_call_of_llama_cpp_in_python():
    """C003-033: 35 layers are all 33; what the library does not know it passes over."""
    text = (
        "llm = Llama(\n    model_path='m/llama-3.1-8b-instruct-q4_k_m.gguf',\n    n_ctx=4096,\n    n_gpu_layers=35,\n"
        "    n_threads='all',\n    gpu_memory_utilization=0.9,\n    verbose=False,\n)\n"
    )
    (part,) = wb.translate(text).parts
    assert {change.given: change.status for change in part.changes if change.status != "kept"} == {
        "n_threads": "wrong",
        "gpu_memory_utilization": "unknown",
    }
    assert "33 are all" in next(change.text for change in part.changes if change.given == "n_gpu_layers")
    assert unknown(part.words) == []
    assert "verbose=False" in part.text
    (again,) = wb.translate(part.text).parts
    assert again.words == part.words
    assert not again.lost


def test_calls_around_engines_of_tensorrt_llm():
    """C003-067, C003-069: a checkpoint as Hugging Face lays it out, loaded as it is."""
    text = (
        "export_tensorrt_llm_checkpoint(model, decoder_type='llama', dtype=torch.float16, export_dir='./f',"
        " inference_tensor_parallel=1)\n# trtllm-build --checkpoint_dir ./f --output_dir ./e\n"
        "runner = ModelRunner.from_dir('./e', rank=0)\n"
    )
    parts = [part for part in wb.translate(text).parts if part.form == "python"]
    assert [part.text for part in parts] == [
        "export_hf_checkpoint(model, dtype=torch.float16, export_dir='./f')\n",
        "LLM(model='./f')\n",
    ]
    told = {change.given: change.status for part in parts for change in part.changes}
    assert (told["decoder_type"], told["rank"]) == ("removed", "unknown")
    assert all(change.source for part in parts for change in part.changes)


# ------------------------------------------------------------------------------------------------ tables and guides


def test_tables_are_whole():
    for path in sorted(data_path("engines", "programs").glob("*.csv")):
        rows = read_rows("engines", "programs", path.name)
        assert len(rows) > 20
        assert {row["takes"] for row in rows} <= {"", "int", "number", "word", "bool", "choice", "pair"}
        assert all(row["choices"] for row in rows if row["takes"] == "choice")
    for row in read_rows("engines", "moved_programs.csv"):
        assert row["status"] in STATUSES
        assert row["source"].startswith("https://")
        assert row["text"] or row["status"] == "kept"
    for row in read_rows("engines", "ollama_models.csv"):
        assert wb.Model.from_config(row["model"])


@pytest.mark.skipif(not GUIDES.is_dir(), reason="the guides do not lie beside this checkout")
def test_the_guides_as_they_are():
    engines, forms = set(), set()
    for guide in sorted(GUIDES.glob("*.txt")):
        for part in wb.translate(guide.read_text(encoding="utf-8"), CURRENT).parts:
            engines.add(part.engine)
            forms.add(part.form)
            assert all(change.source for change in part.changes if change.status != "kept")
            if part.form in KINDS:
                text = part.text.replace(" python -c", " python3 -c")
                release = CURRENT if part.form == "dockerfile" else ""
                assert refused(KINDS[part.form], text, version=release) == [], (guide.name, part.line)
            if part.form == "json" and part.model:
                assert refused("vllm-json", part.text, version=CURRENT) == []
            if part.form == "program":
                assert unknown(part.words) == [], (guide.name, part.line)
            if part.engine == "vllm" and part.words:
                assert [finding for finding in check(part.words, CURRENT) if finding.refused] == []
    assert engines >= {"vllm", "llama.cpp", "TensorRT-LLM", "TGI", "Triton", "Ollama", "Prometheus", "Kubernetes"}
    assert forms >= {*KINDS, "json", "promql", "program", "kubernetes"}


def test_every_claim_of_a_block_is_there_once():
    claims = [claim for block in (*COMMANDS, *REFUSED, *OBJECTS) for claim in [block.claim]]
    assert len(set(claims)) == len(claims)


@pytest.mark.skipif(shutil.which("llama-server") is None, reason="no llama-server is on the path")
def test_llama_server_takes_what_we_made():
    """It reads its whole line before it prints its help, and ends with 1 at what it does not know."""
    served = [part for block in (*COMMANDS, *REFUSED) for part in wb.translate(block.text).parts]
    served += [part for block in OBJECTS for part in wb.translate(block.text).parts]
    lines = [part.words for part in served if part.words and part.words[0].endswith("llama-server")]
    assert len(lines) > 2
    refused = subprocess.run(["llama-server", "--ctx-size=4096", "--version"], capture_output=True, timeout=60)
    assert refused.returncode != 0
    for words in lines:
        done = subprocess.run(["llama-server", *words[1:], "--version"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (shlex.join(words), done.stderr)
    for name, option in options("llama-server").items():
        if name.startswith("--") and not option.takes and not name.startswith(("--fim", "--gpt", "--embd", "--vision")):
            done = subprocess.run(["llama-server", name, "--version"], capture_output=True, text=True, timeout=60)
            assert "invalid argument" not in done.stderr, name


SIGNATURE = """
import inspect, json
from llama_cpp import Llama
print("RESULT " + json.dumps(list(inspect.signature(Llama.__init__).parameters)[1:]))
"""


@pytest.mark.environment
def test_the_library_has_the_arguments_of_our_table():
    environment = environments.ensure("llama-cpp")
    done = subprocess.run(
        [environment.python, "-c", SIGNATURE], capture_output=True, text=True, timeout=120, check=False
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    assert set(json.loads(line.removeprefix("RESULT "))) - {"kwargs"} == set(options("Llama"))
