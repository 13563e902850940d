"""The command: exit statuses, one line on stderr, JSON that reads back."""

import json
import subprocess
import sys

import pytest

from workbench.cli import main

SEVENTY = "meta-llama/Llama-3.1-70B-Instruct"


def run(*words):
    return subprocess.run([sys.executable, "-m", "workbench", *words], capture_output=True, text=True, timeout=120)


def test_a_plan_that_does_not_fit(capsys):
    status = main(
        ["plan", SEVENTY, "--gpu", "L40S", "--tensor-parallel-size", "2", "--max-model-len", "8192", "--json"]
    )
    data = json.loads(capsys.readouterr().out)
    assert status == 1
    assert data["fits"] is False
    assert data["verdict"] == "oom_loading"
    assert data["reasons"]
    assert data["fixes"]


def test_a_plan_that_fits(capsys):
    assert main(["plan", SEVENTY, "--gpu", "L40S", "--tensor-parallel-size", "4", "--max-model-len", "8192"]) == 0
    assert "fits" in capsys.readouterr().out


def test_a_plan_for_another_engine(tmp_path, capsys):
    words = ["plan", "builtin", "--gpu", "cpu", "--engine", "llama.cpp", "--quantization", "q8_0"]
    assert main(words) == 0
    assert "builtin on 1 x cpu, GGUF Q8_0, llama.cpp: fits" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    file = tmp_path / "plan.json"
    file.write_text(capsys.readouterr().out)
    assert main(["serve", "--plan", str(file)]) == 2
    assert "llama.cpp loads GGUF files and builtin-q8_0 is none: make one" in capsys.readouterr().err
    assert main(["plan", "builtin", "--gpu", "L40S", "--engine", "sglang", "--json"]) == 0
    file.write_text(capsys.readouterr().out)
    assert main(["serve", "--plan", str(file)]) == 2
    assert "started with its own command" in capsys.readouterr().err


def test_a_length_that_does_not(capsys):
    assert main(["plan", SEVENTY, "--gpu", "L40S", "--tensor-parallel-size", "4", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["verdict"] == "max_model_len_too_large"
    assert any("max_model_len" in fix["change"] for fix in data["fixes"])


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "nonsense/none"),
        ("plan", SEVENTY, "--gpu", "L41S"),
        ("plan", SEVENTY, "--max-model-len", "many"),
        ("plan",),
        ("plan", SEVENTY, "--plan", "also.json"),
        ("frobnicate",),
    ],
)
def test_bad_input_is_one_line_and_status_2(words):
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("workbench: ")


def test_a_plan_file_feeds_the_next_verb(tmp_path, capsys):
    main(["plan", "meta-llama/Llama-3.1-8B-Instruct", "--max-model-len", "8192", "--json"])
    (tmp_path / "plan.json").write_text(capsys.readouterr().out)
    assert main(["flags", "--plan", str(tmp_path / "plan.json")]) == 0
    assert capsys.readouterr().out == "vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 8192\n"


def test_search_gpus_and_models(capsys):
    words = [
        "search",
        SEVENTY,
        "--gpu",
        "L40S",
        "H100 SXM",
        "--tensor-parallel-size",
        "4",
        "8",
        "--quantization",
        "none",
        "awq",
    ]
    assert main([*words, "--max-model-len", "8192", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["evaluated"] == 8
    assert len(data["rows"]) + sum(data["rejected"].values()) == 8
    assert main(["gpus", "--json"]) == 0
    assert any(row["name"] == "L40S" for row in json.loads(capsys.readouterr().out))
    assert main(["models"]) == 0
    assert "Llama-3.1-8B" in capsys.readouterr().out


def test_a_reader_that_stops_early_is_no_error():
    words = [sys.executable, "-m", "workbench", "models"]
    models = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    models.stdout.close()
    assert models.stderr.read() == b""
    models.wait(60)
