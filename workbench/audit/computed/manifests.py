"""Manifests and Dockerfiles, in the least form that shows what a guide's lacks: what the translation finds in them."""

from __future__ import annotations

from workbench.audit.registry import computes
from workbench.audit.rules import Found, advice
from workbench.translation import translate

_LABELS = "    metadata:\n      labels:\n        app: model\n"
_PROBE = """\
        livenessProbe:
          httpGet: {path: /health, port: 8000}
          initialDelaySeconds: 60
          periodSeconds: 10
"""


def deployment(labels: str = _LABELS, gpus: int = 1, probe: str = "") -> str:
    """A Deployment of one container of vLLM."""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: model
spec:
  selector:
    matchLabels:
      app: model
  template:
{labels}    spec:
      containers:
      - name: vllm
        image: vllm/vllm-openai:v0.33.0
        args: ["--model", "org/model", "--tensor-parallel-size", "{gpus}"]
        resources:
          limits:
            nvidia.com/gpu: {gpus}
{probe}"""


_JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: quantise}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: quantise
        image: pytorch/pytorch:2.1.0-cuda12.1-cudnn8-runtime
        command: [python, -m, auto_gptq.quantize]
        args: [--bits=4]
"""
_DOCKERFILE = """\
FROM vllm/vllm-openai:v0.33.0
CMD python -m vllm.entrypoints.openai.api_server --model org/model
"""


@computes("C001-009", text=_JOB, given="pytorch/pytorch")
@computes("C001-017", text=deployment(labels=""), given="template")
@computes("C004-048", text=deployment(gpus=2), given="volumeMounts")
@computes("C004-049", text=deployment(probe=_PROBE), given="initialDelaySeconds")
@computes("C004-051", text=_DOCKERFILE, given="CMD")
def lacking(text: str, given: str) -> Found:
    """What is said of one thing in a text, with what it should become; nothing said of it is nothing against it."""
    changes = [change for change in translate(text).changes if given in change.given]
    if not changes:
        return advice(["kept"], "nothing against it")
    return advice([change.status for change in changes], "; ".join(f"should be {each.becomes}" for each in changes))


@computes("C003-067")
def exported_for_engines() -> Found:
    """modelopt's export to the layout of engines that are built no more."""
    text = (
        "from modelopt.torch.export import export_tensorrt_llm_checkpoint\n"
        'export_tensorrt_llm_checkpoint(model, decoder_type="llama", export_dir="out")\n'
    )
    changes = [change for change in translate(text).changes if change.given.startswith("export_tensorrt")]
    return advice([change.status for change in changes], f"{changes[0].given} became {changes[0].becomes}")
