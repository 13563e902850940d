"""How a plan that outgrows one machine is divided over several alike, and what cannot be.

vLLM's own divisions reach over machines: tensor and pipeline parallelism
(https://docs.vllm.ai/en/stable/serving/parallelism_scaling/, "Multi-node deployment").
"""

from __future__ import annotations

import math

from workbench.exports.containers import no_image
from workbench.exports.subject import Subject
from workbench.exports.targets.kubernetes._objects import Share

#: Of the other engines.
OTHERS = "only vLLM is written over several machines"


def gpus(subject: Subject) -> int:
    """GPUs of each machine that are used."""
    return subject.gpus // subject.machines


def share(subject: Subject) -> Share:
    """What one machine gives: its part of the processes, of what they hold, and of the shared memory."""
    held = subject.host_memory - subject.shared_memory
    shared = max(1, math.ceil(subject.shared_memory / subject.machines))
    # An API server and an engine core run on the first machine alone; which one that is nobody knows beforehand.
    cores = subject.cores - subject.gpus + gpus(subject)
    return Share(gpus(subject), math.ceil(held / subject.machines) + shared, shared, cores)


def obstacle(subject: Subject) -> str | None:
    """What needs no several machines, or cannot be divided over them."""
    deployment = subject.plan.deployment
    if subject.machines == 1:
        return (
            f"one machine holds its {subject.gpus} GPUs (machine_gpus is {subject.machine_gpus}); "
            "more requests are answered by replicas"
        )
    if subject.plan.card.vendor != "NVIDIA":
        return f"gpu is {subject.plan.card.name}; several machines are written for NVIDIA's cards alone"
    if deployment.data_parallel_size > 1:
        return (
            f"data_parallel_size is {deployment.data_parallel_size}: plan one of these replicas, and say how many "
            "with replicas; they need no common engine"
        )
    if subject.gpus % subject.machines:
        return f"{subject.gpus} GPUs cannot be divided over {subject.machines} machines alike (machine_gpus)"
    return None


def in_containers(subject: Subject) -> str | None:
    """The same where containers run it."""
    return obstacle(subject) or no_image(subject)
