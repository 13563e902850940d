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
    assert sorted(listed) == ["awq", "fp8_dynamic", "gptq"]
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
    assert "measuring perplexity" in printed.err
    assert main(["quantize", "builtin", "--method", "fp8_dynamic"]) == 2
    assert "exists; choose another folder" in capsys.readouterr().err
