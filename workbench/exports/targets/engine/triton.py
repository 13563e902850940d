"""Triton Inference Server with its vLLM backend: a model repository, and the ``tritonserver`` line.

A replica is an instance: of one model where it takes one GPU, a model of its own where it takes several, because Triton
places what takes one GPU and leaves the others to the engine. Plans beside this one become models beside it, each with
its own GPUs. The ensemble puts a chat's template before the model, which is asked for text.

References
----------
github:triton-inference-server/vllm_backend ``src/model.py`` (``AsyncEngineArgs`` of ``model.json``, what ``KIND_GPU``
and ``KIND_MODEL`` do, ``GPU_DEVICE_IDS``, ``REPORT_CUSTOM_METRICS``),
``samples/model_repository`` and ``samples/ensemble_model``;
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.engine.vllm import arguments
from workbench.exports.writing import command, script

#: NVIDIA's newest monthly image with the vLLM backend (release notes, rel-26-10); it brings its own release of vLLM.
IMAGE = "nvcr.io/nvidia/tritonserver:26.10-vllm-python-py3"
_REPOSITORY = "triton/model_repository"
_MODEL = """\
name: "{name}"
backend: "vllm"
# vLLM batches by itself, and answers a request in many parts.
max_batch_size: 0
model_transaction_policy {{ decoupled: true }}
input [
  {{ name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }},
  {{ name: "stream" data_type: TYPE_BOOL dims: [ 1 ] optional: true }},
  {{ name: "sampling_parameters" data_type: TYPE_STRING dims: [ 1 ] optional: true }},
  {{ name: "exclude_input_in_output" data_type: TYPE_BOOL dims: [ 1 ] optional: true }}
]
output [ {{ name: "text_output" data_type: TYPE_STRING dims: [ -1 ] }} ]
{place}
parameters [
  {{ key: "REPORT_CUSTOM_METRICS" value: {{ string_value: "true" }} }},
  {{ key: "ENABLE_VLLM_HEALTH_CHECK" value: {{ string_value: "true" }} }}{devices}
]
"""
_PROMPT = """\
name: "{name}-prompt"
backend: "python"
max_batch_size: 0
input [ {{ name: "question" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {{ name: "prompt" data_type: TYPE_STRING dims: [ 1 ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
"""
_ENSEMBLE = """\
name: "{name}-chat"
platform: "ensemble"
max_batch_size: 0
input [ {{ name: "question" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {{ name: "text_output" data_type: TYPE_STRING dims: [ -1 ] }} ]
ensemble_scheduling {{
  step [
    {{
      model_name: "{name}-prompt"
      model_version: -1
      input_map {{ key: "question" value: "question" }}
      output_map {{ key: "prompt" value: "prompt" }}
    }},
    {{
      model_name: "{model}"
      model_version: -1
      input_map {{ key: "text_input" value: "prompt" }}
      output_map {{ key: "text_output" value: "text_output" }}
    }}
  ]
}}
"""
_TEMPLATE = '''\
"""A question in the model's chat template."""

import numpy as np
import triton_python_backend_utils as pb_utils
from transformers import AutoTokenizer

TOKENIZER = {tokenizer}


class TritonPythonModel:
    def initialize(self, args):
        self.tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        question = pb_utils.get_input_tensor_by_name(request, "question").as_numpy()[0].decode()
        messages = [{{"role": "user", "content": question}}]
        prompt = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return pb_utils.InferenceResponse([pb_utils.Tensor("prompt", np.array([prompt.encode()], dtype=np.object_))])
'''


def _subjects(subject: Subject) -> list[Subject]:
    """This plan and those beside it."""
    return [subject, *(Subject(plan, subject.wishes.alone()) for plan in subject.wishes.beside)]


def _models(subject: Subject, first: int) -> list[tuple[str, str, str]]:
    """Name, instance group and GPUs of each model of a plan, its GPUs counted from ``first``."""
    replicas, own = subject.wishes.replicas, subject.gpus
    if own == 1:
        numbers = ", ".join(str(first + number) for number in range(replicas))
        return [(subject.name, f"instance_group [ {{ count: 1 kind: KIND_GPU gpus: [ {numbers} ] }} ]", "")]
    group = "# The engine places itself on the GPUs named below.\ninstance_group [ { count: 1 kind: KIND_MODEL } ]"
    names = [subject.name] if replicas == 1 else [f"{subject.name}-{number + 1}" for number in range(replicas)]
    return [
        (name, group, ",".join(str(first + own * at + number) for number in range(own)))
        for at, name in enumerate(names)
    ]


def repository(subjects: Sequence[Subject]) -> list[File]:
    """Models of all plans, one after another on the machine's GPUs."""
    found, first = [], 0
    for subject in subjects:
        engine = json.dumps(arguments(subject.words), indent=2) + "\n"
        models = _models(subject, first)
        for name, place, gpus in models:
            devices = f',\n  {{ key: "GPU_DEVICE_IDS" value: {{ string_value: "{gpus}" }} }}' if gpus else ""
            text = _MODEL.format(name=name, place=place, devices=devices)
            found.append(File(f"{_REPOSITORY}/{name}/config.pbtxt", "triton-config", text, language="protobuf"))
            path, version = f"{_REPOSITORY}/{name}/1/model.json", subject.plan.engine_version
            found.append(File(path, "vllm-json", engine, language="json", version=version))
        found += _ensemble(subject, models[0][0])
        first += subject.gpus * subject.wishes.replicas
    return found


def _ensemble(subject: Subject, model: str) -> list[File]:
    """A chat's template before the (first) model."""
    name = subject.name
    tokenizer = repr(subject.words[2])
    prompt, chat = f"{_REPOSITORY}/{name}-prompt", f"{_REPOSITORY}/{name}-chat"
    return [
        File(f"{prompt}/config.pbtxt", "triton-config", _PROMPT.format(name=name), language="protobuf"),
        File(f"{prompt}/1/model.py", "python", _TEMPLATE.format(tokenizer=tokenizer)),
        File(f"{chat}/config.pbtxt", "triton-config", _ENSEMBLE.format(name=name, model=model), language="protobuf"),
        # Triton asks every model for a version's folder; an ensemble's is empty.
        File(f"{chat}/1/README.md", "markdown", "# An ensemble has no files\n"),
    ]


def files(subject: Subject) -> list[File]:
    """The repository, the line that serves it, and the container it runs in."""
    subjects, port = _subjects(subject), subject.wishes.port
    words = ["tritonserver", f"--model-repository={_REPOSITORY}"]
    for protocol, number in (("http", port), ("grpc", port + 1), ("metrics", port + 2)):
        words += [f"--{protocol}-address=127.0.0.1", f"--{protocol}-port={number}"]
    run = ["docker", "run", "--rm", "--name", subject.name, "--network", "host"]
    run += ["--gpus", str(sum(each.gpus * each.wishes.replicas for each in subjects))]
    run += ["--shm-size", f"{sum(each.shared_memory * each.wishes.replicas for each in subjects)}g"]
    run += ["--env", "HF_TOKEN"] if any(each.token for each in subjects) else []
    mounts = [
        f"type=bind,source={each.model_path},target={each.model_path},readonly"
        for each in subjects
        if not each.from_hub
    ]
    for mount in mounts:
        run += ["--mount", mount]
    here = command(run) + ' \\\n    --volume "$PWD:/bundle" --workdir /bundle'
    return [
        *repository(subjects),
        File("triton/serve.sh", "shell", script(f"exec {command(words)}"), executable=True),
        File("triton/run.sh", "shell", script(f"exec {here} {IMAGE} triton/serve.sh"), executable=True),
    ]


def obstacle(subject: Subject) -> str | None:
    """What Triton's vLLM backend cannot be told, and what one machine does not hold."""
    subjects = _subjects(subject)
    for each in subjects:
        if each.engine != "vllm":
            return f"beside: {each.plan.model.id} is planned for {each.engine}, not vLLM"
        if each.plan.card.name != subject.plan.card.name:
            return f"beside: {each.plan.model.id} is planned for {each.plan.card.name}, not {subject.plan.card.name}"
        if not each.gpus or each.plan.card.vendor != "NVIDIA":
            return f"gpu {each.plan.card.name}: NVIDIA's image with the vLLM backend runs on its own GPUs only"
        if each.plan.deployment.data_parallel_size > 1:
            return "data_parallel_size: Triton's own instances are its replicas; ask for replicas instead"
        if not each.from_hub and ("," in each.model_path or not each.model_path.startswith("/")):
            return "model_path must be absolute and without a comma: it is mounted under its own name"
    wanted = sum(each.gpus * each.wishes.replicas for each in subjects)
    if wanted > subject.machine_gpus:
        return f"replicas and beside take {wanted} GPUs; one machine has {subject.machine_gpus} (machine_gpus)"
    if subject.wishes.port > 65533:
        return "port: gRPC and metrics take the two above it"
    twice = [name for name, times in Counter(each.name for each in subjects).items() if times > 1]
    return f"beside: two models are called {twice[0]}; a repository has a name once" if twice else None


def steps(subject: Subject) -> list[str]:
    """Run, ask, and whose vLLM it is."""
    name = _models(subject, 0)[0][0]
    port = subject.wishes.port
    return [
        "From the folder of this README run `triton/run.sh`, or `triton/serve.sh` where Triton is installed.",
        f"It is ready once `http://127.0.0.1:{port}/v2/health/ready` answers; metrics are on port {port + 2}.",
        f"Ask `/v2/models/{name}/generate_stream` with `text_input`, or `{subject.name}-chat`, the ensemble, with "
        "`question`.",
        f"The image `{IMAGE}` brings its own release of vLLM, which may take more or less memory than "
        f"{subject.plan.engine_version}. It asks for no key: put a proxy that does in front of it.",
    ]


TARGET = Target(
    id="triton",
    title="Triton with the vLLM backend",
    about="A model repository of Triton: the model, its replicas, and an ensemble with a chat's template.",
    files=files,
    steps=steps,
    obstacle=obstacle,
    instead=True,
    source="https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html",
    without=only("vllm", because="Triton's backend here is vLLM; plan for vLLM"),
    several=True,
)
