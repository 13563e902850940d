"""Speed of a row, predicted from what the row states: serving latency, largest throughput, one stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from workbench.deployment import Workload
from workbench.errors import InvalidInput
from workbench.evidence.benchmarks import conditions
from workbench.evidence.cases import Case, card_of, model_of
from workbench.evidence.prediction import Prediction
from workbench.evidence.releases import release
from workbench.evidence.rows import Models, Row, cell, number, step, whole
from workbench.planner import Plan
from workbench.planner.plan import Performance
from workbench.quantities import Estimate

#: A row's word for its engine -> a Deployment's.
ENGINES: Mapping[str, str] = MappingProxyType(
    {"vllm": "vllm", "tensorrt-llm": "tensorrt-llm", "trtllm": "tensorrt-llm", "sglang": "sglang", "tgi": "tgi"}
)
#: What a benchmark that states no utilisation may have raised it to, where the default does not fit.
_RAISED = 0.95
#: Requests that wait in an offline run: more than any batch holds.
_WAITING = 100_000


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A kind of file: the column it is known by, its quantities, and how a row's figures are read and predicted."""

    column: str
    quantities: tuple[str, ...]
    predict: Callable[[Case, Row], Iterator[Prediction]]


def engine_of(row: Row) -> str:
    """A Deployment's word for the row's engine; one that is not known stays as it is and is refused by the plan."""
    word = cell(row, "engine").casefold() or "vllm"
    return ENGINES.get(word, word)


def division(row: Row) -> dict[str, Any]:
    """Parallel sizes of a benchmark's row.

    ``ep_dp`` holds "attn_dp=4 moe_tp=1 moe_ep=16" (attention data parallel, experts' tensor and expert parallel) or
    "DEP4" (both over 4 GPUs). Where it says that experts are divided twice over one group, or over more GPUs than
    ``n_gpu``, the GPUs are the experts'.

    Raises
    ------
    InvalidInput
        If the sizes do not multiply to the number of GPUs.

    Examples
    --------
    >>> division({"n_gpu": "16", "tp": "4", "pp": "1", "ep_dp": "attn_dp=4 moe_tp=1 moe_ep=16"})["data_parallel_size"]
    4
    """
    count, text = whole(row, "n_gpu"), cell(row, "ep_dp")
    tensor, pipeline = whole(row, "tp"), whole(row, "pp") or 1
    said = {name: int(value) for name, value in re.findall(r"(attn_dp|moe_tp|moe_ep)=(\d+)", text)}
    data, experts = said.get("attn_dp") or 1, said.get("moe_ep", 1) > 1
    if "attn_dp" in said and (groups := said.get("moe_ep", 1)) > 1 and groups == said.get("moe_tp"):
        # both of so many GPUs: the same ones, multiplied into n_gpu twice
        count, data = groups, groups if data > 1 else 1
        tensor = count // data
    experts_over = said.get("moe_tp", 1) * said.get("moe_ep", 1)
    if "attn_dp" not in said and tensor and count == tensor and experts_over > count:
        count, data = experts_over, experts_over // tensor  # the experts' GPUs are counted, those of attention are not
    if both := re.fullmatch(r"DEP(\d+)", text):
        tensor, data, experts = 1, int(both[1]), True
    if tensor is None:
        tensor = 1
        if count is not None and count > pipeline * data:
            if "layer split" not in cell(row, "notes"):
                raise InvalidInput("tp is empty, so it is not known how the model was divided")
            pipeline = count
    if count is not None and tensor * pipeline * data != count:
        if tensor * pipeline == count and tensor % data == 0:
            tensor //= data  # attention data parallel inside the tensor parallel group
        else:
            raise InvalidInput(f"tp {tensor} × pp {pipeline} × dp {data} is not the {count} GPUs of n_gpu")
    sizes = {"tensor_parallel_size": tensor, "pipeline_parallel_size": pipeline, "data_parallel_size": data}
    return {**sizes, "enable_expert_parallel": experts}


