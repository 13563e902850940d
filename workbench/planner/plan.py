"""A plan: one deployment, one workload, and what was computed for them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench import cpu
from workbench.architecture.model import Model
from workbench.choices import Choices, Setup, explicit
from workbench.deployment import Workload, check_fields
from workbench.engines.registry import engine
from workbench.errors import InvalidInput
from workbench.formats import checkpoint_scheme
from workbench.hardware import GPU, custom_gpu
from workbench.memory.ledger import Interval
from workbench.memory.loading import Loading, loading
from workbench.memory.registry import memory
from workbench.planner.evaluate import Evaluation, Part, evaluate
from workbench.planner.reasons import reasons, remarks
from workbench.quantities import Estimate

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one GPU [B]; see :class:`workbench.memory.Ledger`."""

    capacity: float
    requested: float
    weights: Estimate
    activation_peak: Estimate
    non_torch: Estimate
    cuda_graphs: Estimate
    kv_cache: Estimate
    kv_bytes_per_token: float
    kv_cache_tokens: Estimate
    max_concurrency: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            name: value.to_dict() if isinstance(value := getattr(self, name), Estimate) else value
            for name in self.__slots__
        }


@dataclass(frozen=True, slots=True)
class Performance:
    """Speed under one workload.

    Attributes
    ----------
    ttft, tpot : Estimate
        Means over requests [s]; infinite where more arrives than can be served.
    output_tokens_per_s : Estimate
        Of the whole deployment.
    usd_per_million_tokens : Estimate or None
        Output tokens; None where no price is known.
    ttft_p95, tpot_p95 : Estimate
        What 95 % of requests do not exceed [s].
    itl_p50, itl_p95, itl_p99 : Estimate
        Gaps between tokens that so many of all gaps do not exceed [s].
    running : float
        Requests that decode at a time.
    saturation : float
        The most requests it can serve [1/s].
    preemptions : float
        Times a request is sent back for want of KV cache, on average.
    """

    ttft: Estimate
    tpot: Estimate
    output_tokens_per_s: Estimate
    usd_per_million_tokens: Estimate | None
    ttft_p95: Estimate | None = None
    tpot_p95: Estimate | None = None
    itl_p50: Estimate | None = None
    itl_p95: Estimate | None = None
    itl_p99: Estimate | None = None
    running: float | None = None
    saturation: float | None = None
    preemptions: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {name: v.to_dict() if isinstance(v := getattr(self, name), Estimate) else v for name in self.__slots__}


def _estimate(interval: Interval, at: int, basis: str) -> Estimate:
    return Estimate(float(interval.value[at]), float(interval.low[at]), float(interval.high[at]), basis)


def usd_per_hour(card: GPU, gpus: int) -> Estimate | None:
    """List price of a deployment's cards [USD/h]; None where no price is known."""
    return card.usd_per_hour.scaled(gpus) if card.usd_per_hour else None


def usd_per_million(price: Estimate | None, rate: Estimate) -> Estimate | None:
    """USD per million output tokens: price / (rate × 3600 s) × 10⁶."""
    if price is None or rate.low <= 0:
        return None
    factor = 1e6 / 3600
    return Estimate(
        price.value / rate.value * factor,
        price.low / rate.high * factor,
        price.high / rate.low * factor,
        rate.basis,
    )


