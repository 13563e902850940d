"""Training with rounding in the loop: its gradients are right, and it beats rounding afterwards."""

from __future__ import annotations

import doctest
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench import builtin, jobs
from workbench.errors import InvalidInput
from workbench.theory.quantisation import training as subject
from workbench.theory.quantisation.training import forward, gradients, loss, network, rounded, train

WORKER = Path(__file__).with_name("training_worker.py")


def task(rows=96):
    x = np.linspace(-3, 3, rows)[:, None]
    return x, np.sin(2 * x) + 0.3 * x


def changed(of, kind, at, place, by):
    """The network with one number changed."""
    values = [value.copy() for value in getattr(of, kind)]
    values[at][place] += by
    return replace(of, **{kind: tuple(values)})


# ------------------------------------------------------------------------------------- independent references


@pytest.mark.parametrize("bits", [None, 2, 3])
def test_gradients_are_finite_differences(bits):
    """Straight through the rounding is: of the loss by the rounded weights, as though they were free."""
    dice = np.random.default_rng(0)
    of, (x, y) = network(dice, (1, 7, 5, 1)), task(20)
    found, used, step = gradients(of, x, y, bits), rounded(of, bits), 1e-6
    for kind in ("weights", "biases"):
        for at, derivative in enumerate(getattr(found, kind)):
            for place in np.ndindex(derivative.shape):
                up, down = (loss(changed(used, kind, at, place, by), x, y) for by in (step, -step))
                assert derivative[place] == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-8)


@pytest.mark.environment
@pytest.mark.timeout(900)
def test_torch_differentiates_the_same(tmp_path):
    """C004-006: "Quantize(x) + STE" is no equation; x + stop_gradient(Q(x) - x) is, and torch takes it literally."""
    of, (x, y) = network(np.random.default_rng(1), (1, 16, 16, 1)), task()
    request = {"x": x.tolist(), "y": y.tolist(), "bits": 3}
    request |= {kind: [values.tolist() for values in getattr(of, kind)] for kind in ("weights", "biases")}
    job = jobs.start(
        "torch's autograd", WORKER, request, "quantize", tmp_path / "out", variables=builtin.SLEEP_WHILE_WAITING
    )
    theirs, ours = job.wait(800), gradients(of, x, y, bits=3)
    assert loss(of, x, y, bits=3) == pytest.approx(theirs["loss"], rel=1e-12)
    for kind in ("weights", "biases"):
        for mine, other in zip(getattr(ours, kind), theirs[kind], strict=True):
            assert mine == pytest.approx(np.array(other), rel=1e-9, abs=1e-12)
    assert theirs["bare"] == 0  # through bare rounding nothing would ever learn


# ------------------------------------------------------------------------------------------- what must hold


def test_rounding_is_flat_so_that_its_own_derivative_teaches_nothing():
    of, (x, y) = network(np.random.default_rng(2), (1, 8, 1)), task()
    before = loss(of, x, y, bits=3)
    # The largest weight sets the grid; any other may move a little, and nothing changes.
    largest = np.abs(of.weights[0]).argmax()
    other = (0, 0) if largest != 0 else (1, 0)
    assert loss(changed(of, "weights", 0, other, 1e-9), x, y, bits=3) == before
    assert np.abs(gradients(of, x, y, bits=3).weights[0]).max() > 1e-3


@pytest.mark.parametrize("bits", [2, 3])
def test_training_with_rounding_beats_rounding_afterwards(bits):
    x, y = task()
    afterwards, aware, whole = [], [], []
    for seed in range(3):
        trained = train(network(np.random.default_rng(seed), (1, 16, 16, 1)), x, y, rate=0.02).network
        longer = train(trained, x, y, steps=200).network  # as long as the other, so that only the rounding differs
        whole.append(loss(longer, x, y))
        afterwards.append(loss(longer, x, y, bits=bits))
        aware.append(train(trained, x, y, bits=bits, steps=200).losses[-1])
    assert max(whole) < 0.05
    assert all(one < 0.8 * other for one, other in zip(aware, afterwards, strict=True))
    assert np.mean(aware) < 0.5 * np.mean(afterwards)


def test_the_weights_that_are_used_are_on_the_grid():
    x, y = task(20)
    aware = train(network(np.random.default_rng(0), (1, 8, 1)), x, y, bits=2, steps=20).network
    for weight in rounded(aware, 2).weights:
        assert len(np.unique(np.round(weight, 12))) <= 4
    assert len(np.unique(aware.weights[0])) == 8  # what is trained is not
    assert np.array_equal(forward(aware, x, 2), forward(rounded(aware, 2), x))


def test_no_steps_change_nothing():
    x, y = task(20)
    of = network(np.random.default_rng(0), (1, 8, 1))
    found = train(of, x, y, steps=0)
    assert found.losses == pytest.approx([loss(of, x, y)])
    assert all(np.array_equal(a, b) for a, b in zip(found.network.weights, of.weights, strict=True))


def test_many_bits_train_as_none_do():
    x, y = task(20)
    of = network(np.random.default_rng(0), (1, 8, 1))
    whole, fine = train(of, x, y, steps=50), train(of, x, y, bits=16, steps=50)
    assert fine.losses == pytest.approx(whole.losses, rel=1e-2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": np.ones((4, 2))}, "fit the network"),
        ({"y": np.ones((3, 1))}, "fit the network"),
        ({"steps": -1}, "steps"),
        ({"rate": 0.0}, "rate"),
        ({"bits": 1}, "bits"),
    ],
)
def test_what_cannot_be_used_is_said(change, said):
    asked = {"x": np.ones((4, 1)), "y": np.ones((4, 1))} | change
    with pytest.raises(InvalidInput, match=said):
        train(network(np.random.default_rng(0), (1, 3, 1)), **asked)


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0, 1)])
def test_a_network_has_inputs_and_outputs(sizes):
    with pytest.raises(InvalidInput, match="sizes"):
        network(np.random.default_rng(0), sizes)


def test_examples():
    assert doctest.testmod(subject).failed == 0
