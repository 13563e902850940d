"""What this machine has: GPUs through NVML; CPU, memory and disk through psutil.

Nothing here fails because of the machine: a query that a card does not support is ``None``, a machine without a
driver has no GPUs, and ``notes`` says why.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pynvml  # type: ignore[import-untyped]

from workbench import hardware
from workbench.errors import UnknownName
from workbench.processor import memory, model_and_flags, usable_cores
from workbench.quantities import Estimate, show_bytes

#: vLLM has no kernels for older cards.
OLDEST_USABLE = (7, 0)

_TOPOLOGY = {
    pynvml.NVML_TOPOLOGY_INTERNAL: "same board",
    pynvml.NVML_TOPOLOGY_SINGLE: "one PCIe switch",
    pynvml.NVML_TOPOLOGY_MULTIPLE: "several PCIe switches",
    pynvml.NVML_TOPOLOGY_HOSTBRIDGE: "PCIe through the CPU",
    pynvml.NVML_TOPOLOGY_NODE: "PCIe through one NUMA node",
    pynvml.NVML_TOPOLOGY_SYSTEM: "PCIe across sockets",
}


@dataclass(frozen=True)
class GPUProcess:
    """A process that holds memory of a GPU; ``memory`` [bytes] is ``None`` where the driver does not tell."""

    pid: int
    name: str | None
    memory: int | None
    ours: bool


@dataclass(frozen=True)
class MIGInstance:
    """A slice of a card in MIG mode; engines use slices, not the whole card."""

    uuid: str | None
    name: str | None
    memory_total: int | None


@dataclass(frozen=True)
class GPUDevice:
    """One card of this machine. Sizes in bytes; ``None`` is "the card does not say".

    Attributes
    ----------
    name : str
        As NVML prints it.
    gpu : str or None
        The card of ``data/gpus.csv`` it is, if known.
    memory_total, memory_used, memory_free : int or None
        As nvidia-smi shows them: CUDA's total is a little less.
    memory_of_others : int or None
        Used by processes that this one did not start, and by what the driver does not attribute.
    nvlinks : int or None
        Active NVLink connections; 0 where the card has none.
    pcie_generation, pcie_lanes : int or None
        The most that card and slot agree on; an idle card runs slower.
    lost : str
        Why the card cannot be used, if it cannot; else empty.
    """

    index: int
    name: str
    gpu: str | None
    uuid: str | None = None
    compute_capability: tuple[int, int] | None = None
    memory_total: int | None = None
    memory_used: int | None = None
    memory_free: int | None = None
    memory_of_others: int | None = None
    processes: tuple[GPUProcess, ...] | None = None
    mig: bool | None = None
    mig_instances: tuple[MIGInstance, ...] = ()
    nvlinks: int | None = None
    pcie_generation: int | None = None
    pcie_lanes: int | None = None
    power_limit: float | None = None
    temperature: int | None = None
    utilization: float | None = None
    ecc: bool | None = None
    lost: str = ""

    @property
    def usable(self) -> bool:
        """Whether vLLM's CUDA build could use it."""
        new_enough = self.compute_capability is None or self.compute_capability >= OLDEST_USABLE
        return not self.lost and new_enough

    def card(self) -> hardware.GPU | None:
        """Return the card for planning, or ``None`` if ``data/gpus.csv`` does not hold it.

        Where this one shows another total than the table expects (ECC, a vGPU share), its own is taken.
        """
        if self.gpu is None:
            return None
        card = hardware.gpu(self.gpu)
        if self.memory_total is None:
            return card
        value, low, high = hardware.cuda_total_from_smi(self.memory_total)
        if card.capacity.contains(value):
            return card
        return replace(card, capacity=Estimate(value, low, high, "measured here"))


@dataclass(frozen=True)
class GPULink:
    """How two cards of this machine reach each other; ``peer_to_peer`` without passing CPU memory."""

    a: int
    b: int
    kind: str
    peer_to_peer: bool | None


