"""What the planner's pickers offer, and how a choice in the page becomes arguments of ``wb.plan``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from workbench import hardware
from workbench.architecture import Model, catalog
from workbench.datafiles import read_rows
from workbench.deployment import SHARES, Deployment, ServiceLevel, Workload
from workbench.engines.engine import Engine
from workbench.engines.registry import REGISTRY
from workbench.engines.tables import parse
from workbench.engines.vllm import versions
from workbench.errors import InvalidInput, UnknownName
from workbench.formats import GGUF, SCHEMES, obstacle
from workbench.kv_formats import KV_FORMATS
from workbench.planner.presets import Preset, longest_request, presets
from workbench.quantities import GIB

MODEL = "meta-llama/Llama-3.1-8B-Instruct"

#: Every field of a choice with the value it has when nothing is said. ``config`` and ``own_gpu`` replace
#: ``model`` and ``gpu`` where they are given.
DEFAULTS: Mapping[str, Any] = {
    "model": MODEL,
    "config": None,
    "gpu": "L40S",
    "own_gpu": None,
    "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1,
    "data_parallel_size": 1,
    "quantization": None,
    "max_model_len": 8192,
    "kv_cache_dtype": "auto",
    "gpu_memory_utilization": None,
    "kv_cache_memory_bytes": None,
    "max_num_seqs": None,
    "max_num_batched_tokens": None,
    "enforce_eager": False,
    "enable_prefix_caching": None,
    "cpu_offload_gb": None,
    "n_gpu_layers": None,
    "mem_fraction_static": None,
    "free_gpu_memory_fraction": None,
    "cuda_memory_fraction": None,
    "engine": "vllm",
    "engine_version": None,
    "isl": 1024,
    "osl": 256,
    "concurrency": 16,
    "isl_cv": 0,
    "osl_cv": 0,
    "prefix_hit": 0,
    "ttft": None,
    "tpot": None,
    "output_tokens_per_s": None,
    "percentile": 50,
}
WORKLOAD = ("isl", "osl", "concurrency", "isl_cv", "osl_cv", "prefix_hit")
#: What may be asked; ``percentile`` says of how many of the requests.
SERVICE_LEVEL = ("ttft", "tpot", "output_tokens_per_s")
_NOT_ENGINE = {"model", "config", "gpu", "own_gpu", *WORKLOAD, *SERVICE_LEVEL, "percentile"}
ENGINE = tuple(name for name in DEFAULTS if name not in _NOT_ENGINE)

#: A card between an RTX 4090 and an L40S, to start one's own from.
OWN_GPU: Mapping[str, Any] = {
    "name": "My GPU",
    "memory_gib": 47.4,
    "bandwidth_gb_s": 1000,
    "fp16_tflops": 165,
    "fp8_tflops": 330,
    "pcie_gb_s": 31.5,
    "usd_per_hour": None,
}
OWN_GPU_FIELDS = [
    {"name": "name", "label": "Name", "text": True},
    {"name": "memory_gib", "label": "Memory", "unit": "GiB"},
    {"name": "bandwidth_gb_s", "label": "Bandwidth", "unit": "GB/s"},
    {"name": "fp16_tflops", "label": "FP16, dense", "unit": "TFLOPS"},
    {"name": "fp8_tflops", "label": "FP8, dense", "unit": "TFLOPS"},
    {"name": "pcie_gb_s", "label": "PCIe, one way", "unit": "GB/s"},
    {"name": "usd_per_hour", "label": "Price", "unit": "USD/h"},
]


CPU = {
    "value": "cpu",
    "label": "CPU, no GPU",
    "detail": "vLLM's CPU build, small models",
    "search": "processor",
}


#: How the page calls the fields that messages name.
LABELS = {
    "tensor_parallel_size": "The number of GPUs",
    "pipeline_parallel_size": "Pipeline parallel",
    "data_parallel_size": "The number of replicas",
    "max_model_len": "The context length",
    "gpu_memory_utilization": "GPU memory utilisation",
    "kv_cache_memory_bytes": "The KV cache",
    "max_num_seqs": "The most sequences at once",
    "max_num_batched_tokens": "The number of batched tokens",
    "cpu_offload_gb": "The weights kept in host memory",
    "n_gpu_layers": "The number of layers on the GPU",
    "mem_fraction_static": "The static share of memory",
    "free_gpu_memory_fraction": "The cache's share of free memory",
    "cuda_memory_fraction": "The share of the card",
    "isl": "The number of input tokens",
    "osl": "The number of output tokens",
    "concurrency": "The number of concurrent requests",
    "isl_cv": "The spread of the input",
    "osl_cv": "The spread of the output",
    "prefix_hit": "The share that the prefix cache holds",
    "ttft": "The time asked to the first token",
    "tpot": "The time asked per output token",
    "output_tokens_per_s": "The rate asked",
    "percentile": "The share of requests",
}


def in_words(message: str) -> str:
    """A message that begins with a field's name, with the page's words for it.

    >>> in_words("isl is 0; it must be a whole number of at least 1")
    'The number of input tokens is 0; it must be a whole number of at least 1'
    >>> in_words("concurrency is None; it must be a whole number of at least 1")
    'The number of concurrent requests is empty; it must be a whole number of at least 1'
    """
    name, space, rest = message.partition(" ")
    if name not in LABELS:
        return message
    return LABELS[name] + space + rest.replace("is None;", "is empty;", 1)


def show_parameters(count: float) -> str:
    """A model's size as people say it.

    >>> show_parameters(8_030_261_248), show_parameters(494_032_768)
    ('8.0B', '494M')
    """
    if count >= 1e12:
        return f"{count / 1e12:.1f}T"
    if count >= 1e9:
        return f"{count / 1e9:.1f}B" if count < 99.5e9 else f"{count / 1e9:.0f}B"
    return f"{count / 1e6:.0f}M"


def _gpu_option(card: hardware.GPU) -> dict[str, str]:
    detail = f"{card.capacity.value / GIB:.1f} GiB · {card.bandwidth / 1e9:,.0f} GB/s · {card.architecture}"
    search = " ".join((*card.aliases, *card.loose_aliases, card.vendor))
    return {"value": card.name, "label": card.name, "detail": detail, "search": search}


def _model_option(name: str) -> dict[str, str]:
    model = catalog.load(name)
    detail = f"{show_parameters(model.parameters)} parameters"
    if model.is_moe:
        detail += f", {show_parameters(model.active_parameters)} active"
    detail += f" · {model.max_model_len:,} tokens"
    return {"value": name, "label": name, "detail": detail}


#: Scheme the page takes when an engine is chosen whose checkpoints are always made for it.
_USUAL = "q4_k_m"
#: KV formats by what they are to somebody who has not read of them.
_KV_LABELS = {"auto": "As the engine does (auto)", "fp8": "FP8: twice the tokens"}


def _engine_option(engine: Engine) -> dict[str, Any]:
    """An engine, and what the page offers once it is chosen."""
    loaded = [scheme for scheme in {**SCHEMES, **GGUF}.values() if not obstacle(scheme, engine.name)]
    only_files = all(scheme.family in ("gguf", "float") for scheme in loaded)
    if only_files:
        loaded = [scheme for scheme in loaded if scheme.family == "gguf"]
    schemes: list[dict[str, Any]] = [{"value": None, "label": "As the checkpoint is"}]
    schemes += [{"value": scheme.id, "label": scheme.title} for scheme in loaded]
    table = f"{engine.name.replace('.', '_').replace('-', '_')}.csv"
    older = sorted({row["version"] for row in read_rows("engines", table)} - {engine.version}, key=parse)
    known: list[dict[str, Any]] = [{"value": None, "label": f"{engine.version}, the newest known"}]
    known += [{"value": version, "label": version} for version in reversed(older)]
    stored = ["auto"]
    if engine.lacks("kv_cache_dtype") is None:
        stored += [kind.id for kind in KV_FORMATS.values() if engine.name in kind.engines]
    return {
        "value": engine.name,
        "label": engine.title,
        "schemes": schemes,
        "scheme": _USUAL if only_files else None,
        "kv_dtypes": [{"value": name, "label": _KV_LABELS.get(name, name)} for name in stored],
        "versions": known,
        "lacks": [name for name in ENGINE if engine.lacks(name) is not None],
    }


@cache
def options() -> Mapping[str, Any]:
    """Everything the page offers, as plain values for JSON."""
    engines = [_engine_option(engine) for engine in REGISTRY.values()]
    own = engines[0]
    own["kv_dtypes"] = [
        {"value": "auto", "label": "As the model (auto)"},
        {"value": "fp8", "label": _KV_LABELS["fp8"]},
    ]
    return {
        "defaults": dict(DEFAULTS),
        "engine_defaults": {"gpu_memory_utilization": versions.version(None).gpu_memory_utilization},
        "engines": engines,
        "engine_versions": own["versions"],
        "gpus": [_gpu_option(hardware.gpu(name)) for name in hardware.names()] + [CPU],
        "models": [_model_option(name) for name in catalog.names()],
        "schemes": own["schemes"],
        "kv_dtypes": own["kv_dtypes"],
        "own_gpu": dict(OWN_GPU),
        "own_gpu_fields": OWN_GPU_FIELDS,
        "percentiles": [
            {"value": 50, "label": "On average"},
            *({"value": share, "label": f"For {share} % of requests"} for share in (90, 95, 99)),
        ],
        "presets": [_preset_option(preset) for preset in presets().values()],
    }


#: What a preset may assume, as the page says it; how many requests there are is the reader's own to say.
_ASSUMED = {"isl": "input length", "isl_cv": "spread", "osl_cv": "spread", "prefix_hit": "no cached prefixes"}


def _preset_option(preset: Preset) -> dict[str, Any]:
    """A workload to start from, and a context that holds nearly all of its requests."""
    workload = {name: getattr(preset.workload, name) for name in WORKLOAD}
    assumed = dict.fromkeys(_ASSUMED[name] for name in preset.assumed if name in _ASSUMED)
    told = f"Lengths: {preset.origin}." + (f" Assumed: {', '.join(assumed)}." if assumed else "")
    context = 1 << (longest_request(preset.workload) - 1).bit_length()
    fields = {"id": preset.id, "title": preset.title, "source": preset.source, "told": told}
    return {**fields, "workload": workload, "context": context}


def checked(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A whole choice from a part of one: defaults filled in, unknown fields refused, empty GPU counts as one.

    Raises
    ------
    UnknownName
        For a field no choice has.
    InvalidInput
        For a value of the wrong kind; the message names the field.
    """
    for name in choice:
        if name not in DEFAULTS:
            raise UnknownName("field", str(name), DEFAULTS)
    whole = {**DEFAULTS, **choice}
    for name in ("model", "gpu"):
        if not isinstance(whole[name], str) or not whole[name].strip():
            raise InvalidInput(f"{name} must be a name from the list")
    for name in ("config", "own_gpu"):
        if whole[name] is not None and not isinstance(whole[name], Mapping):
            raise InvalidInput(f"{name} must hold fields and values, or be left out")
    for name in (*WORKLOAD, *SERVICE_LEVEL, "percentile", *ENGINE):
        value = whole[name]
        if isinstance(value, float) and value.is_integer() and name not in SHARES:
            whole[name] = int(value)  # JSON does not tell 8 from 8.0
    for name in ("quantization", "kv_cache_dtype", "engine", "engine_version"):
        if whole[name] is not None and not isinstance(whole[name], str):
            raise InvalidInput(f"{name} must be a name from the list")
    for name in ("enforce_eager", "enable_prefix_caching"):
        if whole[name] is not None and not isinstance(whole[name], bool):
            raise InvalidInput(f"{name} must be on or off")
    Workload(**{name: whole[name] for name in WORKLOAD})
    service_level(whole)
    Deployment(**{name: whole[name] for name in ENGINE})
    return whole


