"""Pasted texts of every form, whole and broken: what is read, where it stood, and that nothing hangs or runs."""

from __future__ import annotations

import contextlib
import json
import shlex
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.engines.vllm.schema import check
from workbench.errors import InvalidInput

NOW = "0.33.0"


def statuses(text, version=NOW):
    return {change.given: change.status for change in wb.translate(text, version).changes}


def only(text, version=NOW):
    (part,) = wb.translate(text, version).parts
    return part


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vllm serve m -tp 2", ["m", "--tensor-parallel-size", "2"]),
        ("$ vllm serve m --max_model_len=8k", ["m", "--max-model-len", "8k"]),
        ("VLLM_LOGGING_LEVEL=DEBUG sudo -E nohup vllm serve m --seed 3 &", None),
        ("nohup env X=1 vllm serve m --seed 3 > log 2>&1 &", ["m", "--seed", "3"]),
        ("cd /x && vllm serve 'my model' --seed 3; echo done", ["my model", "--seed", "3"]),
        ('vllm serve "$MODEL" --port "$PORT"', ["$MODEL", "--port", "$PORT"]),
        ('M=org/m; vllm serve "$M" --port 80', ["org/m", "--port", "80"]),
        (
            "vllm serve --model m --served-model-name a b --seed 1",
            ["m", "--served-model-name", "a", "b", "--seed", "1"],
        ),
        ("/opt/venv/bin/vllm serve m \\\r\n  --seed 1\r\n", ["m", "--seed", "1"]),
        ('vllm serve m --hf-overrides \'{"a": {"b": 1}}\'', ["m", "--hf-overrides", '{"a": {"b": 1}}']),
        ("vllm serve m --speculative-config.method ngram", ["m", "--speculative-config", '{"method": "ngram"}']),
        ("podman run -it --rm -e A=b docker.io/vllm/vllm-openai@sha256:0 m --seed 1", ["m", "--seed", "1"]),
        ("docker run vllm/vllm-openai:v0.6.0 --model m --seed=1 --seed=2", ["m", "--seed", "2"]),
        ("docker run --entrypoint python3 vllm/vllm-openai -m vllm.entrypoints.openai.api_server --model m", None),
        (
            "kind: Pod\nspec:\n  containers:\n  - image: x\n    command: [vllm, serve, m]\n    args: ['--seed', '1']",
            None,
        ),
        ("services:\n  v:\n    image: vllm/vllm-openai\n    command: --model m --seed 1\n", ["m", "--seed", "1"]),
        ("image: r/vllm-openai\ncommand: [sh, -c, 'vllm serve m --seed 1']", ["m", "--seed", "1"]),
        ("model: m\ntensor-parallel-size: 2\ntrust-remote-code: true\nenforce-eager: false\n", None),
        ("AsyncEngineArgs(model=NAME, seed=1)\nNAME = 'org/m'  # which\n", ["org/m", "--seed", "1"]),
        ("engine = vllm.LLM(\n  'm',  # ) a bracket\n  seed=1)", ["m", "--seed", "1"]),
        ('FROM vllm/vllm-openai:v1\nCMD ["vllm", "serve", "m", "--seed", "1"]', ["m", "--seed", "1"]),
        ("# Title\n\ntext\n\n```bash\nvllm serve m --seed 1\n```\n", ["m", "--seed", "1"]),
        ("```\nvllm serve m --seed 1", ["m", "--seed", "1"]),
        ("\ufeffvllm serve m --seed 1", ["m", "--seed", "1"]),
        ("!pip install vllm\n%%bash\nvllm serve m --seed 1", ["m", "--seed", "1"]),
    ],
)
def test_forms(text, words):
    part = only(text)
    assert part.model
    assert list(part.words[2:]) == words or words is None
    assert not [finding for finding in check(part.words, NOW) if finding.refused and "$" not in finding.text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vllm serve m --gpu-memory-utilization 95", {"--gpu-memory-utilization": "wrong"}),
        ("vllm serve m --gpu-memory-utilization 950", {"--gpu-memory-utilization": "wrong"}),
        ("vllm serve m --gpu-memory-utilization nearly", {"--gpu-memory-utilization": "wrong"}),
        ("vllm serve m --tensor-parallel-size 0", {"--tensor-parallel-size": "wrong"}),
        ("vllm serve m --dtype bf16", {"--dtype": "wrong"}),
        ("vllm serve m --dtype BFLOAT16", {"--dtype": "wrong"}),
        ("vllm serve m --enable-prefix-caching=true", {"--enable-prefix-caching": "default"}),
        ("vllm serve m --enforce-eager true", {"--enforce-eager": "kept", "true": "wrong"}),
        ("vllm serve m --enforce-eager=false", {"--enforce-eager": "default"}),
        ("vllm serve m --quantization bitsandbytes", {"--quantization": "wrong"}),
        ("vllm serve m --quantization gguf", {"--quantization": "wrong"}),
        ("vllm serve x/y-GPTQ-Int4 -q gptq_marlin", {"-q": "default"}),
        ("vllm serve x/y-FP8 --quantization fp8 --kv-cache-dtype fp8_e5m2", {"-q": None, "--kv-cache-dtype": "wrong"}),
        ("vllm serve m --max-modle-len 5", {"--max-modle-len": "unknown"}),
        ("vllm serve m --disable-log-requests", {"--disable-log-requests": "default"}),
        ("vllm serve m --task embed", {"--task": "renamed"}),
        ("vllm serve m --compilation-config.level 3", {"--compilation-config.level": "wrong"}),
        ("vllm serve m --compilation-config 3 -O3", {"--compilation-config": "wrong", "-O": "kept"}),
        ("vllm serve m --guided-decoding-disable-fallback", {"--guided-decoding-disable-fallback": "removed"}),
        ("vllm serve m --num-redundant-experts 4", {"--num-redundant-experts": "renamed"}),
        ('vllm serve m --speculative-config \'{"method": "medusa"}\'', {"--speculative-config": "wrong"}),
        ("vllm serve m --guided-decoding-backend outlines", {"--guided-decoding-backend": "renamed"}),
        ("vllm serve m --port", {"--port": "wrong"}),
        ("LLM(model='m', port=80)", {"port": "wrong"}),
        ("LLM(model='m', seed=SEED)", {"seed": "kept"}),
        ("VLLM_ATTENTION_BACKEND=XFORMERS vllm serve m", {"VLLM_ATTENTION_BACKEND": "renamed"}),
        ("VLLM_NONSENSE=1 vllm serve m", {"VLLM_NONSENSE": "unknown"}),
        ("VLLM_USE_V1=0 vllm serve m", {"VLLM_USE_V1": "removed"}),
    ],
)
def test_what_is_said(text, said):
    found = statuses(text)
    for name, status in said.items():
        assert status is None or found[name] == status


