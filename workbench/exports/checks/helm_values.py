"""Values of vLLM's production stack: their names and types as its chart has them; a test of our own.

The chart's schema is in its repository and in no package; names and types were read there
(github:vllm-project/production-stack helm/values.schema.json@a6c01db), and it lets unknown names pass, which this
does not. Helm itself fetches the chart from the network and is not asked.
"""

from __future__ import annotations

from typing import Any

from workbench.exports.checks import _kubernetes_agree, _vllm
from workbench.exports.file import Check, File

KIND = "helm-values"

_READER = "chart vllm-stack 0.1.12 (structure, our own)"
_ENGINE: dict[str, type] = {
    "runtimeClassName": str, "containerPort": int, "vllmApiKey": dict, "startupProbe": dict, "readinessProbe": dict,
    "livenessProbe": dict, "strategy": dict, "securityContext": dict, "containerSecurityContext": dict,
    "modelSpec": list,
}  # fmt: skip
_MODEL: dict[str, type] = {
    "name": str, "repository": str, "tag": str, "modelURL": str, "replicaCount": int, "requestCPU": int,
    "requestMemory": str, "requestGPU": int, "limitMemory": str, "pvcStorage": str, "pvcAccessMode": list,
    "shmSize": str, "vllmConfig": dict, "env": list, "requestGPUType": str, "nodeSelectorTerms": list,
    "tolerations": list,
}  # fmt: skip
_SETTINGS: dict[str, type] = {"tensorParallelSize": int, "enablePrefixCaching": bool, "extraArgs": list}
_OPTIONAL = {"requestGPUType", "nodeSelectorTerms", "tolerations"}


def check(file: File) -> list[Check]:
    """Names, types, and arguments that Kubernetes would change."""
    import yaml

    try:
        found = yaml.safe_load(file.text)
        wrong = _wrong(found)
    except (yaml.YAMLError, KeyError, TypeError, IndexError) as error:
        wrong = f"cannot be read: {' '.join(str(error).split())}"
    if wrong:
        return [Check(_READER, "fail", wrong)]
    return [Check(_READER, "unchecked", "no package has the chart's schema"), *_starts(found, file.version)]


def _starts(values: dict[str, Any], release: str) -> list[Check]:
    """Whether vLLM of that release takes what the chart makes of the values."""
    if not release:
        return []
    lines = []
    for model in values["servingEngineSpec"]["modelSpec"]:
        settings = model["vllmConfig"]
        words = [model["modelURL"], *settings["extraArgs"]]
        made = ["--tensor-parallel-size", str(settings["tensorParallelSize"])]
        lines.append([*map(_kubernetes_agree.handed, words), *made])
    return [_vllm.of_command(words, release) for words in lines]


def _wrong(values: dict[str, Any]) -> str:
    engine = values["servingEngineSpec"]
    for place, held, known in (
        ("servingEngineSpec", engine, _ENGINE),
        *(("modelSpec", model, _MODEL) for model in engine["modelSpec"]),
        *(("vllmConfig", model["vllmConfig"], _SETTINGS) for model in engine["modelSpec"]),
    ):
        if missing := set(known) - set(held) - _OPTIONAL:
            return f"{place} has no {', '.join(sorted(missing))}"
        for name, value in held.items():
            if name not in known:
                return f"{place} has no value called {name}"
            if type(value) is not known[name]:
                return f"{place}.{name} is not {known[name].__name__}"
    for model in engine["modelSpec"]:
        for word in (model["modelURL"], *model["vllmConfig"]["extraArgs"]):
            if not isinstance(word, str) or _kubernetes_agree.references(word):
                return f"Kubernetes would not take {word!r} as it is"
    return ""
