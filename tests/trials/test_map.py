"""The map of the methods: sizes against files, bounds against the roofline by hand, losses from our own runs."""

from __future__ import annotations

import csv
import doctest
import math

import numpy as np
import pytest

from workbench import hardware
from workbench.architecture import Model
from workbench.datafiles import data_path
from workbench.errors import InvalidInput, UnknownName
from workbench.formats import SCHEMES, stored_bytes
from workbench.performance.step import Batch
from workbench.planner import plan
from workbench.quantizers import find, methods
from workbench.trials import bounds as bounds_module
from workbench.trials import every, losses, methods_map, often_told
from workbench.trials import map as map_module
from workbench.trials.bounds import bounds, in_format, seconds
from workbench.trials.choice import Choice
from workbench.trials.map import ACTIVATIONS, COLUMNS, MORE, scheme_of, unit_on
from workbench.trials.record import Trial, Trials

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(scope="module")
def table():
    return methods_map(MODEL, "L40S", concurrency=32)


# ---------------------------------------------------------------------------------------------- what it stores


def test_a_row_for_each_method_and_variant(table):
    assert list(table.index) == ["bf16", *(c.word for c in every()), *MORE]
    assert list(table.reset_index().columns) == list(COLUMNS)
    assert table.attrs == {"model": MODEL, "gpu": "L40S", "requests": 32, "context": 1024, "prompt": 2048}


@pytest.mark.parametrize(
    ("word", "linear", "whole"),
    [
        # 4 bits, a 16-bit scale and a 4-bit zero point for 128 weights; embedding and output projection in 16 bit.
        ("awq", 4 + 20 / 128, 5.71),
        ("gptq", 4 + 16 / 128, 5.68),
        ("nvfp4", 4 + 8 / 16, 6.01),
        ("bnb_nf4", 4 + 32 / 64, 6.01),
        ("gguf:type=Q8_0", 8.5, 8.5),
        ("bf16", 16, 16),
        ("sparsegpt", 16, 16),
    ],
)
def test_bits_a_weight_of_the_layers_and_of_the_whole(table, word, linear, whole):
    assert table.at[word, "bits_linear"] == pytest.approx(linear, rel=2e-3)
    assert table.at[word, "bits_whole"] == pytest.approx(whole, abs=0.01)


def test_the_guides_bits_of_gguf_contradict_their_own_sizes():
    """C003-016 to C003-022: bits and gigabytes of a 7B stand in one row and do not belong together."""
    model = Model.from_config("meta-llama/Llama-2-7b-hf")
    told = {
        "q2_k": (2.6, 2.8), "q3_k_m": (3.1, 3.3), "q4_0": (4.0, 3.8), "q4_k_m": (4.6, 4.1), "q5_k_m": (5.3, 4.8),
        "q6_k": (6.6, 5.5), "q8_0": (8.0, 7.2),
    }  # fmt: skip
    wrong = []
    for name, (bits, gigabytes) in told.items():
        size = sum(stored_bytes(model, SCHEMES[name]).values())
        assert size / 1e9 == pytest.approx(gigabytes, rel=0.12), "the sizes are right"
        if abs(8 * size / model.parameters / bits - 1) > 0.03:
            wrong.append(name)
    assert wrong == ["q2_k", "q3_k_m", "q4_0", "q4_k_m", "q5_k_m", "q8_0"]


def test_savings_as_told_hold_against_32_bit_or_not_at_all(table):
    """C000-019 to C000-022, C001-001 to C001-004: FP16 "saves" half, FP8 and INT8 three quarters."""
    told = often_told(table).set_index(["table", "named"])
    assert told.at[("A", "FP16"), "saves"] == 0
    for row in (("A", "FP8"), ("A", "INT8"), ("B", "INT8")):
        assert told.at[row, "saving"] == 0.75
        assert told.at[row, "holds_against"] == "32 bit"
        assert told.at[row, "saves"] == pytest.approx(0.43, abs=0.01)  # 0.5 of the layers, embeddings stay
    assert told.at[("A", "AWQ"), "saves"] == pytest.approx(0.64, abs=0.01)  # C000-022
    assert told.at[("B", "Q4_K_M"), "saving"] == 0.87
    assert told.at[("B", "Q4_K_M"), "saves"] == pytest.approx(0.695, abs=0.01)  # C001-003
    larger = methods_map("meta-llama/Llama-3.1-70B-Instruct", "H100 SXM", choices=["awq"])
    assert 1 - larger.at["awq", "bits_whole"] / 16 == pytest.approx(0.72, abs=0.01)


