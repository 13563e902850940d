"""How long a job will take is said before it begins: what grows with what, and no method without a figure."""

import math

import pytest
from tiny_checkpoints import llama_config, llama_shapes, write

from workbench import machine
from workbench.quantizers import check, methods
from workbench.quantizers.duration import SPREAD, Parts, gflops_here, parts


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "model", llama_config(), llama_shapes())


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(machine, "has_usable_gpu", lambda: False)


def test_every_method_has_its_figures():
    assert set(parts()) == {*methods(), "measuring"}
    assert all(each.fixed > 0 and each.gflops > 0 for each in parts().values())


def test_it_grows_with_text_and_measuring(model, tmp_path):
    def seconds(method, **more):
        parameters = {name: more.pop(name) for name in list(more) if name.startswith(("num_", "max_"))}
        return check(model, method, parameters, tmp_path / "out", **more).seconds

    few = seconds("gptq", num_calibration_samples=16, evaluate_tokens=0)
    many = seconds("gptq", num_calibration_samples=512, evaluate_tokens=0)
    assert few.value < many.value
    assert many.value == pytest.approx(math.sqrt(many.low * many.high))
    assert many.high / many.value == pytest.approx(SPREAD)
    assert seconds("gptq", num_calibration_samples=16).value > few.value
    assert seconds("fp8_dynamic", evaluate_tokens=0).value < few.value


def test_a_faster_processor_is_faster_but_loads_no_quicker():
    made = Parts(10.0, 100.0, 20.0, 0.01, 100.0)
    slow, fast = (made.seconds(1.0, 1.0, 100, rate) for rate in (50.0, 200.0))
    assert slow - 10 == pytest.approx(4 * (fast - 10))
    assert gflops_here() > 0.1


def test_of_a_gpu_nothing_is_said(model, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "has_usable_gpu", lambda: True)
    assert check(model, "fp8_dynamic", {}, tmp_path / "out").seconds is None
