"""Quantise a model, for real: one file per method, run as a job in the ``quantize`` environment.

The package is called ``quantizers`` because ``wb.quantize`` is the function; a package of that name would take
its place in ``workbench`` as soon as it is imported.

>>> "awq" in methods()
True
>>> methods()["awq"].check({"q_group_size": 64})["q_group_size"]
64
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import InvalidInput, MissingPart
from workbench.quantizers.registry import Method, Parameter, find, methods

if TYPE_CHECKING:
    from workbench.architecture import Model
    from workbench.cluster import Cluster
    from workbench.jobs import Job
    from workbench.progress import Progress
    from workbench.quantizers.calibration import Given
    from workbench.quantizers.preflight import Preflight

__all__ = ["Method", "Parameter", "check", "find", "methods", "quantize", "source_folder"]

#: Scored tokens of the held-out text, before and after.
EVALUATE_TOKENS = 8192


def quantize(
    model: str | Path | Model,
    method: str = "awq",
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    chat: bool = False,
    gpu: str | None = None,
    revision: str | None = None,
    download: bool = False,
    evaluate_tokens: int = EVALUATE_TOKENS,
    tasks: Sequence[str] = (),
    overwrite: bool = False,
    on: str | Cluster | None = None,
    **parameters: Any,
) -> Job:
    """Quantise a model; returns at once.

    Parameters
    ----------
    model : str, Path or Model
        ``"builtin"``, a folder, or the id of a model on the Hugging Face Hub.
    method : str
        One of :func:`methods`.
    out : str or Path, optional
        Folder to make; by default ``NAME-METHOD`` here. It appears when everything is done, or never.
    data : str or Path, optional
        Calibration data: a .txt (paragraphs); a .jsonl or .csv with ``text`` or ``messages`` (role and content, put
        into words by the model's chat template); the folder of a data set; or the id of one on the Hugging Face Hub,
        ``owner/name[/configuration][:split][#column]``. By default the built-in text.
    chat : bool
        Whether each plain text, too, is put as a user's turn by the chat template: what a model that will only ever
        chat reads. Conversations always are.
    gpu : str, optional
        Card the result is for: refused if vLLM cannot run it there.
    revision : str, optional
        Branch, tag or commit of a hub model.
    download : bool
        Whether a hub model or data set that is not on this machine may be fetched.
    evaluate_tokens : int
        Tokens of held-out text that perplexity is measured on, before and after; 0 leaves it out.
    tasks : sequence of str
        Tasks of lm-eval that the model answers before and after, where transformers runs it: ``"what_comes_next"``, a
        small one of our own, or those lm-eval knows (``"mmlu"``, ``"hellaswag"`` …), whose data must be here or be
        fetched (``download``).
    overwrite : bool
        Whether a folder that exists is replaced, at the very end.
    on : str or Cluster, optional
        A Ray cluster, ``"ray://HOST:10001"``: the work is done on one of its nodes that has the memory, and the result
        comes to ``out`` here. See :mod:`workbench.cluster`.
    **parameters
        The library's own, see ``methods()[method].parameters``.

    Returns
    -------
    Job
        Its result: ``method``, ``out``, ``bytes_before``, ``bytes_after`` (tensors), ``bits_per_weight`` (of the
        quantised modules, scales included), both also as estimated; ``perplexity_before``, ``perplexity_after``,
        ``kl_divergence`` [nats], ``top1_agreement``, ``layer_errors``, ``generations``, ``tasks``, ``evaluation`` (on
        what);
        ``calibration`` (on what), ``parameters``, ``notes``, ``peak_memory`` [bytes], ``seconds_quantising`` and
        ``seconds`` of it all, estimated too (``seconds_estimated``, None where nobody knows).

    Raises
    ------
    UnknownName
        For a method or parameter that does not exist.
    InvalidInput
        For a value, data file, folder or checkpoint that cannot be used, or a card that could not run the result.
    UnsupportedModel
        If the model is quantised already or the method does not suit it.
    MissingPart
        If the model is not on this machine, or memory or disk are too small.

    Examples
    --------
    >>> job = quantize("builtin", method="awq", out="builtin-awq", q_group_size=64)     # doctest: +SKIP
    >>> job.wait()["perplexity_after"]                                                  # doctest: +SKIP
    """
    from workbench import builtin, jobs
    from workbench.cluster import place_of

    how = find(method)
    place = place_of(on)
    values = how.check(parameters)
    if isinstance(evaluate_tokens, bool) or not isinstance(evaluate_tokens, int) or evaluate_tokens < 0:
        raise InvalidInput(f"evaluate_tokens is {evaluate_tokens!r}; a whole number of at least 0 is needed")
    given = _given(how, values, data, chat)
    name = _name(model)
    target = Path(out).expanduser().absolute() if out is not None else Path.cwd() / _default_out(name, how)
    request = {
        "method": how.id,
        "parameters": values,
        "data": given.source,
        "chat": given.chat,
        "download": download,
        "evaluate_tokens": evaluate_tokens,
        "tasks": _tasks(tasks, evaluate_tokens),
    }
    provenance = {"model": name, "revision": revision, "library": how.library}
    notes: list[str] = []

    def verify(folder: Path) -> dict[str, Any]:
        elsewhere = on is not None
        found = check(folder, how, values, target, gpu, given, evaluate_tokens=evaluate_tokens, elsewhere=elsewhere)
        notes[:] = found.notes
        seconds = found.seconds.to_dict() if found.seconds else None
        estimated = {"bytes": found.bytes_after, "bits": found.bits, "seconds": seconds}
        needs = {"needs": {"memory": found.memory}} if elsewhere else {}
        return {"source": str(folder), "notes": list(found.notes), "estimated": estimated, **needs}

    prepare: jobs.Prepare | None = None
    local = source_folder(model, revision)
    if local is not None:
        request |= verify(local)
    elif name == builtin.NAME:

        def prepare(
            tell: Callable[[Progress], None], cancel: threading.Event
        ) -> Mapping[str, Any]:  # trained first, as a stage of the job
            return verify(builtin.ensure(tell))

    elif download:
        from workbench import hub

        def prepare(tell: Callable[[Progress], None], cancel: threading.Event) -> Mapping[str, Any]:
            return verify(hub.checkpoint(name, revision, progress=tell, cancel=cancel))

    else:
        raise MissingPart(
            f"{name} is not on this machine; allow it to be downloaded (download=True, --download) or give a folder"
        )
    return jobs.start(
        f"quantise {name} ({how.id})",
        "workbench.quantizers.worker",
        request,
        how.environment,
        target,
        overwrite=overwrite,
        prepare=prepare,
        provenance=provenance,
        place=place,
        inputs=("source", "data"),
        variables={
            "HF_HUB_OFFLINE": "0" if download and given.remote else "1",  # the model itself lies in a folder by now
            "TOKENIZERS_PARALLELISM": "false",
            "TQDM_MININTERVAL": "0.5",
            **builtin.SLEEP_WHILE_WAITING,
        },
    )


def check(
    folder: Path,
    method: str | Method,
    parameters: Mapping[str, Any],
    out: Path,
    gpu: str | None = None,
    data: str | Path | Given | None = None,
    chat: bool = False,
    evaluate_tokens: int = EVALUATE_TOKENS,
    elsewhere: bool = False,
) -> Preflight:
    """The preflight of :func:`quantize` alone: nothing is started or written.

    With `elsewhere` another machine will do it: nothing is asked of this one but the disk for the result.

    Raises
    ------
    InvalidInput, UnsupportedModel, MissingPart, UnknownName
        As :func:`quantize` does.
    """
    from workbench.quality.tokens import has_chat_template, without_template
    from workbench.quantizers.calibration import Given
    from workbench.quantizers.preflight import preflight
    from workbench.quantizers.source import read

    how = method if isinstance(method, Method) else find(method)
    values = how.check(parameters)
    given = data if isinstance(data, Given) else _given(how, values, data, chat)
    own_text = given.source is not None
    found = preflight(read(folder), how, values, out, gpu, evaluate_tokens, own_text=own_text, elsewhere=elsewhere)
    if given.conversations and not has_chat_template(folder):
        raise without_template(folder)
    return replace(found, notes=(*found.notes, *given.notes))


def source_folder(model: str | Path | Model, revision: str | None = None) -> Path | None:
    """The folder a model lies in on this machine, or None.

    A folder that exists comes first, then the built-in model if it is trained, then the hub's cache.

    Raises
    ------
    InvalidInput
        If it looks like a path and nothing is there.
    """
    from workbench import builtin, hub

    name = _name(model)
    if name == builtin.NAME:
        trained = builtin.folder()
        return trained if trained.is_dir() else None
    path = Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    if isinstance(model, Path) or not hub.is_id(name):
        raise InvalidInput(f"there is no folder {name}")
    return hub.cached(name, revision)


def _given(how: Method, parameters: Mapping[str, Any], data: str | Path | None, chat: bool) -> Given:
    if (data is not None or chat) and not how.reads_text(parameters):
        raise InvalidInput(f"{how.id} needs no calibration text; leave {'chat' if data is None else 'data'} out")
    from workbench.quantizers import calibration

    return calibration.given(data, chat)


def _tasks(tasks: Sequence[str], tokens: int) -> list[str]:
    if isinstance(tasks, str) or not all(isinstance(task, str) and task for task in tasks):
        raise InvalidInput("tasks is a list of names of tasks")
    if tasks and not tokens:
        raise InvalidInput("tasks are asked when the model is measured; leave evaluate_tokens above 0")
    return list(tasks)


def _name(model: str | Path | Model) -> str:
    if isinstance(model, str | os.PathLike):
        name = os.fspath(model)
    else:
        name = os.fspath(model.folder) if model.folder else model.id
    if not name or "\0" in name:
        raise InvalidInput("give a model: builtin, a folder, or a hub id")
    return name


def _default_out(name: str, how: Method) -> str:
    words = re.sub(r"[^\w.-]+", "-", Path(name).name).strip(".-") or "model"
    return f"{words}-{how.id.replace('_', '-')}"
