"""Rounding held to the libraries that do it: torch (float8, fake quantisation), bitsandbytes (NF4), torchao (FP4)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from workbench import environments
from workbench.theory.quantisation.blocks import mxfp4, nvfp4
from workbench.theory.quantisation.codebook import edges_of
from workbench.theory.quantisation.float8 import E4M3FN, E5M2
from workbench.theory.quantisation.normal_float import normal_float, quantise_blocks
from workbench.theory.quantisation.uniform import encode, quantise

pytestmark = pytest.mark.environment
FORMATS = {"e4m3": E4M3FN, "e5m2": E5M2}
#: What torch 2.12 and later do with numbers that are too large: 448, and infinity.
SATURATE = {"e4m3": True, "e5m2": False}


@pytest.fixture(scope="module")
def floats() -> np.ndarray:
    """Single-precision patterns drawn evenly, so every exponent is there, and the neighbours of every halfway point."""
    patterns = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)
    halfway = [(each.values()[1:] + each.values()[:-1]) / 2 for each in FORMATS.values()]
    halfway = np.concatenate([*halfway, [464.0, -464.0, 480.0, 61440.0, -61440.0, np.inf, -np.inf, np.nan, -0.0]])
    halfway = halfway.astype(np.float32)
    around = [np.nextafter(halfway, np.float32(side)) for side in (-np.inf, np.inf)]
    return np.concatenate([patterns, halfway, *around])


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    """Some blocks far larger than others, one all 0."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((64, 512)) * np.exp(rng.normal(size=(64, 1)))
    rows[3, 64:128] = 0
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def theirs(floats: np.ndarray, weight: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    environments.ensure("quantize")
    environment = environments.get("quantize")
    folder = tmp_path_factory.mktemp("libraries")
    np.savez(folder / "asked.npz", floats=floats, weight=weight)
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


@pytest.mark.parametrize("name", FORMATS)
def test_every_code_means_what_it_means_to_torch(name, theirs):
    np.testing.assert_array_equal(FORMATS[name].decode(np.arange(256)), theirs[f"{name} values"])


@pytest.mark.parametrize("name", FORMATS)
def test_every_half_becomes_torchs_code(name, theirs):
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(FORMATS[name].encode(halves, saturate=SATURATE[name]), theirs[f"{name} half"])


@pytest.mark.parametrize("name", FORMATS)
def test_every_bfloat16_becomes_torchs_code(name, theirs):
    bfloats = (np.arange(65536, dtype=np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        np.testing.assert_array_equal(FORMATS[name].encode(bfloats, saturate=SATURATE[name]), theirs[f"{name} bfloat"])


@pytest.mark.parametrize("name", FORMATS)
def test_floats_of_every_size_and_around_every_tie_become_torchs_codes(name, floats, theirs):
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(FORMATS[name].encode(floats, saturate=SATURATE[name]), theirs[f"{name} float"])


def test_codes_on_a_given_grid_are_torchs(floats, theirs):
    x = floats[np.isfinite(floats)].clip(-100, 100)
    symmetric = 0.5 * encode(x, 0.5, 0, 4)
    asymmetric = 0.5 * (encode(x, 0.5, 3, 4, symmetric=False) - 3)
    np.testing.assert_array_equal(symmetric, theirs["fake symmetric"])
    np.testing.assert_array_equal(asymmetric, theirs["fake asymmetric"])


def test_scales_and_zero_points_of_channels_are_torchs(weight, theirs):
    mine = quantise(weight, 4, symmetric=False, axis=0)
    np.testing.assert_allclose(mine.scale[:, 0], theirs["observed scale"], rtol=1e-6)
    np.testing.assert_array_equal(mine.zero_point[:, 0], theirs["observed zero point"])


def test_nf4_is_that_of_bitsandbytes(weight, theirs):
    levels = normal_float()
    np.testing.assert_allclose(levels, theirs["nf4 levels"], atol=2e-7)
    mine = quantise_blocks(weight, levels)
    np.testing.assert_allclose(mine.absmax.ravel(), theirs["nf4 absmax"])
    np.testing.assert_array_equal(mine.codes, theirs["nf4 codes"])
    np.testing.assert_allclose(mine.values(), theirs["nf4 values"], rtol=1e-6)  # in single precision


def test_mxfp4_is_that_of_torchao(weight, theirs):
    mine = mxfp4(weight)
    np.testing.assert_array_equal(mine.scales, theirs["mxfp4 scales"])
    np.testing.assert_array_equal(mine.codes, theirs["mxfp4 codes"])


def test_nvfp4_is_that_of_torchao(weight, theirs):
    """Where all of a block is 0, torchao stores the smallest normal scale and we 0: both mean 0."""
    mine = nvfp4(weight, tensor_scale=float(np.abs(weight).max() / np.float32(448 * 6)))
    some = np.abs(weight).reshape(64, -1, 16).max(-1) > 0
    np.testing.assert_array_equal(mine.scales[some], theirs["nvfp4 scales"][some])
    np.testing.assert_array_equal(mine.codes, theirs["nvfp4 codes"])
    assert edges_of(np.unique(mine.values())).size > 100