def case(row: Row, models: Models) -> Case:
    """The deployment that a benchmark's row states, for requests of its own lengths.

    Raises
    ------
    WorkbenchError
        If the model or the GPU is not known, or a cell cannot be read.
    """
    model, quantization = model_of(row, models, word=cell(row, "quant"), checkpoint=cell(row, "model"), online=False)
    card, remark = card_of(cell(row, "gpu"), None)
    if card is None:
        raise InvalidInput(remark or "gpu is empty")
    engine = engine_of(row)
    length = (whole(row, "isl") or 0) + (whole(row, "osl") or 0)
    if length < 1:
        raise InvalidInput("isl and osl are both empty or 0")
    fields = division(row) | {"max_model_len": max(length, 2)}
    if quantization:
        fields["quantization"] = quantization
    known = conditions(row)
    if known.attention_data_parallel is not None and fields["data_parallel_size"] > 1:
        gpus = whole(row, "tp") or 1  # the others of n_gpu are the same ones, counted again as data parallel
        fields |= {"tensor_parallel_size": gpus, "data_parallel_size": 1}
        if known.attention_data_parallel:
            fields |= {"tensor_parallel_size": 1, "data_parallel_size": gpus}
    fields |= known.fields
    found = None
    if engine == "vllm" and (version := cell(row, "engine_version")) and re.search(r"\d+\.\d+", version):
        found = release(version)
    return Case(model, engine, card, fields, found, (remark,) if remark else ())


def serving(found: Case, row: Row) -> Iterator[Prediction]:
    """TTFT and TPOT [ms] at the row's lengths and concurrency."""
    known = conditions(row)
    load = known.workload(row)
    speed = _speed(found, lambda plan: load)
    tpot = (speed.itl_p50 if known.plain_steps else None) or speed.tpot
    for name, estimate in (("ttft", speed.ttft), ("tpot", tpot)):
        yield _prediction(name, estimate.scaled(1e3), row, f"{name}_ms")


def throughput(found: Case, row: Row) -> Iterator[Prediction]:
    """The largest output rate [tokens/s], of the whole deployment or of one GPU as ``metric`` says.

    Offline: more requests wait than batch and cache ever hold, and no server sends their tokens one by one.
    """
    load = Workload(whole(row, "isl") or 1, whole(row, "osl") or 1, _WAITING, streamed=False)
    rate = _speed(found, lambda plan: load).output_tokens_per_s
    per_gpu = cell(row, "metric").endswith("per_gpu")
    yield _prediction("output_tokens_per_s", rate.scaled(1 / (whole(row, "n_gpu") or 1) if per_gpu else 1.0), row)


def single_stream(found: Case, row: Row) -> Iterator[Prediction]:
    """Rates of one request [tokens/s]: decoding 1 / TPOT, or reading the prompt ISL / TTFT, as ``metric`` says."""
    isl, osl = whole(row, "isl") or 0, whole(row, "osl") or 0
    speed = _speed(found, lambda plan: Workload(max(isl, 1), max(osl, 1), 1))
    if cell(row, "metric") == "prompt_eval_speed":
        yield _prediction("prompt_tokens_per_s", _inverse(speed.ttft).scaled(isl), row, "value")
    else:
        yield _prediction("decode_tokens_per_s", _inverse(speed.tpot), row, "value")


#: Kinds of benchmark files, by the column that only they have.
BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark("tpot_ms", ("ttft", "tpot"), serving),
    Benchmark("output_tokens_per_s", ("output_tokens_per_s",), throughput),
    Benchmark("value", ("decode_tokens_per_s", "prompt_tokens_per_s"), single_stream),
)


def fitting(found: Case) -> Plan:
    """The plan of a case that ran; what its row leaves open is taken so that it does run.

    vLLM's utilisation is not always stated, so where the default does not fit a higher one is tried. Nor is it always
    said that experts were spread whole: that is tried where vLLM does not divide them.

    Raises
    ------
    InvalidInput
        If it does not run all the same.
    """
    plan = found.plan()
    if plan.verdict == "unsupported" and found.model.is_moe and not found.fields["enable_expert_parallel"]:
        spread = replace(found, fields={**found.fields, "enable_expert_parallel": True}, _plans={}).plan()
        plan = plan if spread.verdict == "unsupported" else spread
    if not plan.fits and plan.verdict != "unsupported" and found.engine == "vllm":
        plan = replace(found, fields={**found.fields, "gpu_memory_utilization": _RAISED}, _plans={}).plan()
    if not plan.fits:
        raise InvalidInput(f"by the plan it does not run: {plan.reasons[0] if plan.reasons else plan.verdict}")
    return plan


def _speed(found: Case, load: Callable[[Plan], Workload]) -> Performance:
    """Speed of a case."""
    plan = fitting(found)
    speed = plan.performance(load(plan))
    assert speed is not None
    return speed


def _inverse(estimate: Estimate) -> Estimate:
    if estimate.low <= 0:
        raise InvalidInput("the predicted time may be 0, so there is no rate")
    return Estimate(1 / estimate.value, 1 / estimate.high, 1 / estimate.low, estimate.basis)


def _prediction(name: str, estimate: Estimate, row: Row, column: str = "") -> Prediction:
    column = column or name
    return Prediction(name, estimate.value, estimate.low, estimate.high, number(row, column), step(row, column))
