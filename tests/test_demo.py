"""The whole loop, for real: plan, AWQ, vLLM, smoke test, comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workbench as wb
from workbench.cli import main
from workbench.demo import demo
from workbench.errors import InvalidInput


@pytest.mark.environment
def test_the_loop_closes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept"
    assert main(["demo", "--json", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert set(result) == {"plan", "quantize", "serve", "comparison"}
    plan = result["plan"]
    assert plan["fits"]
    assert plan["deployment"]["quantization"] == "awq"

    made = result["quantize"]
    assert set(made) == {
        "method",
        "bytes_before",
        "bytes_after",
        "perplexity_before",
        "perplexity_after",
        "seconds",
    }
    assert made["method"] == "awq"
    assert made["bytes_after"] < 0.75 * made["bytes_before"]  # its embedding, half of it, stays as it was
    assert 0.8 < made["perplexity_after"] / made["perplexity_before"] < 1.2
    # Weights on the file's side of the plan: within the rope table and the buffers that only the engine has.
    assert made["bytes_after"] == pytest.approx(plan["memory"]["weights"]["value"], rel=0.05)

    assert set(result["serve"]) == {"ready_seconds", "answer", "tokens_per_s"}
    assert result["serve"]["ready_seconds"] > 0
    assert result["serve"]["tokens_per_s"] > 0
    assert result["serve"]["answer"].strip()

    assert set(result["comparison"]) == {"kv_cache_bytes", "kv_cache_tokens"}
    for quantity, found in result["comparison"].items():
        assert set(found) == {"planned", "reported"}, quantity
        assert found["planned"] == found["reported"] > 0, quantity
    assert result["comparison"]["kv_cache_tokens"]["planned"] == plan["memory"]["kv_cache_tokens"]["value"]

    for step in ("1 plan", "2 quantise", "3 serve", "4 try", "5 compare"):
        assert step in printed.err
    # What was kept can be used again: the plan reads back, the model is what was planned.
    assert wb.Plan.read(out / "plan.json").to_dict() == plan
    assert wb.Model.from_config(out / "builtin-awq").quantization_config is not None
    assert json.loads((out / "builtin-awq" / "workbench.json").read_text())["result"]["method"] == "awq"

    assert main(["demo", "--out", str(out)]) == 2
    assert "holds something already" in capsys.readouterr().err
    assert (out / "builtin-awq" / "model.safetensors").is_file()


def test_a_demo_that_is_broken_off_keeps_nothing(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"

    def interrupt(_: str) -> None:
        assert (out / "plan.json").is_file()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo(out, interrupt)
    assert not out.exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="holds something already"):
        demo(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(InvalidInput, match="holds something already"):
        demo(tmp_path / "mine.txt")