def test_a_release_that_is_older_than_the_option():
    assert statuses("vllm serve m --kv-offloading-size 5", "0.8.5") == {"--kv-offloading-size": "removed"}
    (change,) = wb.translate("vllm serve m --kv-offloading-size 5", "0.8.5").changes
    assert "0.11.2 is the first release" in change.text
    assert statuses("vllm serve m --swap-space 8", "0.17.1") == {"--swap-space": "kept"}
    assert only("vllm serve m --task embed", "0.10.2").words[3:] == ("--task", "embed")


def test_what_was_removed_leaves_the_container_line():
    part = only("docker run -e VLLM_USE_V1=0 -e HF_TOKEN=$HF_TOKEN -v ~/x:/x vllm/vllm-openai:v0.8.0 --model m")
    assert part.text == "docker run -e HF_TOKEN=$HF_TOKEN -v ~/x:/x vllm/vllm-openai:v0.8.0 m\n"


def test_what_python_calculates_stays_as_it_was_written():
    part = only("LLM(model=MODEL, tensor_parallel_size=count(), swap_space=4, max_num_seqs=3)")
    assert part.text == "LLM(\n    model=MODEL,\n    tensor_parallel_size=count(),\n    max_num_seqs=3,\n)\n"


def test_where_it_stood():
    text = "# first\nvllm serve m \\\n   --swap-space 4 \\\n   --seed 3\n"
    change = next(change for change in wb.translate(text, NOW).changes if change.status == "removed")
    assert (change.line, text[change.start : change.end]) == (3, "--swap-space 4")
    text = "模型 = 1\nllm = LLM(\n    model='m',  # 模型\n    swap_space=4, max_num_seqs=3)"
    change = next(change for change in wb.translate(text, NOW).changes if change.status == "removed")
    assert (change.line, text[change.start : change.end]) == (4, "swap_space=4")
    text = "vllm:\n  model: m\n  swap_space: 4\n"
    change = next(change for change in wb.translate(text, NOW).changes if change.status == "removed")
    assert (change.line, text[change.start : change.end]) == (3, "swap_space: 4")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n\t",
        "hello",
        "# vllm",
        "{",
        "[1, 2]",
        "a: b",
        "```\n```",
        "\x00",
        "print('x')",
        "LLM(",
        "vllm",
        "\ud800",
    ],
)
def test_what_holds_nothing_is_refused(text):
    with pytest.raises(InvalidInput):
        wb.translate(text)


