"""What is asked for before anything is chosen: people, requests, times, quality, money, hardware."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from workbench.cost import KINDS
from workbench.cost.users import concurrency_of_users
from workbench.deployment import ServiceLevel, Workload
from workbench.errors import InvalidInput, UnknownName
from workbench.hardware import gpu
from workbench.planner.presets import preset

#: How much quality may be lost, strictest first -> what people read. Which formats pass is in ``FORMATS``.
FLOORS: Mapping[str, str] = MappingProxyType(
    {
        "none": "as the checkpoint is",
        "unmeasurable": "no measurable loss",
        "small": "a small, measured loss",
        "any": "any loss",
    }
)
#: Formats of weights and of the KV cache, and the first floor that lets each pass: what ``data/quality.csv`` reports of
#: them; one that nobody there measured passes only the last.
FORMATS: Mapping[tuple[str, str | None], str] = MappingProxyType(
    {
        ("weights", None): "none",
        ("weights", "fp8"): "unmeasurable",
        ("weights", "awq"): "small",
        ("weights", "nvfp4"): "any",
        ("kv", "auto"): "none",
        ("kv", "fp8"): "small",
    }
)


@dataclass(frozen=True)
class Need:
    """What a service is to be.

    Parameters
    ----------
    users : int, optional
        People who may use it; either they or ``requests_per_s``.
    active_share : float
        Share of the users whose request is being answered at the busiest moment.
    in_flight : float
        Requests that such a user has under way at a time.
    requests_per_s : float, optional
        Requests that arrive at the busiest time [1/s], instead of users.
    workload : Workload
        Lengths of the requests; its own concurrency and rate are not used.
    ttft, tpot : float, optional
        Longest time to the first token, and to each further one [s].
    percentile : float
        Share of the requests that these hold for [%]; 50 stands for the mean.
    usd_per_month : float, optional
        Budget.
    gpu : str, optional
        The only card to plan with.
    gpus : int, optional
        The most cards there are.
    floor : str
        One of :data:`FLOORS`.
    spare : bool
        One replica more than is needed, which may fail (N + 1).
    whole_nodes : bool
        Whether machines are rented whole.
    price : str
        One of :data:`workbench.cost.KINDS`.
    max_model_len : int
        Longest request, input and output together.

    Examples
    --------
    >>> Need(users=500).concurrency, Need(users=None, requests_per_s=2.5).concurrency
    (50, None)
    """

    users: int | None = 500
    active_share: float = 0.1
    in_flight: float = 1.0
    requests_per_s: float | None = None
    workload: Workload = preset("chat").workload
    ttft: float | None = 1.0
    tpot: float | None = 1 / 30
    percentile: float = 95.0
    usd_per_month: float | None = 20_000.0
    gpu: str | None = None
    gpus: int | None = None
    floor: str = "unmeasurable"
    spare: bool = False
    whole_nodes: bool = False
    price: str = "on_demand"
    max_model_len: int = 8192

    def __post_init__(self) -> None:
        if (self.users is None) == (self.requests_per_s is None):
            raise InvalidInput("users or requests_per_s must be given, and not both")
        if self.users is not None:
            concurrency_of_users(self.users, self.active_share, self.in_flight)
        for name in ("active_share", "in_flight"):
            _positive(name, getattr(self, name))
        for name in ("requests_per_s", "usd_per_month"):
            if getattr(self, name) is not None:
                _positive(name, getattr(self, name))
        for name in ("gpus", "max_model_len"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidInput(f"{name} is {value!r}; it must be a whole number of at least 1")
        if self.floor not in FLOORS:
            raise UnknownName("floor", str(self.floor), FLOORS, f"one of {', '.join(FLOORS)}")
        if self.price not in KINDS:
            raise UnknownName("kind of price", str(self.price), KINDS, f"one of {', '.join(KINDS)}")
        if self.gpu is not None:
            gpu(self.gpu)
        self.slo  # noqa: B018  (checks its own bounds)

    @property
    def slo(self) -> ServiceLevel:
        """The service level."""
        return ServiceLevel(ttft=self.ttft, tpot=self.tpot, percentile=self.percentile)

    @property
    def concurrency(self) -> int | None:
        """Requests in flight at the busiest moment; None where a rate is given."""
        return None if self.users is None else concurrency_of_users(self.users, self.active_share, self.in_flight)

    @property
    def demand(self) -> float:
        """What all replicas together must carry: requests in flight, or requests a second."""
        return float(self.concurrency or 0) if self.requests_per_s is None else self.requests_per_s

    def load(self, replicas: int) -> float:
        """What one of so many replicas carries, in the unit of ``demand``.

        >>> Need(users=500).load(4)
        13.0
        """
        each = self.demand / replicas
        return each if self.concurrency is None else float(math.ceil(each - 1e-9))

    def of_one(self, replicas: int) -> Workload:
        """The workload of one of so many replicas."""
        if self.concurrency is None:
            return replace(self.workload, request_rate=self.load(replicas), requests=None)
        return replace(self.workload, concurrency=int(self.load(replicas)), request_rate=None, requests=None)

    def users_of(self, demand: float) -> float:
        """So much demand in users; in requests a second where those were given."""
        return demand if self.users is None else demand / (self.active_share * self.in_flight)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"concurrency": self.concurrency}


def passes(kind: str, name: str | None, floor: str) -> bool:
    """Whether a format of the weights or of the KV cache is allowed by a floor.

    >>> passes("weights", "fp8", "unmeasurable"), passes("weights", "awq", "unmeasurable")
    (True, False)
    """
    order = list(FLOORS)
    return order.index(FORMATS.get((kind, name), "any")) <= order.index(floor)


def strictest(*formats: tuple[str, str | None]) -> str:
    """The strictest floor that lets all of some formats pass.

    >>> strictest(("weights", "fp8"), ("kv", "auto")), strictest(("weights", "fp8"), ("kv", "fp8"))
    ('unmeasurable', 'small')
    """
    order = list(FLOORS)
    return order[max(order.index(FORMATS.get(each, "any")) for each in formats)]


def _positive(name: str, value: Any) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    if not good:
        raise InvalidInput(f"{name} is {value!r}; it must be a number above 0")