@dataclass(frozen=True)
class CPU:
    """The processor. ``cores`` are those this process may use; ``host`` is its row of ``data/hosts.csv``, if known."""

    model: str
    cores: int
    physical_cores: int | None
    features: tuple[str, ...]
    host: str | None


@dataclass(frozen=True)
class Machine:
    """What :func:`describe` found. Sizes in bytes; memory within the container's limit where there is one."""

    system: str
    python: str
    driver: str | None
    cuda: str | None
    gpus: tuple[GPUDevice, ...]
    links: tuple[GPULink, ...]
    cpu: CPU
    memory_total: int
    memory_available: int
    disk_path: str
    disk_free: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain lists, numbers and text."""
        return asdict(self)

    def to_json(self) -> str:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        cards = [
            f"GPU {g.index}: {g.name}, "
            + (
                g.lost
                or f"{_size(g.memory_free)} free of {_size(g.memory_total)}"
                + (f", {_size(g.memory_of_others)} held by others" if g.memory_of_others else "")
            )
            for g in self.gpus
        ]
        cpu = f"CPU: {self.cpu.model}, {self.cpu.cores} cores ({', '.join(self.cpu.features) or 'no vector units'})"
        memory = f"memory: {show_bytes(self.memory_available)} free of {show_bytes(self.memory_total)}"
        disk = f"disk: {show_bytes(self.disk_free)} free"
        return "\n".join([*(cards or ["GPU: none"]), cpu, memory, disk, *self.notes])


def describe(path: str | Path = ".", nvml: Any = pynvml) -> Machine:
    """Look at this machine: a few milliseconds, nothing is started or changed.

    Parameters
    ----------
    path : str or Path
        Where the free disk space counts; the nearest folder above it that exists is asked.
    nvml : module
        NVML bindings; tests pass their own.

    Examples
    --------
    >>> here = describe()
    >>> here.memory_total >= here.memory_available > 0
    True
    """
    folder = _existing(Path(path))
    driver, cuda, devices, links, notes = _read_gpus(nvml)
    total, available = memory()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        driver=driver,
        cuda=cuda,
        gpus=devices,
        links=links,
        cpu=_cpu(),
        memory_total=total,
        memory_available=available,
        disk_path=str(folder),
        disk_free=psutil.disk_usage(str(folder)).free,
        notes=notes,
    )


def gpus(nvml: Any = pynvml) -> tuple[GPUDevice, ...]:
    """Cards of this machine, in NVML's order; empty without a driver."""
    return _read_gpus(nvml)[2]


def has_usable_gpu(nvml: Any = pynvml) -> bool:
    """Whether any card here could run vLLM's CUDA build."""
    return any(device.usable for device in gpus(nvml))


# ------------------------------------------------------------------------------------------------ GPUs


@contextmanager
def _session(nvml: Any) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        ask(nvml.nvmlShutdown)


def ask(query: Callable[..., Any], *arguments: Any) -> Any:
    """Answer of an NVML query, or ``None`` where the card, driver or rights do not give one."""
    try:
        answer = query(*arguments)
    except pynvml.NVMLError:
        return None
    return answer.decode() if isinstance(answer, bytes) else answer


def _read_gpus(
    nvml: Any,
) -> tuple[str | None, str | None, tuple[GPUDevice, ...], tuple[GPULink, ...], tuple[str, ...]]:
    try:
        with _session(nvml):
            driver = ask(nvml.nvmlSystemGetDriverVersion)
            version = ask(nvml.nvmlSystemGetCudaDriverVersion)
            cuda = f"{version // 1000}.{version % 1000 // 10}" if version else None
            count = nvml.nvmlDeviceGetCount()
            ours = _own_processes()
            handles: dict[int, Any] = {}
            devices = []
            for index in range(count):
                try:
                    handle = nvml.nvmlDeviceGetHandleByIndex(index)
                    devices.append(_device(nvml, index, handle, ours))
                    handles[index] = handle
                except pynvml.NVMLError as error:
                    devices.append(GPUDevice(index, f"GPU {index}", None, lost=why(error)))
            notes = tuple(note for device in devices for note in _remarks(device))
            return driver, cuda, tuple(devices), _links(nvml, handles), notes
    except (pynvml.NVMLError, OSError) as error:
        return None, None, (), (), (f"no NVIDIA GPU can be used: {why(error)}",)