class Plan:
    """What came of a deployment of a model; make one with :func:`plan`.

    Attributes
    ----------
    model : Model
    deployment : Deployment
    workload : Workload
    fits : bool
        Whether the engine starts.
    verdict : str
        "starts", or what goes wrong: see :data:`workbench.planner.evaluate.VERDICTS`.
    tight : bool
        Fits at the value, not at the pessimistic bound.
    """

    def __init__(self, model: Model, evaluation: Evaluation, row: int, workload: Workload) -> None:
        self.model = model
        self.workload = workload
        self._evaluation = evaluation
        self._row = row
        self.deployment = evaluation.choices.deployment(row)
        self.card = evaluation.choices.card(self.deployment.gpu)
        self.verdict = str(evaluation.verdict[row])
        self.fits = self.verdict == "starts"
        self.tight = bool(evaluation.tight[row])
        self._part, self._at = _locate(evaluation, row)

    def __repr__(self) -> str:
        d = self.deployment
        return f"<Plan {self.model.id} on {d.gpus} x {d.gpu}: {self.verdict}>"

    @property
    def setup(self) -> Setup | None:
        """Card, scheme and division of the plan; None where it could not be set up."""
        return self._part.setup if self._part else None

    @cached_property
    def reasons(self) -> list[str]:
        """Why, in sentences: what limits it if it fits, what is in the way if not."""
        return reasons(self._evaluation, self._row, self._part, self._at) + remarks(self._part, self._at, self.loading)

    @cached_property
    def fixes(self) -> list[dict[str, Any]]:
        """The cheapest changes that make it fit, each computed anew; empty for a plan that fits."""
        from workbench.planner.fixes import fixes

        return fixes(self)

    @cached_property
    def memory(self) -> Memory | None:
        """The ledger of one GPU, filled also when the plan does not fit; None if it cannot be set up at all."""
        if self._part is None:
            return None
        ledger, at, setup = self._part.ledger, self._at, self._part.setup
        rules = memory(setup)
        given = "given" if self.deployment.kv_cache_memory_bytes else ""

        def estimated(name: str, stated: str = "") -> Estimate:
            basis = stated or ("exact" if setup.on_cpu and rules.partial else rules.basis_of(name))
            return _estimate(getattr(ledger, name), at, basis)

        return Memory(
            capacity=float(ledger.capacity.value[at]),
            requested=float(ledger.requested.value[at]),
            weights=estimated("weights"),
            activation_peak=estimated("activation_peak"),
            non_torch=estimated("non_torch"),
            cuda_graphs=estimated("cuda_graphs"),
            kv_cache=estimated("kv_cache", given),
            kv_bytes_per_token=float(ledger.kv_bytes_per_token[at]),
            kv_cache_tokens=estimated("kv_cache_tokens", given),
            max_concurrency=estimated("max_concurrency", given),
        )

    @cached_property
    def loading(self) -> Loading | None:
        """Disk, host memory and time that loading needs; None where the plan could not be set up or it is not known."""
        if self._part is None or self.deployment.engine != "vllm":
            return None
        return loading(self._part.setup)

    @cached_property
    def explanations(self) -> dict[str, str]:
        """Where each figure of ``memory`` comes from, in a sentence, by its name."""
        from workbench.planner.explain import explanations

        return explanations(self._part, self._at) if self._part else {}

    def performance(self, workload: Workload | None = None) -> Performance | None:
        """Speed under a workload, the plan's own by default; None if the plan does not fit."""
        if not self.fits or self._part is None:
            return None
        from workbench.performance.service import service

        workload = workload or self.workload
        tokens = self._part.ledger.kv_cache_tokens.value
        found = service(self._part.setup, self._part.numbers, tokens, workload)

        def estimated(interval: Interval) -> Estimate:
            return _estimate(interval, self._at, found.basis)

        rate = estimated(found.output_tokens_per_s)
        return Performance(
            ttft=estimated(found.ttft),
            tpot=estimated(found.tpot),
            output_tokens_per_s=rate,
            usd_per_million_tokens=usd_per_million(self.usd_per_hour, rate),
            ttft_p95=estimated(found.at("ttft", 95)),
            tpot_p95=estimated(found.at("tpot", 95)),
            itl_p50=estimated(found.at("itl", 50)),
            itl_p95=estimated(found.at("itl", 95)),
            itl_p99=estimated(found.at("itl", 99)),
            running=float(found.running[self._at]),
            saturation=float(found.saturation[self._at]),
            preemptions=float(found.flow.preemptions[self._at]),
        )

    @property
    def usd_per_hour(self) -> Estimate | None:
        """List price of all cards of the deployment [USD/h]."""
        return usd_per_hour(self.card, self.deployment.gpus)

    @property
    def checkpoint(self) -> str:
        """What the engine is pointed at: the model, or the folder its quantised form is made in."""
        scheme = self.setup.scheme if self.setup else None
        source = str(self.model.folder) if self.model.folder else self.model.id
        own = checkpoint_scheme(self.model)
        if scheme is None or own is not None or scheme.online or not scheme.quantized:
            return source
        return f"{source.rstrip('/').rsplit('/', 1)[-1]}-{scheme.id}"

    @property
    def words(self) -> list[str]:
        """The engine's command as separate words; empty where no simple line starts it."""
        own = checkpoint_scheme(self.model) is not None
        return engine(self.deployment.engine).command(self.deployment, self.checkpoint, self.model, own)

    @property
    def command(self) -> str:
        """The engine's command as one line for a shell."""
        return shlex.join(self.words)

    @property
    def engine_version(self) -> str:
        """The engine version planned for."""
        return self.deployment.engine_version or engine(self.deployment.engine).version

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data; :meth:`from_dict` and every verb's ``--plan`` read it back."""
        performance = self.performance()
        price = self.usd_per_hour
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model.id,
            "config": dict(self.model.config),
            "deployment": self.deployment.to_dict(),
            "gpu": _describe(self.card),
            "workload": self.workload.to_dict(),
            "engine": self.deployment.engine,
            "engine_version": self.engine_version,
            "command": self.command,
            "fits": self.fits,
            "verdict": self.verdict,
            "tight": self.tight,
            "reasons": self.reasons,
            "fixes": self.fixes,
            "memory": self.memory.to_dict() if self.memory else None,
            "loading": self.loading.to_dict() if self.loading else None,
            "performance": performance.to_dict() if performance else None,
            "usd_per_hour": price.to_dict() if price else None,
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The plan as JSON text, also written to ``path`` if one is given."""
        text = json.dumps(self.to_dict(), indent=2)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Plan:
        """Compute again the plan that :meth:`to_dict` wrote.

        Raises
        ------
        InvalidInput
            If it is not such a plan.
        """
        if not isinstance(fields, Mapping) or fields.get("schema_version") != SCHEMA_VERSION:
            raise InvalidInput(f"not a plan of the workbench (schema_version {SCHEMA_VERSION}): write one with --json")
        try:
            config, deployment = dict(fields["config"]), dict(fields["deployment"])
            workload = Workload.from_dict(fields["workload"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"the plan is incomplete: {error}") from error
        if (own := (fields.get("gpu") or {}).get("custom")) is not None:
            deployment["gpu"] = custom_gpu(**own)
        name = str(fields["model"])
        return plan(Model.from_config(config, id=name), workload=workload, **deployment)

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """The plan in a JSON file."""
        try:
            fields = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise InvalidInput(f"{path} is not JSON: {error}") from error
        return cls.from_dict(fields)


def _describe(card: GPU) -> dict[str, Any]:
    """The card in a plan's JSON; the user's own with all that is needed to build it again."""
    facts: dict[str, Any] = {
        "name": card.name,
        "capacity": card.capacity.to_dict(),
        "memory_bandwidth": card.bandwidth,
        "source": card.source,
    }
    if card.source == "given by the user":
        rates = {("int8_tops" if k == "int8" else f"{k}_tflops"): v / 1e12 for k, v in card.flops.items()}
        facts["custom"] = {
            "name": card.name,
            "memory_gib": card.capacity.value / 2**30,
            "bandwidth_gb_s": card.bandwidth / 1e9,
            "compute_capability": card.target,
            "link": card.link,
            "link_gb_s": card.link_bandwidth / 1e9,
            "link_domain": card.link_domain,
            "pcie_gb_s": card.pcie_bandwidth / 1e9,
            "usd_per_hour": card.usd_per_hour.value if card.usd_per_hour else None,
            **rates,
        }
    return facts


def _locate(evaluation: Evaluation, row: int) -> tuple[Part | None, int]:
    for part in evaluation.parts:
        at = (part.rows == row).nonzero()[0]
        if at.size:
            return part, int(at[0])
    return None, 0


def as_model(model: Model | str | Path | Mapping[str, Any]) -> Model:
    """A model as given, or read by :meth:`Model.from_config`."""
    return model if isinstance(model, Model) else Model.from_config(model)


def plan(
    model: Model | str | Path | Mapping[str, Any],
    gpu: str | GPU = "L40S",
    *,
    workload: Workload | Mapping[str, Any] | None = None,
    **deployment: Any,
) -> Plan:
    """Plan one deployment of a model.

    Parameters
    ----------
    model
        A :class:`~workbench.Model`, or anything :meth:`Model.from_config` reads.
    gpu : str or GPU
        A card of ``wb.gpus()``, one made with ``hardware.custom_gpu``, or "cpu".
    workload : Workload, optional
        The load; ISL 1024, OSL 256, concurrency 16 when omitted.
    **deployment
        Fields of :class:`~workbench.Deployment`, single values.

    Raises
    ------
    UnknownName, UnsupportedModel, InvalidInput
        For names, models and values that cannot be planned.

    Examples
    --------
    >>> plan("meta-llama/Llama-3.1-70B-Instruct", "L40S", tensor_parallel_size=4).verdict
    'max_model_len_too_large'
    >>> plan("meta-llama/Llama-3.1-8B-Instruct", "L40S", max_model_len=8192).fits
    True
    """
    check_fields(deployment)
    for name, value in deployment.items():
        if isinstance(value, (list, tuple)):
            raise InvalidInput(f"{name} takes one value in a plan; wb.search crosses several")
    if cpu.is_cpu(gpu):
        gpu = cpu.NAME
    if isinstance(workload, Mapping):
        workload = Workload.from_dict(workload)
    found = as_model(model)
    evaluation = evaluate(Choices(found, explicit({"gpu": gpu, **deployment})))
    return Plan(found, evaluation, 0, workload or Workload())