@pytest.mark.parametrize("value", [None, 5, b"vllm serve m"])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(InvalidInput):
        wb.translate(value)


def test_an_unknown_version_is_refused():
    with pytest.raises(InvalidInput, match="newest"):
        wb.translate("vllm serve m", "newest")


def test_nothing_is_run(tmp_path):
    made = tmp_path / "made"
    call = f"LLM(model=__import__('pathlib').Path({str(made)!r}).touch() or 'm', seed=1)"
    for text in (
        call,
        f"vllm serve $(touch {made}) --seed 1",
        f"vllm:\n  seed: !!python/object/apply:os.mkdir ['{made}']\n",
    ):
        wb.translate(text)
    assert not made.exists()


@pytest.mark.parametrize(
    "name", ["a b", "x'y", 'q"q', "$(rm -rf /)", "{{ x }}", "../up", "new\nline", "\U0001f999", "-x"]
)
def test_odd_names_come_out_quoted(name):
    part = only(f"LLM(model={name!r}, seed=1)")
    assert shlex.split(part.command)[2] == name
    written = only(f"vllm:\n  model: {json.dumps(name, ensure_ascii=False)}\n  max_num_seqs: 4\n")
    assert written.model == name
    assert yaml.safe_load(written.text)["model"] == name


PIECES = [
    "vllm serve m --swap-space 4 --x 'a b'\n",
    "vllm serve '",
    'vllm serve "',
    "LLM(",
    "LLM(model='m', swap_space=4)\n",
    "a: {b: [",
    "vllm:\n  swap_space: 4\n",
    "--unknown-option-7 1 ",
    "vllm serve m --a.b.c.d 1\n",
    "vllm:gpu_cache_usage_perc{a='",
    '{"expr": "vllm:gpu_cache_usage_perc',
    "```\n",
    "<<EOF\n",
    "$(",
    "&a [*a, *a]\n",
    "docker run -e A=b ",
    "\\\n",
    "# vllm serve m\n",
    "((((",
    " ",
    "\n\n",
    "x = y  ",
]


def seconds(piece, size):
    """Processor time [s] of reading a piece repeated to so many letters; what comes of it is not asked."""
    text = "vllm serve m --seed 1\n" + piece * (size // len(piece))
    began = time.process_time()
    with contextlib.suppress(InvalidInput):
        wb.translate(text, NOW)
    return time.process_time() - began


@pytest.mark.parametrize("piece", PIECES)
def test_a_long_text_takes_no_more_than_its_length(piece):
    """Ten times the text takes about ten times as long; were it the square, a hundred times."""
    seconds(piece, 4_000)
    assert seconds(piece, 100_000) < 35 * seconds(piece, 10_000) + 1


@pytest.mark.soak
@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_takes_no_more_than_its_length(piece):
    assert seconds(piece, 1_000_000) < 35 * seconds(piece, 100_000) + 3


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=12).map("".join))
def test_any_text_is_read_or_refused(text):
    try:
        done = wb.translate(text, NOW)
    except InvalidInput:
        return
    json.dumps(done.to_dict())
    for change in done.changes:
        assert 0 <= change.start <= change.end <= len(text)
        assert change.line == text.count("\n", 0, change.start) + 1
