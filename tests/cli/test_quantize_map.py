"""``workbench quantize --map``."""

from __future__ import annotations

import json

import pytest

from workbench.cli import main


def test_the_map_is_a_table(capsys):
    assert main(["quantize", "--map", "--gpu", "L40S"]) == 0
    out = capsys.readouterr().out
    assert "meta-llama/Llama-3.1-8B-Instruct on L40S" in out
    assert "not measured" in out
    (row,) = (line for line in out.splitlines() if line.startswith("awq "))
    assert row.split()[1:3] == ["4.16", "5.71"]
    assert row.endswith("16 bit, weights widened")


def test_the_map_as_json_names_what_was_asked(capsys):
    assert main(["quantize", "Qwen/Qwen3-0.6B", "--map", "--gpu", "T4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["gpu"]) == ("Qwen/Qwen3-0.6B", "T4")
    by_choice = {row["choice"]: row for row in found["methods"]}
    assert by_choice["bf16"]["decode"] == 1.0
    assert by_choice["mxfp4"]["multiplies_in"] == ""
    assert by_choice["mxfp4"]["prefill"] is None


@pytest.mark.parametrize("words", [["--gpu", "abacus"], ["no/such-model"]])
def test_what_cannot_be_mapped_is_one_line(words, capsys):
    assert main(["quantize", "--map", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
