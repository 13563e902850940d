"""What an export is to be like, besides the plan: names, ports, replicas."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import InvalidInput, UnknownName
from workbench.exports import names
from workbench.memory.loading import storages
from workbench.planner import Plan


@dataclass(frozen=True)
class Wishes:
    """What is exported besides the plan.

    Parameters
    ----------
    name : str, optional
        Of the deployment: at most 40 lower-case letters, digits and dashes. By default made of the model's.
    namespace : str
        Of Kubernetes.
    host : str
        Under which clients reach it.
    port : int
        The engine's.
    replicas, most_replicas : int
        How many servers run, and how many an autoscaler may run; the latter is twice the former by default.
    machine_gpus : int, optional
        GPUs of one machine; by default those of the largest usual box of the card (``data/gpus.csv``).
    image : str, optional
        Container image instead of the engine's own for the version planned.
    model_path : str, optional
        Where the checkpoint lies on the machine that runs it, if it is no hub model.
    storage : str
        What the checkpoint is read from: a row of ``data/storage.csv``. The time that probes wait comes of it.
    requests_per_s : float
        What a proxy lets through for each client [1/s].
    beside : tuple of Plan
        Plans that the same server answers for besides; for targets that hold several models (Triton).

    Raises
    ------
    InvalidInput, UnknownName
        For what cannot be used; the message names it.
    """

    name: str | None = None
    namespace: str = "default"
    host: str = "llm.example.com"
    port: int = 8000
    replicas: int = 1
    most_replicas: int | None = None
    machine_gpus: int | None = None
    image: str | None = None
    model_path: str | None = None
    storage: str = "SATA SSD"
    requests_per_s: float = 10.0
    beside: tuple[Plan, ...] = ()

    def __post_init__(self) -> None:
        for field in ("name", "namespace"):
            if (value := getattr(self, field)) is not None:
                names.label(field, value)
        names.host(self.host)
        for field in ("image", "model_path"):
            if (value := getattr(self, field)) is not None:
                names.plain(field, value)
        if (self.model_path or "").startswith("-"):
            raise InvalidInput(f"model_path is {self.model_path!r}; programs take it for an option, write ./ before it")
        _whole("port", self.port, 1, 65535)
        _whole("replicas", self.replicas, 1, 10_000)
        if self.most_replicas is not None:
            _whole("most_replicas", self.most_replicas, self.replicas, 10_000)
        if self.machine_gpus is not None:
            _whole("machine_gpus", self.machine_gpus, 1, 1024)
        if self.storage not in storages():
            raise UnknownName("storage", self.storage, storages())
        rate = self.requests_per_s
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1e6:
            raise InvalidInput(f"requests_per_s is {rate!r}; it must be a number above 0 and at most 1e6")

        if not isinstance(self.beside, tuple | list) or not all(isinstance(plan, Plan) for plan in self.beside):
            raise InvalidInput("beside is not a list of plans")
        object.__setattr__(self, "beside", tuple(self.beside))

    def alone(self) -> Wishes:
        """The same for a plan beside: what says where and how many, not what the first one is called or made of."""
        return dataclasses.replace(self, name=None, model_path=None, image=None, beside=())

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Wishes:
        """Of named values; an unknown name is an error."""
        known = [f.name for f in dataclasses.fields(cls)]
        for field in fields:
            if field not in known:
                raise UnknownName("wish of an export", field, known)
        return cls(**fields)


def _whole(field: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidInput(f"{field} is {value!r}; it must be a whole number from {least} to {most}")
