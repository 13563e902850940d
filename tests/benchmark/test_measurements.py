"""What was measured on GPUs, against the datasheet's floor and the planner."""

import csv
from functools import cache

import pytest

import workbench as wb
from workbench.benchmark import gpu_work
from workbench.benchmark.gpu_decoder import MEMORY_COLUMNS, STEP_COLUMNS
from workbench.benchmark.gpu_kernels import KERNEL_COLUMNS
from workbench.benchmark.gpu_work import LLAMA_8B, step_work
from workbench.datafiles import data_path, read_rows

#: The scheme the planner calls each of the worker's formats.
SCHEMES = {"bf16": None, "fp8_row": "fp8"}
#: Tensors that the allocator rounds up one by one, and the largest step it takes for a large one.
MIB = 2**20


@cache
def tables(kind: str) -> list[str]:
    return sorted(path.name for path in data_path("measurements").glob(f"gpu_*_{kind}.csv"))


def rows(kind: str) -> list[dict[str, str]]:
    return [row for name in tables(kind) for row in read_rows("measurements", name)]


def memory(quantity: str) -> list[dict[str, str]]:
    return [row for row in rows("memory") if row["quantity"] == quantity]


def floor(card, form: str, moved: float, flops: float) -> float:
    """The least time that the card's datasheet allows [s]."""
    compute = "fp8" if form.startswith("fp8") else "bf16"
    return max(moved / card.bandwidth, flops / card.peak(compute))


def case_of(row):
    """The kernel's own arithmetic again, from its shape."""
    n = {name: int(row[name]) for name in ("tokens", "inputs", "outputs", "requests", "context") if row[name]}
    heads = [int(row[name]) for name in ("heads", "kv_heads", "head_dim") if row[name]]
    if row["operator"] == "gemm":
        return gpu_work.gemm(row["format"], n["tokens"], n["inputs"], n["outputs"])
    if row["operator"].startswith("attention"):
        return getattr(gpu_work, row["operator"])(n["requests"], n["context"], *heads)
    if row["operator"] == "copy":
        return gpu_work.copy(int(row["bytes"]) // 2)
    kind = row["library"].split(" float16")[0].split()[-1]
    arguments = heads if kind == "rope" else [n["outputs"]]
    return getattr(gpu_work, kind)(n["tokens"], *arguments)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("kernels", KERNEL_COLUMNS),
        ("kernels_cited", KERNEL_COLUMNS),
        ("steps", STEP_COLUMNS),
        ("memory", MEMORY_COLUMNS),
    ],
)
def test_every_row_says_where_it_is_from(kind, columns):
    for name in tables(kind):
        with data_path("measurements", name).open(encoding="utf-8", newline="") as file:
            assert next(csv.reader(line for line in file if not line.startswith("#"))) == list(columns)
        for row in read_rows("measurements", name):
            assert wb.gpu(row["gpu"]).name == row["gpu"]
            assert row["source"]
            assert len(row["date"]) == 10
            assert row["library"]


def test_the_public_kernels_are_few_and_can_be_looked_up():
    found = rows("kernels_cited")
    assert 40 <= len(found) <= 60
    assert all(row["source"].startswith("github:") and "@" in row["source"] for row in found)
    assert {row["operator"] for row in found} == {"gemm", "attention_decode", "attention_prefill", "elementwise"}
    assert {row["format"] for row in found} == {"bf16", "fp8_block", "w4a16"}


@pytest.mark.parametrize("kind", ["kernels", "kernels_cited"])
def test_no_kernel_beats_the_datasheet(kind):
    for row in rows(kind):
        case = case_of(row)
        assert (int(row["bytes"]), int(row["flops"])) == (case.moved, case.flops), row
        if row["operator"] == "elementwise":  # may find its activations in the L2 cache
            continue
        assert float(row["seconds"]) > floor(wb.gpu(row["gpu"]), row["format"], case.moved, case.flops), row


def test_a_kernel_faster_than_the_datasheet_is_noticed():
    """4096 × 4096 weights of 16 bit are 33.6 MB: 7 µs at 4.8 TB/s."""
    case = gpu_work.gemm("bf16", 1, 4096, 4096)
    assert 6.9e-6 < floor(wb.gpu("H200 SXM"), "bf16", case.moved, case.flops) < 7.1e-6
    many = gpu_work.gemm("bf16", 8192, 4096, 4096)
    assert floor(wb.gpu("H200 SXM"), "bf16", many.moved, many.flops) == many.flops / 989.4e12
    assert floor(wb.gpu("H200 SXM"), "fp8", many.moved, many.flops) == many.flops / 1978.9e12


@pytest.mark.parametrize("row", rows("steps"), ids=lambda row: f"{row['format']} {row['requests']}x{row['isl']}")
def test_no_step_beats_the_datasheet(row):
    card, form = wb.gpu(row["gpu"]), row["format"]
    moved, flops = step_work(LLAMA_8B, form, row["stage"], int(row["requests"]), int(row["isl"]))
    seconds = float(row["step_ms"]) / 1e3
    assert seconds > floor(card, form, moved, flops)
    assert float(row["achieved_bandwidth_fraction"]) == pytest.approx(moved / seconds / card.bandwidth, abs=2e-3)


@pytest.mark.parametrize("form", SCHEMES)
def test_the_planner_and_the_decoder_agree_on_weights(form):
    """The decoder holds what a checkpoint holds: the planner's figure is within half a percent, without measuring."""
    planned = wb.plan(LLAMA_8B.name, "H200 SXM", quantization=SCHEMES[form]).memory.weights
    assert planned.value == pytest.approx(LLAMA_8B.weight_bytes(form), rel=5e-3)
    assert planned.low <= LLAMA_8B.weight_bytes(form) <= planned.high


@pytest.mark.parametrize("row", memory("weights"), ids=lambda row: f"{row['gpu']} {row['format']}")
def test_weights_are_those_planned(row):
    planned = wb.plan(row["model"], row["gpu"], quantization=SCHEMES[row["format"]]).memory.weights.value
    assert planned == pytest.approx(int(row["bytes_measured"]), rel=5e-3)


@pytest.mark.parametrize("row", memory("kv_cache"), ids=lambda row: f"{row['gpu']} {row['requests']}x{row['context']}")
def test_the_cache_is_as_planned(row):
    model = wb.Model.from_config(row["model"])
    planned = model.kv_bytes_per_token("auto") * int(row["requests"]) * int(row["context"])
    assert 0 <= int(row["bytes_measured"]) - planned <= 2 * LLAMA_8B.layers * 2 * MIB  # a tensor for keys, for values


@pytest.mark.parametrize("row", memory("cuda_total"), ids=lambda row: row["gpu"])
def test_the_card_has_the_memory_of_the_table(row):
    assert wb.gpu(row["gpu"]).capacity.value == pytest.approx(int(row["bytes_measured"]), rel=3e-3)
