"""What is wrong with the pods of an inference server, found and mended in a manifest's plain values.

Each rule is given a container within its pod, changes what it can mend and yields what it found.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.translation.faults import Fault, Path

#: A start that is given up [s]: a first download of a large model and its compilation within.
START_SECONDS = 1800
#: A server that has not answered this long after it began [s] is no sign of one that hangs.
_LOADING_SECONDS = 600
_PERIOD = 10
_GPU = re.compile(r"(?:nvidia|amd)\.com/(?:gpu|mig-.*)")
_RANKS = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_FACTORS = {
    None: 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A container of a pod, and what it runs.

    Attributes
    ----------
    pod, values : dict
        The pod's specification and the container in it; rules change them.
    pod_path, path : tuple
        Where they stand in the document.
    fields : mapping
        Fields of the Deployment that its command describes.
    image : str
        The image that its release is in; "" where none is known.
    """

    pod: dict[str, Any]
    values: dict[str, Any]
    pod_path: Path
    path: Path
    fields: Mapping[str, Any]
    image: str = ""

    @property
    def ranks(self) -> int:
        """GPUs that its command asks for."""
        found = 1
        for name in _RANKS:
            value = self.fields.get(name, 1)
            found *= value if isinstance(value, int) else 1
        return found

    @property
    def gpus(self) -> dict[str, str]:
        """Devices it is given, by their resource."""
        limits = mapping_of(mapping_of(self.values.get("resources")).get("limits"))
        return {name: str(number) for name, number in limits.items() if _GPU.fullmatch(str(name))}


def faults(container: Container) -> list[Fault]:
    """What every rule finds; the container is mended on the way."""
    return [fault for rule in _RULES for fault in rule(container)]


def quantity(text: Any) -> int:
    """A quantity as Kubernetes writes it, as a whole number; 0 for none.

    >>> quantity("8Gi"), quantity("2"), quantity("x")
    (8589934592, 2, 0)
    """
    found = _QUANTITY.fullmatch(str(text))
    return int(float(found[1]) * _FACTORS[found[2]]) if found else 0


def mapping_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def items_of(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _image(container: Container) -> Iterator[Fault]:
    """A tag that moves is that of the release."""
    given = str(container.values.get("image", ""))
    name, _, tag = given.rpartition(":") if ":" in given.rsplit("/", 1)[-1] else (given, "", "")
    if container.image and tag in ("", "latest") and container.image.startswith(f"{name}:"):
        container.values["image"] = container.image
        yield Fault((*container.path, "image"), given, "", container.image, "image_tag")


def _gpus(container: Container) -> Iterator[Fault]:
    """As many as the command divides the model over."""
    for name, number in container.gpus.items():
        if number.isdigit() and int(number) < container.ranks:
            for part in ("limits", "requests"):
                held = mapping_of(container.values["resources"].get(part))
                if name in held:
                    held[name] = container.ranks
            path = (*container.path, "resources", "limits", name)
            yield Fault(path, name, number, str(container.ranks), "gpus", str(container.ranks))


def _shared_memory(container: Container) -> Iterator[Fault]:
    """``/dev/shm`` for workers of several GPUs, 2 GiB each."""
    mounts = items_of(container.values.get("volumeMounts"))
    if container.ranks < 2 or container.pod.get("hostIPC") or any(m.get("mountPath") == "/dev/shm" for m in mounts):
        return
    size = f"{2 * container.ranks}Gi"
    container.values["volumeMounts"] = [*mounts, {"name": "shared-memory", "mountPath": "/dev/shm"}]
    volume = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": size}}
    held = [one for one in items_of(container.pod.get("volumes")) if one.get("name") != "shared-memory"]
    container.pod["volumes"] = [*held, volume]
    text = f"/dev/shm of {size} in memory"
    yield Fault((*container.path, "volumeMounts"), "volumeMounts", "", text, "shared_memory")


def _memory(container: Container) -> Iterator[Fault]:
    """Host memory, which is no card's; what lies in memory counts towards it."""
    resources = mapping_of(container.values.get("resources"))
    limits = mapping_of(resources.get("limits"))
    if not container.gpus or "memory" not in limits:
        return
    path = (*container.path, "resources", "limits", "memory")
    given = str(limits["memory"])
    mounted = {mount.get("name") for mount in items_of(container.values.get("volumeMounts"))}
    held = sum(
        quantity(mapping_of(volume.get("emptyDir")).get("sizeLimit"))
        for volume in items_of(container.pod.get("volumes"))
        if volume.get("name") in mounted and mapping_of(volume.get("emptyDir")).get("medium") == "Memory"
    )
    if quantity(given) and held >= quantity(given):
        whole = -(-(held + quantity(given)) // 2**30)
        limits["memory"] = f"{whole}Gi"
        yield Fault(path, "memory", given, limits["memory"], "memory_shm")
    else:
        yield Fault(path, "memory", given, given, "memory")


def _probes(container: Container) -> Iterator[Fault]:
    """A startup probe that waits for the start, so that the others need not guess it."""
    probe = mapping_of(container.values.get("livenessProbe"))
    if not probe or "startupProbe" in container.values or not _serves(container):
        return
    period, tries = _seconds(probe, "periodSeconds", 10), _seconds(probe, "failureThreshold", 3)
    killed = _seconds(probe, "initialDelaySeconds", 0) + period * tries
    if killed >= _LOADING_SECONDS:
        return
    asked = {
        name: copy.deepcopy(value) for name, value in probe.items() if name in ("httpGet", "tcpSocket", "exec", "grpc")
    }
    if not asked:
        return
    made = {**asked, "periodSeconds": _PERIOD, "failureThreshold": START_SECONDS // _PERIOD}
    kept: dict[str, Any] = {}
    for name, value in container.values.items():  # it stands before the probes that wait for it
        if name == "livenessProbe":
            kept["startupProbe"] = made
        kept[name] = value
    container.values.clear()
    container.values.update(kept)
    path = (*container.path, "livenessProbe", "initialDelaySeconds")
    given = str(probe.pop("initialDelaySeconds", 0))
    becomes = f"startupProbe of {START_SECONDS} s"
    yield Fault(path, "initialDelaySeconds", given, becomes, "liveness", str(killed))
    ready = mapping_of(container.values.get("readinessProbe"))
    if "initialDelaySeconds" in ready:
        path = (*container.path, "readinessProbe", "initialDelaySeconds")
        yield Fault(path, "initialDelaySeconds", str(ready.pop("initialDelaySeconds")), "", "readiness_delay")


def _seconds(probe: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = probe.get(name, otherwise)
    return value if isinstance(value, int) else otherwise


def _serves(container: Container) -> bool:
    return bool(container.fields) or bool(container.gpus)


_RULES: tuple[Callable[[Container], Iterator[Fault]], ...] = (_image, _gpus, _shared_memory, _memory, _probes)
