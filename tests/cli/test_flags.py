"""``workbench flags``: a plan's command, and old commands translated."""

import io
import json

import pytest

import workbench as wb
from workbench.cli import main

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture
def pasted(tmp_path):
    def write(text):
        file = tmp_path / "old.txt"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


def test_a_plan_is_printed_as_before(capsys):
    assert main(["flags", LLAMA, "--gpu", "L40S", "--max-model-len", "8192"]) == 0
    assert capsys.readouterr().out == f"vllm serve {LLAMA} --max-model-len 8192\n"


def test_what_is_lost_is_status_1(pasted, capsys):
    file = pasted(f"vllm serve {LLAMA} --swap-space 4 --max-model-len 8192")
    assert main(["flags", "--translate", file, "--to", "0.33.0", "--gpu", "L40S"]) == 1
    said = capsys.readouterr().out
    assert "removed --swap-space 4" in said
    assert "pull/36216" in said
    assert f"\nvllm serve {LLAMA} --max-model-len 8192\n" in said
    assert "on 1 x L40S: fits" in said


def test_what_is_only_renamed_is_status_0(pasted, capsys):
    text = f"LLM(model='{LLAMA}', speculative_model='[ngram]', num_speculative_tokens=3)"
    assert main(["flags", "--translate", pasted(text), "--to", "0.33.0", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (part,) = said["parts"]
    assert said["lost"] == 0
    assert part["words"][-2:] == ["--speculative-config", '{"method": "ngram", "num_speculative_tokens": 3}']
    assert part["plan"]["gpu"] == "1 x L40S"
    assert [change["status"] for change in part["changes"]] == ["renamed", "renamed"]


def test_what_would_not_fit_is_told_so(pasted, capsys):
    file = pasted("vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 2")
    assert main(["flags", "--translate", file, "--gpu", "L40S"]) == 0
    assert "on 2 x L40S: does not fit" in capsys.readouterr().out


def test_what_is_piped_in(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("rate(vllm:gpu_cache_usage_perc[1m]) / vllm:gpu_cache_usage_perc"))
    assert main(["flags", "--translate", "-", "--to", "0.33.0"]) == 0
    assert "vllm:kv_cache_usage_perc" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--translate", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["--to", "0.33.0", LLAMA], "--to belongs to --translate"),
        ([LLAMA, "--translate", "-"], "leave the model"),
        ([], "give a model"),
    ],
)
def test_bad_input_is_status_2(words, said, capsys):
    assert main(["flags", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"hello there", b"\xff\xfe\x00"])
def test_a_file_without_anything_to_translate(content, tmp_path, capsys):
    file = tmp_path / "x.txt"
    file.write_bytes(content)
    assert main(["flags", "--translate", str(file)]) == 2
    assert capsys.readouterr().err.startswith("workbench: ")


def test_the_same_in_python():
    done = wb.translate("vllm serve m --swap-space 4", "0.33.0")
    assert done.version == "0.33.0"
    assert [change.status for change in done.lost] == ["removed"]
    assert json.loads(json.dumps(done.to_dict()))["parts"][0]["command"] == "vllm serve m"
