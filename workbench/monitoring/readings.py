"""One reading of this machine while an engine runs: cards, processor, memory, the engine's own processes.

Light enough for once a second: a handful of NVML's and psutil's queries, nothing that walks files or starts a program.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psutil
import pynvml  # type: ignore[import-untyped]

from workbench import hardware
from workbench.errors import UnknownName
from workbench.machine import ask, memory, memory_info, why

#: Why a card lowers its clocks, in a word: bits of NVML's clocks event reasons. The clocks of an idle card, of
#: applications and of displays are no trouble and left out.
#: https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html
SLOWED: dict[str, int] = {
    "thermal": pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    "power": pynvml.nvmlClocksEventReasonSwPowerCap,
    "power brake": pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
}
#: A driver that failed is asked again after so long [s].
_AGAIN = 30.0
#: Words in the command line of an engine, by which the process behind a port is taken for one.
_ENGINES = ("vllm", "llama_cpp", "llama-server", "sglang", "trtllm", "text-generation")


@dataclass(frozen=True, slots=True)
class CardReading:
    """One card now; what it does not tell is None.

    Parameters
    ----------
    index : int
        NVML's number.
    name : str
        As NVML prints it.
    memory_total, memory_used : int or None
        [bytes]
    utilization : float or None
        Share of the last sampling period in which a kernel ran, from 0 to 1 [-]; not how much of the card it used.
    power, power_limit, power_default : float or None
        Drawn now, the most it may draw, the most it may draw as it was built [W].
    temperature : int or None
        [°C]
    slowed : tuple of str or None
        Why its clocks are lowered now (:data:`SLOWED`); empty when they are not.
    ours : bool or None
        Whether a process of the engine holds memory of it; None where that cannot be told.
    lost : str
        Why it does not answer; else empty.
    """

    index: int
    name: str
    memory_total: int | None = None
    memory_used: int | None = None
    utilization: float | None = None
    power: float | None = None
    power_limit: float | None = None
    power_default: float | None = None
    temperature: int | None = None
    slowed: tuple[str, ...] | None = None
    ours: bool | None = None
    lost: str = ""

    def card(self) -> hardware.GPU | None:
        """The card of ``data/gpus.csv``, if it is known."""
        try:
            return hardware.gpu(self.name)
        except UnknownName:
            return None


@dataclass(frozen=True, slots=True)
class Reading:
    """This machine now.

    Parameters
    ----------
    cards : tuple of CardReading
        Empty without a driver.
    cpu : float or None
        Share of all processors that was busy since the last reading, from 0 to 1 [-]; None at the first.
    processors : int
        How many there are.
    memory_total, memory_available : int
        RAM within a container's limit [bytes].
    engine_rss : int or None
        Resident memory of the engine's processes, pages they share counted in each [bytes].
    engine_cores : float or None
        Processors that they kept busy since the last reading [-].
    engine_busiest : float or None
        The same of the busiest one of them: one Python thread cannot do more than 1 [-].
    pid : int or None
        The engine's process, if it is found.
    """

    cards: tuple[CardReading, ...]
    cpu: float | None
    processors: int
    memory_total: int
    memory_available: int
    engine_rss: int | None = None
    engine_cores: float | None = None
    engine_busiest: float | None = None
    pid: int | None = None

    @property
    def engines_cards(self) -> tuple[CardReading, ...]:
        """Cards that the engine is known to use; all that answer where that is not known."""
        answering = tuple(card for card in self.cards if not card.lost)
        return tuple(card for card in answering if card.ours) or answering


class Meter:
    """Reads this machine again and again; shares of time are between one reading and the next.

    Parameters
    ----------
    nvml : module
        NVML bindings; tests pass their own.
    """

    def __init__(self, nvml: Any = pynvml) -> None:
        self._nvml = nvml
        self._open = False
        self._next_try = 0.0
        self._busy: tuple[float, float] | None = None
        self._spent: dict[int, float] = {}
        self._at: float | None = None

    def read(self, pid: int | None = None) -> Reading:
        """One reading.

        Parameters
        ----------
        pid : int, optional
            The engine's first process. Those of its group are counted where it leads one, else its descendants.
        """
        family = members(pid) if pid is not None else []
        total, available = memory()
        rss, cores, busiest = self._engine(family)
        return Reading(
            cards=self._cards({process.pid for process in family}),
            cpu=self._share(),
            processors=psutil.cpu_count() or 1,
            memory_total=total,
            memory_available=available,
            engine_rss=rss,
            engine_cores=cores,
            engine_busiest=busiest,
            pid=pid if family else None,
        )

    def close(self) -> None:
        """Leave NVML."""
        if self._open:
            self._open = False
            ask(self._nvml.nvmlShutdown)

    # --- processor and processes ----------------------------------------------------------------------------------

    def _share(self) -> float | None:
        times = psutil.cpu_times()
        # What a guest used is in "user" too.
        whole = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        before, self._busy = self._busy, (whole - idle, whole)
        if before is None or whole <= before[1]:
            return None
        return min(max((whole - idle - before[0]) / (whole - before[1]), 0.0), 1.0)

    def _engine(self, family: Iterable[psutil.Process]) -> tuple[int | None, float | None, float | None]:
        now, rss, spent = time.monotonic(), 0, {}
        for process in family:
            try:
                with process.oneshot():
                    rss += process.memory_info().rss
                    used = process.cpu_times()
            except psutil.Error:  # it ended meanwhile, or is not ours to look at
                continue
            spent[process.pid] = used.user + used.system
        before, self._spent = self._spent, spent
        earlier, self._at = self._at, now
        if not spent:
            return None, None, None
        grown = [max(seconds - before[pid], 0.0) for pid, seconds in spent.items() if pid in before]
        if not grown or earlier is None or now <= earlier:
            return rss, None, None
        return rss, sum(grown) / (now - earlier), max(grown) / (now - earlier)

    # --- cards ----------------------------------------------------------------------------------------------------

    def _cards(self, family: set[int]) -> tuple[CardReading, ...]:
        if not self._open:
            if time.monotonic() < self._next_try:
                return ()
            try:
                self._nvml.nvmlInit()
            except (pynvml.NVMLError, OSError):
                self._next_try = time.monotonic() + _AGAIN
                return ()
            self._open = True
        try:
            count = self._nvml.nvmlDeviceGetCount()
        except pynvml.NVMLError:  # the driver went; look again later
            self.close()
            self._next_try = time.monotonic() + _AGAIN
            return ()
        return tuple(self._card(index, family) for index in range(count))

    def _card(self, index: int, family: set[int]) -> CardReading:
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            name = nvml.nvmlDeviceGetName(handle)
        except pynvml.NVMLError as error:
            return CardReading(index, f"GPU {index}", lost=why(error))
        held = memory_info(nvml, handle)
        rates = ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        power = ask(nvml.nvmlDeviceGetPowerUsage, handle)
        limit = ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        default = ask(nvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
        return CardReading(
            index=index,
            name=name.decode() if isinstance(name, bytes) else name,
            memory_total=held.total if held else None,
            memory_used=held.used if held else None,
            utilization=rates.gpu / 100 if rates else None,
            power=None if power is None else power / 1000,
            power_limit=limit / 1000 if limit else None,
            power_default=default / 1000 if default else None,
            temperature=ask(nvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
            slowed=_slowed(nvml, handle),
            ours=_ours(nvml, handle, family),
        )


def _slowed(nvml: Any, handle: Any) -> tuple[str, ...] | None:
    # Drivers before 535 know the query by its older name only.
    bits = ask(nvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
    if bits is None:
        bits = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
    return None if bits is None else tuple(name for name, mask in SLOWED.items() if bits & mask)


def _ours(nvml: Any, handle: Any, family: set[int]) -> bool | None:
    if not family:
        return None
    running = ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle)
    return None if running is None else any(process.pid in family for process in running)


def members(pid: int) -> list[psutil.Process]:
    """Processes of the group that a process leads, else it and its descendants; none once it is gone."""
    try:
        if not hasattr(os, "getpgid") or os.getpgid(pid) != pid:
            process = psutil.Process(pid)
            return [process, *process.children(recursive=True)]
    except (psutil.Error, OSError):
        return []
    found = []
    for other in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):  # it may end meanwhile
            if os.getpgid(other) == pid:
                found.append(psutil.Process(other))
    return found


def engine_behind(port: int) -> int | None:
    """The process of this machine that listens at a port, if it is an engine's; None also where it may not be seen.

    A tunnel to another machine listens here too, and is none.
    """
    try:
        listening = [c.pid for c in psutil.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN
                     and c.laddr and c.laddr.port == port and c.pid]  # fmt: skip
        for pid in listening:
            if any(word in part.casefold() for part in psutil.Process(pid).cmdline() for word in _ENGINES):
                return pid
    except (psutil.Error, OSError):
        return None
    return None