# ---------------------------------------------------------------------------------------------- how fast at most


def test_a_bound_is_the_roofline_by_hand():
    """Llama 3.1 8B on an L40S, one request over 1,024 tokens: bytes read in 16 bit and in AWQ."""
    card, model = hardware.gpu("L40S"), Model.from_config(MODEL)
    base = plan(model, gpu="L40S").setup
    found = bounds(base, in_format(base, SCHEMES["awq"]), requests=1, context=1024, prompt=2048)
    cache = 1025 * 131072

    def read(scheme):
        weights = stored_bytes(model, SCHEMES[scheme])
        return sum(weights.values()) - weights["embedding"] + cache  # one row of the embedding is read

    assert found.decode_alone == pytest.approx(read("bf16") / read("awq"), rel=2e-3)
    assert found.prefill == pytest.approx(1.0, abs=1e-6)
    fp8 = bounds(base, in_format(base, SCHEMES["fp8"]), requests=1, context=1024, prompt=2048)
    assert fp8.prefill == pytest.approx(card.flops["fp8"] / card.flops["bf16"], rel=1e-3)


def test_the_guides_speeds_are_not_those_of_any_load(table):
    """C000-023, C001-005: one number a format. INT8 is told to be slower than 16 bit, and 8 bits less than 4 always."""
    told = often_told(table).set_index(["table", "named"])
    assert told.at[("A", "INT8"), "speed"] == "0.9"
    assert told.at[("A", "INT8"), "bound_low"] > 1.5
    assert table.at["w8a8", "prefill"] > table.at["awq", "prefill"] == 1.0
    assert table.at["w8a8", "decode_alone"] < table.at["awq", "decode_alone"]
    many = methods_map(MODEL, "L40S", concurrency=256, choices=["awq"])
    assert many.at["awq", "decode"] < 1.3 < table.at["awq", "decode"] < table.at["awq", "decode_alone"]


def test_times_as_told_are_below_what_the_memory_can_read():
    """C003-046, C003-047: 2.4 and 1.2 ms a token with 16 requests on an A100, 420 tokens a second for 16 bit."""
    base = plan(MODEL, gpu="A100 80GB SXM").setup
    batch = Batch.decode(np.array([16.0]), np.array([256.0]))
    sixteen, four = (1000 * seconds(one, batch) for one in (base, in_format(base, SCHEMES["awq"])))
    assert (sixteen, four) == (pytest.approx(7.6, abs=0.3), pytest.approx(2.6, abs=0.3))
    assert sixteen > 3 * 2.4
    assert four > 2 * 1.2
    assert 16000 / sixteen > 4 * 420


@pytest.mark.parametrize(
    ("gpu", "units"),
    [
        (
            "A100 80GB SXM",
            {"fp8_dynamic": "16 bit, weights widened", "w8a8": "INT8", "nvfp4": "16 bit, weights widened"},
        ),
        ("H100 SXM", {"fp8_dynamic": "FP8", "fp8_block": "FP8", "nvfp4": "16 bit, weights widened"}),
        ("B200 SXM", {"nvfp4": "FP4", "nvfp4a16": "16 bit, weights widened", "awq": "16 bit, weights widened"}),
        ("V100 SXM2 16GB", {"awq": "", "bnb_nf4": "16 bit, weights widened", "gptq": ""}),
    ],
)
def test_native_or_widened_by_card(gpu, units):
    found = methods_map(MODEL, gpu, choices=list(units))
    assert found.loc[list(units), "multiplies_in"].to_dict() == units
    for word, unit in units.items():
        assert math.isnan(found.at[word, "prefill"]) == (not unit)


def test_what_multiplies_in_16_bit_gains_nothing_in_prefill(table):
    widened = table[table["multiplies_in"].str.startswith("16 bit")]
    assert (widened["prefill"] == 1.0).all()
    assert (table["decode_alone"] >= 1.0 - 1e-9).all()


def test_every_method_says_what_it_does_with_activations():
    """A scheme that multiplies in fewer than 16 bits needs a word; a new method is not taken for 16 bit unsaid."""
    named = {word.split(":")[0] for word in ACTIVATIONS}
    for method in methods().values():
        if SCHEMES[method.scheme].compute != "bf16" and method.id != "nvfp4a16":
            assert method.id in named, method.id
    assert scheme_of(Choice("nvfp4a16")).compute == "bf16"
    assert scheme_of(Choice("nvfp4")).compute == "fp4"
    assert scheme_of(Choice("bnb_nf4", {"bnb_4bit_use_double_quant": True})).id == "nf4_double"
    assert unit_on(hardware.gpu("L40S"), find("gguf"), SCHEMES["q4_k_m"]).startswith("INT8")


