"""The panel of methods side by side, without a page."""

from types import SimpleNamespace

import pytest
import traitlets
from tiny_checkpoints import llama_config, llama_shapes, write

from workbench.errors import WorkbenchError
from workbench.progress import Progress
from workbench.trials import Choice, Trial, open_folder
from workbench.trials.series import Step
from workbench.ui import MethodsPanel, TrialsChart
from workbench.ui.trials_chart import figure


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "model", llama_config(), llama_shapes(intermediate=576))


def result(size, divergence, out="/x"):
    return {
        "bytes_after": size, "bytes_estimated": size, "bits_per_weight": 4.5, "bits_estimated": 4.5, "out": out,
        "kl_divergence": divergence, "top1_agreement": 0.9, "perplexity_before": 20.0, "perplexity_after": 21.0,
        "evaluation": {"blocks": [[100, 300.0, 305.0], [100, 310.0, 315.0]]}, "layer_errors": [0.1], "seconds": 3.0,
    }  # fmt: skip


def test_what_each_method_will_need_is_said_before_anything_runs(model, tmp_path):
    panel = MethodsPanel(model, ["fp8_dynamic"], tmp_path / "tried")
    rows = {row["word"]: row for row in panel.preflight}
    assert rows["fp8_dynamic"]["bytes"] > 0
    assert 8 < rows["fp8_dynamic"]["bits"] < 8.5
    assert "group size 128 does not divide" in rows["gptq"]["against"]
    assert "archived" in rows["awq"]["note"]
    assert not (tmp_path / "tried").exists()
    panel.choice = {"gpu": "V100"}
    assert "compute capability" in {row["word"]: row for row in panel.preflight}["fp8_dynamic"]["against"]
    assert f"wb.try_methods('{model}', ['fp8_dynamic']" in panel.python
    assert "gpu='V100'" in panel.python


def test_what_suits_the_card_is_said_with_reasons(tmp_path):
    panel = MethodsPanel("meta-llama/Llama-3.1-8B-Instruct", ["awq"], tmp_path / "tried")
    assert panel.advice == []
    panel.choice = {"gpu": "L40S"}
    assert len(panel.advice) == 3
    assert all(one["why"] for one in panel.advice if one["word"])
    assert panel.preflight[0]["bytes"] is None  # not on this machine


@pytest.mark.parametrize(
    ("change", "says", "field"),
    [
        ({"model": " "}, "Name a model", "model"),
        ({"model": "./nothing/here"}, "no folder", "model"),
        ({"gpu": "L99"}, "L99", "gpu"),
        ({"methods": ["awk"]}, "awk", "methods"),
        ({"methods": ["awq:w_bit=3"]}, "w_bit", "methods"),
        ({"load": 1}, "yes or no", "load"),
        ({"colour": "red"}, "no 'colour'", "colour"),
    ],
)
def test_what_cannot_be_chosen_is_told_at_its_field(model, tmp_path, change, says, field):
    panel = MethodsPanel(model, ["awq"], tmp_path / "tried")
    before = panel.choice
    with pytest.raises(traitlets.TraitError, match=says):
        panel.choice = change
    assert panel.choice == before
    assert panel.set_state({"choice": {**before, **change}}) is True
    assert says in panel.problems[field]


def test_parameters_of_ones_own_are_added_and_checked_before_anything_runs(model, tmp_path):
    panel = MethodsPanel(model, ["fp8_dynamic"], tmp_path / "tried")
    usual = len(panel.preflight)
    panel.add("awq:q_group_size=64, w_bit=4")
    assert panel.choice["methods"] == ["fp8_dynamic", "awq:q_group_size=64"]
    assert len(panel.preflight) == usual + 1
    assert panel.preflight[-1]["bytes"] > 0
    assert {"name": "q_group_size", "default": "128"}.items() <= panel.preflight[-1]["parameters"][1].items()
    with pytest.raises(traitlets.TraitError, match="chosen already"):
        panel.add("awq:q_group_size=64")
    panel._asked(None, {"action": "add", "arguments": {"word": "awq:q_group_size=7"}}, None)
    assert "q_group_size" in panel.problems["methods"]
    assert panel.choice["methods"] == ["fp8_dynamic", "awq:q_group_size=64"]
    panel.choice = {"gpu": "L40S"}
    assert panel.preflight[-1]["word"] == "awq:q_group_size=64"  # what is chosen stays in the list


def test_what_was_tried_another_day_is_shown(model, tmp_path):
    tried = open_folder(tmp_path / "tried")
    tried.add(Trial(Choice("awq"), "done", "", result(500, 0.05, "/made/awq")))
    tried.add(Trial(Choice("gptq"), "failed", "no memory"))
    tried.add(Trial(Choice("fp8_dynamic"), "done", "", result(900, 0.001)))
    panel = MethodsPanel(model, ["awq"], tmp_path / "tried")
    assert [row["label"] for row in panel.rows if row["outcome"] == "done"] == ["awq", "fp8_dynamic"]
    assert all(row["front"] for row in panel.rows if row["outcome"] == "done")
    panel.pick("awq")
    assert panel.picked == "/made/awq"
    with pytest.raises(WorkbenchError, match="no result of gptq"):
        panel.pick("gptq")
    chart = TrialsChart(panel)
    (shown,) = chart.children
    assert list(shown.data[1].text) == ["awq", "fp8_dynamic"]
    panel.choice = {"folder": str(tmp_path / "another")}
    assert panel.rows == []
    assert chart.children[0] is not shown


def test_a_series_is_followed(model, tmp_path):
    panel = MethodsPanel(model, ["awq"], tmp_path / "tried")
    steps = [Step(Choice("awq"), "running", Progress(0.5, "quantising")), Step(Choice("gptq"))]
    cancelled = []
    series = SimpleNamespace(
        steps=steps, trials=panel.trials, observe=lambda call: lambda: None, running=True, cancel=cancelled.append
    )
    panel.watch(series)
    panel._follow()
    assert [step["status"] for step in panel.steps] == ["running", "queued"]
    assert panel.steps[0]["progress"]["fraction"] == 0.5
    panel.cancel("gptq")
    assert cancelled == ["gptq"]
    with pytest.raises(WorkbenchError, match="being tried already"):
        panel.start()


def test_the_chart_of_one_that_lost_nothing():
    rows = [{"title": "A <b>", "label": "a", "bytes": 2**30, "bits": 16.0, "kl_divergence": 0.0, "top1_agreement": 1.0,
             "change": None, "loads_in": "", "front": True}]  # fmt: skip
    drawn = figure(rows)
    assert drawn.layout.xaxis.title.text == "Tensors on disk [GiB]"
    assert drawn.data[1].y[0] > 0
    assert "&lt;b>" in drawn.data[1].customdata[0]
