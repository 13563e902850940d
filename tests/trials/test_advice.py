"""Which method, as a consequence of fit, speed and measured losses."""

import json
import math

import pytest

import workbench as wb
from workbench.cli import main
from workbench.errors import UnknownName
from workbench.trials import Choice, Trial, Trials, every, which_method

SMALL, LARGE = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"


def by_word(found):
    return {one.word: one for one in found}


def test_every_method_is_judged_and_the_best_is_first():
    found = which_method(SMALL, "L40S", max_model_len=8192)
    assert {one.word for one in found} == {choice.word for choice in every()} | {""}
    suits = [one for one in found if one.suits]
    assert suits == found[: len(suits)]
    speeds = [one.output_tokens_per_s for one in suits]
    assert speeds == sorted(speeds, reverse=True)
    assert all(one.against for one in found if not one.suits)
    assert all(one.why for one in suits if one.word)


def test_figures_are_those_of_a_plan():
    fp8 = by_word(which_method(SMALL, "L40S", max_model_len=8192))["fp8_dynamic"]
    plan = wb.plan(SMALL, "L40S", max_model_len=8192, quantization="fp8")
    assert fp8.tpot == plan.performance().tpot.value
    assert fp8.kv_cache_tokens == plan.memory.kv_cache_tokens.value


def test_a_stricter_floor_leaves_fp8_and_none_leaves_the_checkpoint():
    strict = [one.word for one in which_method(SMALL, "L40S", floor="unmeasurable", max_model_len=8192) if one.suits]
    assert strict == ["fp8_dynamic", ""]
    none = [one.word for one in which_method(SMALL, "L40S", floor="none", max_model_len=8192) if one.suits]
    assert none == [""]
    with pytest.raises(UnknownName, match="floor"):
        which_method(SMALL, "L40S", floor="tiny")


def test_seventy_billion_on_two_cards_go_in_four_bits():
    found = by_word(which_method(LARGE, "L40S", tensor_parallel_size=2, max_model_len=4096))
    assert not found[""].suits
    assert found["gptq"].suits
    assert "starts where the checkpoint as it is does not" in found["gptq"].why


def test_what_an_engine_does_not_load_or_a_card_cannot_run():
    found = by_word(which_method(SMALL, "V100", max_model_len=8192))
    assert any("compute capability 7.5" in reason for reason in found["fp8_dynamic"].against)
    assert any("vllm does not load it" in reason for reason in found["bnb_nf4"].against)
    assert any(
        "neither smaller nor faster" in reason for reason in by_word(which_method(SMALL, "L40S"))["wanda"].against
    )


def test_own_measurements_come_first(tmp_path):
    def tried(rise):
        nll = [300.0 + i % 3 for i in range(32)]
        blocks = [[100, one, one + 100 * math.log1p(rise)] for one in nll]
        trials = Trials(tmp_path, "x")
        trials.rows = [
            Trial(Choice(method), "done", "", {"evaluation": {"blocks": blocks}}) for method in ("nvfp4a16", "awq")
        ]
        return by_word(which_method(SMALL, "L40S", trials=trials, max_model_len=8192))

    good, bad = tried(0.02), tried(0.08)
    assert good["nvfp4a16"].suits
    assert "+2.00%" in good["nvfp4a16"].loss
    assert not bad["awq"].suits
    assert "measured here" in bad["awq"].against[0]


def test_the_command_line_says_it(capsys):
    assert main(["quantize", SMALL, "--advise", "--gpu", "L40S", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["suits"]
    assert main(["quantize", SMALL, "--advise"]) == 2
    assert "--gpu L40S" in capsys.readouterr().err
    assert main(["quantize", SMALL, "--advise", "--gpu", "L40S", "--floor", "unmeasurable"]) == 0
    assert capsys.readouterr().out.startswith("yes FP8")