def arguments(choice: Mapping[str, Any]) -> tuple[Model, hardware.GPU | str, dict[str, Any], Workload]:
    """Model, GPU, engine settings and workload of a whole choice.

    Raises
    ------
    WorkbenchError
        For anything that cannot be: the message says which field.
    """
    if choice["config"] is None:
        model = Model.from_config(choice["model"])
    else:
        given = choice["config"]
        name = next((given[key] for key in ("model_id", "_name_or_path") if isinstance(given.get(key), str)), "")
        model = Model.from_config(given, id=name or "your-model")
    card: hardware.GPU | str = choice["gpu"]
    if choice["own_gpu"] is not None:
        card = own_gpu(choice["own_gpu"])
    workload = Workload(**{name: choice[name] for name in WORKLOAD})
    settings = {name: choice[name] for name in ENGINE if choice[name] != DEFAULTS[name] or name == "max_model_len"}
    return model, card, settings, workload


def service_level(choice: Mapping[str, Any]) -> ServiceLevel:
    """What a whole choice asks for.

    >>> service_level({**DEFAULTS, "tpot": 0.05})
    ServiceLevel(ttft=None, tpot=0.05, output_tokens_per_s=None, percentile=50)
    """
    return ServiceLevel(**{name: choice[name] for name in (*SERVICE_LEVEL, "percentile")})


