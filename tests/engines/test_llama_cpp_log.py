"""What llama.cpp's log says of its memory, on a processor that keeps some tensors in an order of its own."""

from __future__ import annotations

import pytest

from workbench.engines.llama_cpp.logs import LogReader
from workbench.quantities import GIB, MIB

# llama-cpp-python 0.3.36, the built-in model as Q4_K_M, 2,048 tokens, on a processor with AVX2.
LINES = """\
print_info: file size   = 3.86 MiB (5.61 BPW)
load_tensors:   CPU_Mapped model buffer size =     3.75 MiB
load_tensors:   CPU_REPACK model buffer size =     1.44 MiB
llama_context: n_ctx         = 2048
llama_context:        CPU  output buffer size =     0.04 MiB
llama_kv_cache:        CPU KV buffer size =     4.00 MiB
sched_reserve:        CPU compute buffer size =    23.01 MiB
""".splitlines()


def report(lines):
    reader = LogReader()
    for line in lines:
        reader.feed(line)
    return reader.report()


def test_a_repacked_tensor_counts_once() -> None:
    said = report(LINES)
    assert said.weights == pytest.approx(3.86 * MIB, abs=1)
    assert (said.kv_cache, said.kv_cache_tokens) == (4 * MIB, 2048)
    assert said.activation_peak == pytest.approx(23.01 * MIB, abs=1)


def test_without_repacking_the_buffers_are_what_is_taken() -> None:
    said = report(line for line in LINES if "REPACK" not in line)
    assert said.weights == pytest.approx(3.75 * MIB, abs=1)


def test_its_sizes_are_as_exact_as_they_are_printed() -> None:
    assert report(LINES).rounding < 0.05 * MIB


def test_a_file_of_gibibytes() -> None:
    file, mapped, repacked, *rest = LINES
    big = [file.replace("3.86 MiB", "4.58 GiB"), mapped.replace("3.75", "4685.30"), repacked.replace("1.44", "3204.00")]
    assert report([*big, *rest]).weights == pytest.approx(4.58 * GIB, abs=1)
