"""vLLM over several machines by Ray: what is run on the first of them, and on each of the others.

Ray is no part of vLLM since 0.19.1 and is installed beside it; the engine then has to be told
(``vllm/config/parallel.py`` of 0.33.0, ``distributed_executor_backend``).
"""

from __future__ import annotations

import shlex

from workbench.exports.file import File
from workbench.exports.subject import TOKEN, Subject
from workbench.exports.target import Target, only
from workbench.exports.targets.cluster import _machines
from workbench.exports.writing import command, script

#: Of Ray's head, its own default.
_PORT = 6379
_FOLDER = "cluster/ray"


def files(subject: Subject) -> list[File]:
    """Two scripts."""
    head = script(*_head(subject))
    return [
        File(f"{_FOLDER}/head.sh", "vllm-shell", head, "shell", executable=True, version=subject.plan.engine_version),
        File(f"{_FOLDER}/worker.sh", "shell", script(*_worker(subject)), executable=True),
    ]


def _variables(subject: Subject) -> str:
    """What every machine of the cluster must have alike: Ray's workers do not inherit the head's environment."""
    return "\n".join(f"export {shlex.quote(f'{name}={value}')}" for name, value in subject.server.variables.items())


def _head(subject: Subject) -> list[str]:
    gpus = _machines.gpus(subject)
    asked = ["HEAD_ADDRESS", *subject.secrets]
    needed = "\n".join(f': "${{{name}:?put it into the environment}}"' for name in asked)
    start = command(["ray", "start", "--head", "--port", str(_PORT), "--num-gpus", str(gpus)])
    # A server that starts before the last machine has joined waits for it half an hour, and says so only in its log.
    wait = (
        "tries=0\n"
        f'until [ "$(python3 -c \'import ray; ray.init(address="auto", log_to_driver=False, logging_level="error"); '
        f'print(int(ray.cluster_resources().get("GPU", 0)))\' || echo 0)" -ge {subject.gpus} ]; do\n'
        "    tries=$((tries + 1))\n"
        f'    [ "$tries" -lt 60 ] || {{ echo "fewer than {subject.gpus} GPUs have joined; run worker.sh on the other '
        'machines" >&2; exit 1; }\n'
        "    sleep 10\n"
        "done"
    )
    words = [*subject.words, "--distributed-executor-backend", "ray"]
    words += subject.server.address("0.0.0.0", subject.wishes.port)
    return [
        f"# The address by which the other machines reach this one, on the network that NCCL is to use.\n{needed}",
        f'{_variables(subject)}\nexport VLLM_HOST_IP="$HEAD_ADDRESS"',
        f'{start} --node-ip-address "$HEAD_ADDRESS"',
        f"# {subject.machines} machines with {gpus} GPUs each.\n{wait}",
        f"exec {command(words)}",
    ]


def _worker(subject: Subject) -> list[str]:
    gpus = _machines.gpus(subject)
    return [
        "# The first machine's address, and this one's own.\n"
        ': "${HEAD_ADDRESS:?put it into the environment}"\n: "${OWN_ADDRESS:?put it into the environment}"',
        f'{_variables(subject)}\nexport VLLM_HOST_IP="$OWN_ADDRESS"',
        f'exec ray start --address "$HEAD_ADDRESS:{_PORT}" --node-ip-address "$OWN_ADDRESS" --num-gpus {gpus} --block',
    ]


def steps(subject: Subject) -> list[str]:
    """The same on every machine, then one after the other."""
    version = subject.plan.engine_version
    token = f" For a gated model put {TOKEN} into the environment there." if subject.from_hub else ""
    return [
        f"On each of {subject.machines} machines with {_machines.gpus(subject)} GPUs: `pip install vllm=={version} "
        "'ray[default]'`, the same Python and the same Ray everywhere.",
        "The model must lie at the same path on all of them"
        + (", or each fetches it." if subject.from_hub else ".")
        + token,
        "Their network must be private: what Ray and NCCL send is not encrypted, and who reaches it can run anything.",
        f"On the first: put its address into HEAD_ADDRESS, {' and '.join(subject.secrets) or 'nothing'} into the "
        f"environment, and run `{_FOLDER}/head.sh`.",
        f"On the others: HEAD_ADDRESS, their own address as OWN_ADDRESS, and `{_FOLDER}/worker.sh`.",
    ]


TARGET = Target(
    id="ray",
    title="vLLM on Ray",
    about="vLLM over several machines by Ray: a script for the first, one for each of the others.",
    files=files,
    steps=steps,
    obstacle=_machines.obstacle,
    source="https://docs.vllm.ai/en/stable/serving/parallelism_scaling/",
    without=only("vllm", because=_machines.OTHERS),
)