def why(error: Exception) -> str:
    """What an error of NVML means, in words."""
    words: dict[type[Exception], str] = {
        pynvml.NVMLError_LibraryNotFound: "no NVIDIA driver is installed",
        pynvml.NVMLError_DriverNotLoaded: "the NVIDIA driver is installed but not loaded",
        pynvml.NVMLError_LibRmVersionMismatch: "the NVIDIA driver was updated; restart the machine",
        pynvml.NVMLError_GpuIsLost: "it fell off the bus; restart the machine",
        pynvml.NVMLError_NoPermission: "this user may not query it",
    }
    return next((text for kind, text in words.items() if isinstance(error, kind)), str(error))


def _device(nvml: Any, index: int, handle: Any, ours: set[int]) -> GPUDevice:
    name = nvml.nvmlDeviceGetName(handle)  # a lost card fails here, and the caller says so
    name = name.decode() if isinstance(name, bytes) else name
    memory = memory_info(nvml, handle)
    processes = _processes(nvml, handle, ours)
    used = memory.used if memory else None
    own = sum(process.memory or 0 for process in processes or () if process.ours)
    mode = ask(nvml.nvmlDeviceGetMigMode, handle)
    mig = bool(mode[0]) if mode else None
    power = ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
    rates = ask(nvml.nvmlDeviceGetUtilizationRates, handle)
    ecc = ask(nvml.nvmlDeviceGetEccMode, handle)
    return GPUDevice(
        index=index,
        name=name,
        gpu=_known(name),
        uuid=ask(nvml.nvmlDeviceGetUUID, handle),
        compute_capability=_pair(ask(nvml.nvmlDeviceGetCudaComputeCapability, handle)),
        memory_total=memory.total if memory else None,
        memory_used=used,
        memory_free=memory.free if memory else None,
        memory_of_others=max(0, used - own) if used is not None else None,
        processes=processes,
        mig=mig,
        mig_instances=_mig_instances(nvml, handle) if mig else (),
        nvlinks=_active_nvlinks(nvml, handle),
        pcie_generation=ask(nvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        pcie_lanes=ask(nvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        power_limit=power / 1000 if power else None,
        temperature=ask(nvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        utilization=rates.gpu / 100 if rates else None,
        ecc=bool(ecc[0]) if ecc else None,
    )


def memory_info(nvml: Any, handle: Any) -> Any:
    """NVML's ``total``, ``used`` and ``free`` of a card [bytes], or ``None``."""
    # version 2 keeps the driver's own reserve out of "used"; older drivers know only version 1
    second = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2))
    return second or ask(nvml.nvmlDeviceGetMemoryInfo, handle)


def _processes(nvml: Any, handle: Any, ours: set[int]) -> tuple[GPUProcess, ...] | None:
    found: dict[int, GPUProcess] = {}
    answers = [
        ask(query, handle)
        for query in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses)
    ]
    if all(answer is None for answer in answers):
        return None
    for process in (process for answer in answers if answer for process in answer):
        memory = process.usedGpuMemory
        found[process.pid] = GPUProcess(
            process.pid, _process_name(process.pid), int(memory) if memory else None, process.pid in ours
        )
    return tuple(found.values())


def _process_name(pid: int) -> str | None:
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:  # gone, or of another container
        return None


