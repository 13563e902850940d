"""Pruning held to the libraries that do it: torch's masks and 2:4 storage, llm-compressor's Wanda and SparseGPT."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from workbench import environments
from workbench.theory.pruning import wanda
from workbench.theory.pruning.magnitude import all_layers_together, keep_highest
from workbench.theory.pruning.patterns import TWO_OF_FOUR, pack
from workbench.theory.pruning.sparsegpt import hessian, prune

pytestmark = pytest.mark.environment
QUIET = 0.3
CHOICES = {"half": 0.5, "2:4": TWO_OF_FOUR}


@pytest.fixture(scope="module")
def layer() -> tuple[np.ndarray, np.ndarray]:
    """A weight and inputs of a few common causes, one of them loud; in single precision, as the libraries compute."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(512, 40)) @ generator.normal(size=(40, 128)) + generator.normal(size=(512, 128))
    x[:, 7] *= 20
    return generator.normal(size=(48, 128)).astype(np.float32), x.astype(np.float32)


@pytest.fixture(scope="module")
def patterned() -> np.ndarray:
    """Whole numbers from -9 to 9 without 0, two of four."""
    generator = np.random.default_rng(1)
    values = generator.integers(1, 10, (64, 128)) * generator.choice([-1, 1], (64, 128))
    return np.where(TWO_OF_FOUR.mask(generator.random(values.shape)), values, 0)


@pytest.fixture(scope="module")
def theirs(layer, patterned, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    environments.ensure("quantize")
    environment = environments.get("quantize")
    folder = tmp_path_factory.mktemp("libraries")
    np.savez(folder / "asked.npz", w=layer[0], x=layer[1], patterned=patterned, quiet=np.float32(QUIET))
    worker = Path(__file__).with_name("libraries_worker.py")
    done = subprocess.run(
        [environment.python, worker, folder / "asked.npz", folder / "answers.npz"],
        capture_output=True,
        text=True,
        check=False,
        env=environment.environ(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(folder / "answers.npz"))


def test_magnitude_is_torchs(theirs, layer):
    w = layer[0]
    assert np.array_equal(theirs["magnitude"], keep_highest(np.abs(w), 0.3))
    together = all_layers_together({"first": w, "second": np.float32(QUIET) * w[:, :16]}, 0.3)
    assert np.array_equal(theirs["together first"], together["first"])
    assert np.array_equal(theirs["together second"], together["second"])


def test_torchs_removed_channels_stay_and_say_their_bias(theirs, layer):
    """What document 003 calls removing half of the channels: a mask over the weight of a layer that has a bias."""
    w, _ = layer
    gone = ~theirs["channels"].any(axis=1)
    assert gone.sum() == 24
    assert set(np.flatnonzero(gone)) == set(np.argsort(np.linalg.norm(w, axis=1))[:24])
    assert theirs["channels said"].shape[1] == 48
    assert (theirs["channels said"][:, gone] == 1.0).all()


@pytest.mark.parametrize("choice", CHOICES)
def test_wanda_is_llm_compressors(theirs, layer, choice):
    w, x = layer
    assert np.array_equal(theirs[f"wanda {choice}"], np.where(wanda.mask(w, x, CHOICES[choice]), w, 0))


def test_sparsegpt_2_4_is_llm_compressors(theirs, layer):
    w, x = layer
    # They divide by the number of samples, of which all tokens are one: a factor that dampening is relative to.
    assert theirs["hessian"] == pytest.approx(hessian(x) * len(x), rel=1e-4, abs=1)
    ours = prune(w, x, TWO_OF_FOUR, dampening=0.01)
    assert np.array_equal(theirs["sparsegpt 2:4"] != 0, ours.kept)
    assert theirs["sparsegpt 2:4"] == pytest.approx(ours.weight, rel=1e-3, abs=1e-4)
    assert theirs["sparsegpt 2:4 loss"] == pytest.approx(ours.errors.sum() * len(x), rel=1e-3)


def test_sparsegpt_anywhere_is_llm_compressors_but_for_one_weight_a_block(theirs, layer):
    """They let go of the weight at the threshold too: one more a block, and its row then differs."""
    w, x = layer
    ours = prune(w, x, 0.5, block=64, dampening=0.01)
    found = theirs["sparsegpt half"]
    first = slice(0, 64)
    assert ((found != 0)[:, first] != ours.kept[:, first]).sum() == 1
    alike = ((found != 0) == ours.kept).all(axis=1)
    assert alike.sum() >= len(w) - 4
    assert found[alike] == pytest.approx(ours.weight[alike], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("kind", "dtype"), [("torch.float16", np.float16), ("torch.int8", np.int8)])
def test_2_4_is_stored_as_torch_stores_it(theirs, patterned, kind, dtype):
    """Values and two-bit positions to the byte, before CUTLASS puts the latter in the order of its own."""
    packed = pack(patterned.astype(dtype))
    assert np.array_equal(theirs[f"values {kind}"], packed.values)
    assert np.array_equal(theirs[f"metadata {kind}"], packed.metadata)
