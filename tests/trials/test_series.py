"""Methods really tried, one after the other."""

import pytest

import workbench as wb
from workbench import builtin
from workbench.errors import InvalidInput
from workbench.quantizers.source import read
from workbench.trials import Choice, open_folder

pytestmark = [pytest.mark.environment, pytest.mark.timeout(1800)]

FEW = {"num_calibration_samples": 8, "max_seq_length": 64}


@pytest.fixture(scope="module")
def model():
    return builtin.ensure()


def test_one_is_done_one_refused_one_cancelled(model, tmp_path):
    choices = [Choice("fp8_dynamic"), Choice("gptq", {**FEW, "group_size": 128, "ignore": ["re:.*"]}), Choice("awq")]
    series = wb.try_methods("builtin", choices, tmp_path, load=False, evaluate_tokens=512)
    assert series.running
    series.cancel("awq")
    tried = series.wait(900)
    assert [step.status for step in series.steps] == ["done", "refused", "cancelled"]
    assert "no linear module is left" in series.steps[1].reason
    table = tried.frame().set_index("method")
    assert list(table.index) == ["fp8_dynamic", "gptq"]
    done = table.loc["fp8_dynamic"]
    assert done["bytes"] == read(tmp_path / "fp8_dynamic").bytes == done["bytes_estimated"]
    assert done["bits"] == pytest.approx(done["bits_estimated"])
    assert done["kl_divergence"] > 0
    assert 0.8 < done["top1_agreement"] < 1
    assert done["loads_in"] == ""
    assert open_folder(tmp_path).rows == tried.rows
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fp8_dynamic", "trials.json"]
    # Another day: what is there stays, and another model does not get in.
    again = wb.try_methods("builtin", "fp8_dynamic", tmp_path, load=False, evaluate_tokens=0)
    assert "exists; choose another folder" in again.wait(60).rows[0].reason
    with pytest.raises(InvalidInput, match="holds trials of builtin"):
        wb.try_methods(model, "awq", tmp_path)


def test_a_running_one_is_cancelled_and_leaves_nothing(model, tmp_path):
    series = wb.try_methods("builtin", ["awq", Choice("fp8_dynamic")], tmp_path, load=False, evaluate_tokens=0)

    def stop(running):
        if running.steps[0].progress.stage == "quantising":
            running.cancel("awq")

    series.observe(stop)
    series.wait(900)
    assert [step.status for step in series.steps] == ["cancelled", "done"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fp8_dynamic", "trials.json"]


@pytest.mark.soak
@pytest.mark.timeout(7300)
def test_every_method_runs_and_is_loaded(model, tmp_path):
    tried = wb.try_methods("builtin", "all", tmp_path, evaluate_tokens=4096).wait(7200)
    table = tried.frame().set_index("label")
    failed = table[table["outcome"] != "done"]
    assert failed["reason"].map(bool).all()
    done = table[table["outcome"] == "done"]
    assert len(done) >= 12
    assert (abs(done["bytes"] / done["bytes_estimated"] - 1) < 0.01).all()
    assert (abs(done["bits"] / done["bits_estimated"] - 1) < 0.01).all()
    for method in ("awq", "gptq", "w8a8", "fp8_dynamic"):
        assert "vllm" in done.loc[method, "loads_in"]
    for kind in ("gguf:type=Q8_0", "gguf"):
        assert "llama.cpp" in done.loc[kind, "loads_in"]
    for label in ("gguf:type=Q8_0", "w8a8", "fp8_dynamic"):
        assert abs(done.loc[label, "change"]) < 0.01, label
    results = [row.result for row in tried.rows if row.outcome == "done"]
    told = [r for r in results if r["seconds_estimated"]]
    inside = [r["seconds_estimated"]["low"] <= r["seconds"] <= r["seconds_estimated"]["high"] for r in told]
    assert sum(inside) >= 0.8 * len(told)
