"""Rates of kernels from timed kernels: the law is found again, and what cannot be read is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.calibration.kernels import fit_kernel, fit_kernels
from workbench.datafiles import data_path
from workbench.errors import InvalidInput
from workbench.hardware import gpu
from workbench.performance.kernels import collective, kernel
from workbench.performance.roofline import grouped_time, operator_time


@given(bandwidth=st.floats(0.3, 1.0), compute=st.floats(0.1, 1.0), fixed=st.floats(1e-6, 5e-5), grouped=st.booleans())
@settings(max_examples=15, deadline=None)
def test_the_law_is_found_again(bandwidth, compute, fixed, grouped):
    rng = np.random.default_rng(1)
    moved, flops = 10 ** rng.uniform(5, 10, 200), 10 ** rng.uniform(8, 14, 200)
    law = grouped_time if grouped else operator_time
    seconds = law(moved, flops, bandwidth * 3e12, compute * 1e15) + fixed
    found, error = fit_kernel(moved, flops, seconds, 3e12, 1e15, grouped=grouped)
    assert found == pytest.approx([bandwidth, compute, fixed], rel=0.02)
    assert error < 0.01


def test_no_fraction_beyond_the_card():
    """Kernels timed with warm caches look faster than memory; the fit stops at the datasheet."""
    moved = np.geomspace(1e6, 1e9, 50)
    found, _ = fit_kernel(moved, moved, moved / 6e12 + 3e-6, 3e12, 1e15)
    assert found[0] == pytest.approx(1.0)


def test_our_own_cited_kernels_are_read():
    """cuBLAS and FlashInfer on an H200, timed by others with the L2 cleared; see data/measurements/README.md."""
    found = {
        (fit.operator, fit.format): fit for fit in fit_kernels(data_path("measurements", "gpu_h200_kernels_cited.csv"))
    }
    gemm = found["gemm", "bf16"]
    assert gemm.gpu == "H200 SXM"
    ours = kernel(gpu("H200 SXM"), "gemm", "bf16")
    assert gemm.compute_fraction == pytest.approx(ours.compute_fraction, abs=0.1)
    assert gemm.fixed == pytest.approx(ours.fixed, rel=0.5)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"gpu": "H100 SXM", "operator": "gemm", "format": "bf16", "bytes": "1", "flops": "x", "seconds": "1"},
            "row 1",
        ),
        (
            {"gpu": "H100 SXM", "operator": "gemm", "format": "bf16", "bytes": "1", "flops": "1", "seconds": "0"},
            "row 1",
        ),
        ({"gpu": "H100 SXM", "operator": "gemm"}, "format is missing"),
    ],
)
def test_what_cannot_be_read_is_refused(row, said):
    with pytest.raises(InvalidInput, match=said):
        fit_kernels([row])


@pytest.mark.parametrize("name", ["H100 SXM", "A100 80GB SXM", "L40S", "RTX 4090", "MI300X", "T4", "B300"])
@pytest.mark.parametrize("operator", ["gemm", "moe"])
@pytest.mark.parametrize(
    "format", ["bf16", "fp8", "fp8_block", "int8", "int4", "nvfp4", "mxfp4", "gguf", "nf4", "fp32"]
)
def test_every_card_has_a_kernel_for_every_format(name, operator, format):
    found = kernel(gpu(name), operator, format)
    assert 0 < found.bandwidth_fraction <= 1
    assert 0 < found.compute_fraction <= 1
    assert 0 <= found.fixed < 2e-4


def test_groups_between_two_sizes_take_the_larger():
    from workbench.hardware import interconnect

    card = gpu("L40S")
    assert collective(card, interconnect(card, 3), 3) == collective(card, interconnect(card, 4), 4)