def own_gpu(fields: Mapping[str, Any]) -> hardware.GPU:
    """The card that the page's small form describes.

    Raises
    ------
    InvalidInput
        For a field that is unknown, missing or not a positive number.
    """
    known = {str(field["name"]): str(field["label"]) for field in OWN_GPU_FIELDS}
    for name, value in fields.items():
        if name not in known:
            raise UnknownName("field of a GPU", str(name), known)
        if name != "name" and value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InvalidInput(f"{known[name]} must be a number")
    for name in ("memory_gib", "bandwidth_gb_s", "fp16_tflops"):
        if not fields.get(name):
            raise InvalidInput(f"{known[name]} is missing: give a number above 0")
    given = {name: value for name, value in fields.items() if value is not None}
    # FP8 units came with compute capability 8.9; a card without a figure for them is taken as one before.
    capability = "8.9" if "fp8_tflops" in given else "8.0"
    return hardware.custom_gpu(str(given.pop("name", "") or "My GPU"), compute_capability=capability, **given)


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def python(choice: Mapping[str, Any]) -> str:
    """The call of ``wb.plan`` that gives the same answer.

    >>> print(python({**DEFAULTS, "quantization": "awq"}))
    plan = wb.plan(
        "meta-llama/Llama-3.1-8B-Instruct",
        gpu="L40S",
        quantization="awq",
        max_model_len=8192,
    )
    """
    lines = []
    if choice["config"] is None:
        lines.append(f'"{choice["model"]}"')
    else:
        lines.append('"config.json"')
    if choice["own_gpu"] is None:
        lines.append(f'gpu="{choice["gpu"]}"')
    else:
        fields = ", ".join(f"{k}={v!r}" for k, v in choice["own_gpu"].items() if v is not None and k != "name")
        lines.append(f"gpu=wb.custom_gpu({choice['own_gpu'].get('name', 'My GPU')!r}, {fields})")
    lines += [
        f"{name}={_literal(choice[name])}"
        for name in ENGINE
        if choice[name] is not None and (choice[name] != DEFAULTS[name] or name == "max_model_len")
    ]
    load = {name: choice[name] for name in WORKLOAD if choice[name] != DEFAULTS[name]}
    if load:
        lines.append(f"workload=wb.Workload({', '.join(f'{k}={v}' for k, v in load.items())})")
    return "plan = wb.plan(\n" + "".join(f"    {line},\n" for line in lines) + ")"