# ---------------------------------------------------------------------------------------------- what it lost


def rows():
    lines = data_path("measurements", "quantization_builtin.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def test_our_runs_are_kept_with_source_and_interval():
    kept = rows()
    assert len({row["choice"] for row in kept}) == len(kept) >= 20
    for row in kept:
        assert row["source"]
        assert row["date"]
        assert bool(row["kl_divergence"]) != bool(row["reason"])
        assert Choice.parse(row["choice"]).word == row["choice"]
    for found in losses.measured().values():
        assert found.kl_divergence >= 0
        assert 0 <= found.top1_agreement <= 1
        assert found.low <= found.change <= found.high


def test_the_order_of_the_losses_is_that_of_the_bits():
    """C000-024: a guide has INT8 lose more than any 4-bit format; in our runs 8 bits lose less than 4, and 4 than 2."""
    kl = {word: found.kl_divergence for word, found in losses.measured().items()}
    eight = [kl[word] for word in ("fp8_dynamic", "w8a8", "bnb_int8", "gguf:type=Q8_0", "w8a16")]
    four = [kl[word] for word in ("awq", "gptq", "w4a16_rtn", "bnb_nf4", "gguf", "gguf:type=Q4_0")]
    assert max(eight) < min(four)
    assert max(four) < kl["gguf:type=Q2_K"]
    assert kl["gguf:type=Q8_0"] < kl["gguf:type=Q6_K"] < kl["gguf:type=Q5_K_M"] < kl["gguf"] < kl["gguf:type=Q3_K_M"]


def test_larger_models_lose_more_than_the_built_in_one():
    """What is measured on a small model that learnt little is not what a model that learnt much loses."""
    others, ours = losses.cited(), losses.measured()
    assert set(others["choice"]) <= set(ours)
    for word in ("gguf", "gguf:type=Q2_K"):
        assert ours[word].change < others[others["choice"] == word]["change"].min()
    assert others["source"].str.match(r"(github|arXiv):").all()


def test_own_trials_come_before_ours():
    blocks = [[100, 500.0, 505.0], [100, 510.0, 516.0]]
    told = {"kl_divergence": 0.5, "top1_agreement": 0.6, "seconds_quantising": 3.0, "evaluation": {"blocks": blocks}}
    trials = Trials(data_path(), MODEL)
    trials.rows = [Trial(Choice("awq"), "done", "", told), Trial(Choice("gptq"), "failed", "no")]
    table = methods_map(MODEL, "L40S", choices=["awq", "gptq"], trials=trials)
    assert table.at["awq", "measured_on"] == "own"
    assert table.at["awq", "kl_divergence"] == 0.5
    assert table.at["awq", "change_low"] <= table.at["awq", "change"] == pytest.approx(math.expm1(11 / 200))
    assert table.at["gptq", "measured_on"] != "own"


def test_trials_become_rows_as_they_are_kept():
    blocks = [[100, 500.0, 505.0], [100, 510.0, 516.0]]
    told = {
        "kl_divergence": 0.5, "top1_agreement": 0.6, "seconds_quantising": 3.0, "bits_per_weight": 4.25,
        "bytes_before": 10, "bytes_after": 3, "perplexity_before": 20.0, "perplexity_after": 21.0, "measured_in": "",
        "evaluation": {"blocks": blocks, "tokens": 200, "compared": 200},
    }  # fmt: skip
    made, none = losses.kept_rows(
        [Trial(Choice("awq"), "done", "", told), Trial(Choice("torchao_int4"), "refused", "no GPU")],
        model="m", date="d", source="s",
    )  # fmt: skip
    assert (made["kl_divergence"], made["bytes"], made["measured_in"]) == ("0.5", "3", "transformers, unpacked")
    assert (none["kl_divergence"], none["reason"]) == ("", "no GPU")
    assert tuple(made) == tuple(none) == losses.COLUMNS


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("module", [bounds_module, losses, map_module])
def test_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"gpu": "abacus"}, UnknownName, "abacus"),
        ({"concurrency": 0}, InvalidInput, "at least 1"),
        ({"prompt": 1.5}, InvalidInput, "whole number"),
        ({"choices": ["magic"]}, UnknownName, "magic"),
        ({"model": "Qwen/Qwen3-32B-FP8"}, InvalidInput, "begins at 16 bit"),
    ],
)
def test_what_cannot_be_mapped_is_refused(asked, kind, words):
    with pytest.raises(kind, match=words):
        methods_map(**{"choices": ["awq"], **asked})