def _own_processes() -> set[int]:
    here = psutil.Process()
    return {here.pid, *(child.pid for child in here.children(recursive=True))}


def _mig_instances(nvml: Any, handle: Any) -> tuple[MIGInstance, ...]:
    found = []
    for slot in range(ask(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        instance = ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, slot)
        if instance is not None:  # empty slots answer "not found"
            memory = memory_info(nvml, instance)
            name, uuid = ask(nvml.nvmlDeviceGetName, instance), ask(nvml.nvmlDeviceGetUUID, instance)
            found.append(MIGInstance(uuid, name, memory.total if memory else None))
    return tuple(found)


def _active_nvlinks(nvml: Any, handle: Any) -> int | None:
    states = [ask(nvml.nvmlDeviceGetNvLinkState, handle, link) for link in range(pynvml.NVML_NVLINK_MAX_LINKS)]
    known = [state for state in states if state is not None]
    return sum(bool(state) for state in known) if known else None


def _links(nvml: Any, handles: dict[int, Any]) -> tuple[GPULink, ...]:
    return tuple(
        GPULink(a, b, _link_kind(nvml, handles[a], handles[b]), _peer_to_peer(nvml, handles[a], handles[b]))
        for a in handles
        for b in handles
        if a < b
    )


def _link_kind(nvml: Any, a: Any, b: Any) -> str:
    if ask(nvml.nvmlDeviceGetP2PStatus, a, b, pynvml.NVML_P2P_CAPS_INDEX_NVLINK) == pynvml.NVML_P2P_STATUS_OK:
        return "NVLink"
    return _TOPOLOGY.get(ask(nvml.nvmlDeviceGetTopologyCommonAncestor, a, b), "unknown")


def _peer_to_peer(nvml: Any, a: Any, b: Any) -> bool | None:
    status = ask(nvml.nvmlDeviceGetP2PStatus, a, b, pynvml.NVML_P2P_CAPS_INDEX_READ)
    return None if status is None else bool(status == pynvml.NVML_P2P_STATUS_OK)


def _known(name: str) -> str | None:
    try:
        return hardware.gpu(name).name
    except UnknownName:
        return None


def _pair(answer: Any) -> tuple[int, int] | None:
    return (int(answer[0]), int(answer[1])) if answer else None


def _remarks(device: GPUDevice) -> Iterator[str]:
    if device.lost:
        yield f"GPU {device.index} cannot be used: {device.lost}"
        return
    if device.gpu is None:
        yield f"{device.name} is not in data/gpus.csv: describe it with hardware.custom_gpu to plan for it"
    if not device.usable:
        yield f"{device.name} is too old for vLLM (needs compute capability 7.0)"
    if device.mig:
        yield f"GPU {device.index} is in MIG mode: choose one of its {len(device.mig_instances)} slices by UUID"
    if device.memory_total and device.memory_of_others and device.memory_of_others > 0.05 * device.memory_total:
        held = show_bytes(device.memory_of_others)
        yield f"other processes hold {held} of GPU {device.index}: vLLM counts free memory when it starts"


# ------------------------------------------------------------------------------------------------ the rest


def _cpu() -> CPU:
    model, flags = model_and_flags()
    wanted = {"avx2": "avx2", "avx512f": "avx512", "avx512_bf16": "avx512_bf16", "amx_bf16": "amx_bf16"}
    wanted |= {"amx_int8": "amx_int8", "asimd": "neon", "sve": "sve", "bf16": "arm_bf16"}
    try:
        host = hardware.host(model).name
    except UnknownName:
        host = None
    return CPU(
        model=model,
        cores=usable_cores(),
        physical_cores=psutil.cpu_count(logical=False),
        features=tuple(word for flag, word in wanted.items() if flag in flags),
        host=host,
    )


def _existing(path: Path) -> Path:
    path = path.expanduser().absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _size(size: int | None) -> str:
    return "unknown" if size is None else show_bytes(size)
