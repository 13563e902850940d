"""The file that keeps what was tried."""

import json
import math

import pytest

from workbench.errors import InvalidInput
from workbench.trials import Choice, Trial, open_folder
from workbench.trials.record import Answer


def result(size, divergence, nll=(300.0, 300.0, 320.0), after=(303.0, 303.0, 323.2)):
    blocks = [[100, one, other] for one, other in zip(nll, after, strict=True)]
    return {
        "bytes_after": size, "kl_divergence": divergence, "perplexity_before": 20.0, "perplexity_after": 20.6,
        "evaluation": {"blocks": blocks}, "layer_errors": [0.1, 0.2], "out": "/x",
    }  # fmt: skip


def test_what_is_added_is_there_again(tmp_path):
    tried = open_folder(tmp_path / "new")
    tried.model = "builtin"
    assert tried.frame().empty
    tried.add(Trial(Choice("awq"), "failed", "out of memory"))
    tried.add(Trial(Choice("gptq", {"bits": 8}), "done", "", result(800, 0.01)))
    answers = (Answer("vllm", True, "ok", 20.0, "0.32.0"), Answer("transformers", False, "no kernel"))
    tried.add(Trial(Choice("awq"), "done", "", result(500, 0.05), answers))
    again = open_folder(tmp_path / "new")
    assert again.rows == tried.rows
    assert [row.choice.word for row in again.rows] == ["awq", "gptq:bits=8"]
    assert again.rows[0].loads_in == ["vllm"]
    table = again.frame().set_index("label")
    assert table.loc["awq", "layer_error"] == 0.2
    assert table.loc["awq", "change"] == pytest.approx(math.expm1((3 + 3 + 3.2) / 300))
    assert table.loc["awq", "change_low"] <= table.loc["awq", "change"] <= table.loc["awq", "change_high"]


def test_the_front_is_what_nothing_else_beats(tmp_path):
    tried = open_folder(tmp_path)
    for bits, (size, divergence) in zip((32, 64, 128), ((500, 0.05), (510, 0.06), (900, 0.001)), strict=True):
        tried.add(Trial(Choice("awq", {"q_group_size": bits}), "done", "", result(size, divergence)))
    tried.add(Trial(Choice("gptq"), "refused", "too big"))
    assert list(tried.frame()["front"]) == [True, False, True, False]


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "cannot be read"), ("[]", "no file of trials"), ('{"schema_version": 99}', "later workbench"),
     ('{"schema_version": 1, "model": "x", "trials": [{}]}', "no file of trials")],
)  # fmt: skip
def test_a_damaged_file_is_not_overwritten(tmp_path, content, says):
    (tmp_path / "trials.json").write_text(content)
    with pytest.raises(InvalidInput, match=says):
        open_folder(tmp_path)
    assert (tmp_path / "trials.json").read_text() == content


def test_the_file_is_plain_json(tmp_path):
    tried = open_folder(tmp_path)
    tried.add(Trial(Choice("awq"), "done", "", result(1, 0.1)))
    fields = json.loads((tmp_path / "trials.json").read_text())
    assert fields["trials"][0]["method"] == "awq"
    assert list(tmp_path.iterdir()) == [tmp_path / "trials.json"]
