"""A stand-in for NVML: cards that answer as they are told, with the errors of the real one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml  # type: ignore[import-untyped]

from workbench.quantities import MIB


class Card:
    """What one stand-in card answers; a name missing here is a query it does not support."""

    def __init__(self, name: str, total_mib: int, used_mib: int = 600, **answers: Any) -> None:
        memory = SimpleNamespace(total=total_mib * MIB, used=used_mib * MIB, free=(total_mib - used_mib) * MIB)
        self.answers = {
            "nvmlDeviceGetName": name,
            "nvmlDeviceGetMemoryInfo": memory,
            "nvmlDeviceGetUUID": f"GPU-{name}",
            "nvmlDeviceGetCudaComputeCapability": (8, 9),
            "nvmlDeviceGetComputeRunningProcesses": [],
            "nvmlDeviceGetGraphicsRunningProcesses": [],
            "nvmlDeviceGetMaxPcieLinkGeneration": 4,
            "nvmlDeviceGetMaxPcieLinkWidth": 16,
            "nvmlDeviceGetEnforcedPowerLimit": 350_000,
            "nvmlDeviceGetTemperature": 41,
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=7, memory=3),
            **answers,
        }


class FakeNVML:
    """The part of ``pynvml`` that is asked; errors are the real ones."""

    def __init__(self, *cards: Card, nvlink_pairs: set[tuple[int, int]] = frozenset(), **answers: Any) -> None:  # type: ignore[assignment]
        self.cards, self.nvlink_pairs, self.open = list(cards), nvlink_pairs, 0
        self.answers = {
            "nvmlSystemGetDriverVersion": b"580.65.06",
            "nvmlSystemGetCudaDriverVersion": 13000,
            "nvmlDeviceGetCount": len(cards),
            **answers,
        }

    def nvmlInit(self) -> None:
        self._answer(self.answers.get("nvmlInit"))
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    @staticmethod
    def _answer(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        assert self.open == 1, "asked outside nvmlInit and nvmlShutdown"
        return self._answer(self.cards[index].answers.get("handle", self.cards[index]))  # type: ignore[no-any-return]

    def nvmlDeviceGetMemoryInfo(self, card: Card, version: int | None = None) -> Any:
        if version and "v2" in card.answers:
            return self._answer(card.answers["v2"])
        if version:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return self._answer(card.answers["nvmlDeviceGetMemoryInfo"])

    def nvmlDeviceGetNvLinkState(self, card: Card, link: int) -> int:
        links = card.answers.get("nvlinks")
        if links is None or link >= len(links):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return int(links[link])

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, slot: int) -> Card:
        slots = card.answers["slots"]
        if slots[slot] is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return slots[slot]  # type: ignore[no-any-return]

    def nvmlDeviceGetP2PStatus(self, a: Card, b: Card, capability: int) -> int:
        pair = (self.cards.index(a), self.cards.index(b))
        if capability == pynvml.NVML_P2P_CAPS_INDEX_NVLINK:
            return 0 if pair in self.nvlink_pairs else pynvml.NVML_P2P_STATUS_NOT_SUPPORTED
        return int(self._answer(self.answers.get("p2p", 0)))

    def nvmlDeviceGetTopologyCommonAncestor(self, a: Card, b: Card) -> int:
        return int(self._answer(self.answers.get("topology", pynvml.NVML_TOPOLOGY_NODE)))

    def __getattr__(self, query: str) -> Any:
        assert hasattr(pynvml, query), f"NVML has no {query}"

        def answer(*arguments: Any) -> Any:
            answers = arguments[0].answers if arguments else self.answers
            if query not in answers:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return self._answer(answers[query])

        return answer


def error(code: int) -> Exception:
    return pynvml.NVMLError(code)  # type: ignore[no-any-return]
