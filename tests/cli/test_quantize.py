"""``workbench quantize``: the list, bad input in one line, a real run."""

import json

import pytest

from workbench import builtin
from workbench.cli import main


def test_the_list_names_every_parameter_with_its_default(capsys):
    assert main(["quantize", "--list"]) == 0
    text = capsys.readouterr().out
    assert "--set q_group_size=128" in text
    assert "--set damp_percent=0.01" in text
    assert main(["quantize", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"awq", "awq_w4a16", "fp8_dynamic", "fp8_static", "gguf", "gptq", "w8a8"} <= set(listed)
    assert {"name": "w_bit", "type": "int", "default": 4, "accepts": "4",
            "doc": "Bits of a weight; AutoAWQ packs 4 only."} in listed["awq"]["parameters"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give a model"),
        (["builtin", "--method", "awk"], "did you mean 'awq'"),
        (["builtin", "--set", "group_size=64"], "did you mean 'q_group_size'"),
        (["builtin", "--set", "q_group_size=65"], "32, 64 or 128"),
        (["builtin", "--set", "q_group_size"], "NAME=VALUE"),
        (["builtin", "--set", "w_bit=4", "--set", "w_bit=4"], "given twice"),
        (["builtin", "--data", "none.csv"], "there is no file"),
        (["builtin", "--data", "none.json"], "give a .txt, .jsonl or .csv file, the folder of a data set, or"),
        (["builtin", "--method", "fp8_dynamic", "--chat"], "needs no calibration text; leave chat out"),
        (["acme/none-of-such-a-name"], "is not on this machine"),
        (["./nowhere"], "there is no folder"),
        (["builtin", "--method", "awq", "--method", "awq:w_bit=4"], "chosen twice"),
        (["builtin", "--method", "all", "--set", "w_bit=4"], "write METHOD:NAME=VALUE"),
        (["builtin", "--task", "x", "--evaluate-tokens", "0"], "leave evaluate_tokens above 0"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert main(["quantize", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_script_for_model_optimizer_is_printed_and_says_that_it_was_not_run(capsys):
    assert main(["quantize", "a/model", "--recipe", "nvfp4", "--out", "x'y"]) == 0
    script = capsys.readouterr().out
    compile(script, "recipe", "exec")
    assert "NOT RUN" in script
    assert "mtq.NVFP4_DEFAULT_CFG" in script
    assert main(["quantize", "a/model", "--recipe", "q4_k_m"]) == 2


@pytest.mark.environment
@pytest.mark.timeout(1800)
def test_a_real_run_prints_what_came_out(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    builtin.ensure()
    assert main(["quantize", "builtin", "--method", "fp8_dynamic", "--evaluate-tokens", "1024", "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["out"] == str(tmp_path / "builtin-fp8-dynamic")
    assert {
        "method",
        "bytes_before",
        "bytes_after",
        "perplexity_before",
        "perplexity_after",
        "seconds",
    } <= set(result)
    assert "measuring the original" in printed.err
    assert main(["quantize", "builtin", "--method", "fp8_dynamic"]) == 2
    assert "exists; choose another folder" in capsys.readouterr().err


@pytest.mark.environment
@pytest.mark.timeout(1800)
def test_two_side_by_side_one_of_them_refused(capsys, tmp_path):
    builtin.ensure()
    words = ["--method", "fp8_dynamic", "--method", "gptq:ignore=re:.*", "--out", str(tmp_path / "tried"), "--no-load"]
    assert main(["quantize", "builtin", *words, "--evaluate-tokens", "512", "--task", "what_comes_next"]) == 0
    printed = capsys.readouterr().out
    assert "gptq:ignore=re:.*: refused:" in printed
    assert "no linear module is left" in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("fp8_dynamic")]
    assert " 8.05 " in line
    kept = json.loads((tmp_path / "tried" / "trials.json").read_text())
    (task,) = [row["result"]["tasks"] for row in kept["trials"] if row["outcome"] == "done"]
    told = task["what_comes_next"]
    assert told["questions"] == 200
    assert 0.2 < told["before"] < 0.6
    assert abs(told["after"] - told["before"]) < 3 * told["before_error"]
