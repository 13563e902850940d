"""Long work as jobs: a process in an environment, with progress, cancel, and a whole result or none.

>>> job = start("quantise", "workbench.quantizers.worker", {...}, "quantize", out)     # doctest: +SKIP
>>> job.status, job.progress                                                            # doctest: +SKIP
('running', Progress(fraction=0.4, stage='calibrating', detail='layer 2 of 4', seconds_left=None))
>>> job.wait()                                                                          # doctest: +SKIP

How a worker is written is in :mod:`workbench.worker`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench import environments
from workbench.errors import InvalidInput, MissingPart
from workbench.jobs import target
from workbench.jobs.job import Job, JobCancelled, JobFailed, Prepare, jobs
from workbench.jobs.place import HERE, Place, Task
from workbench.progress import Progress

__all__ = ["HERE", "Job", "JobCancelled", "JobFailed", "Place", "Prepare", "Progress", "Task", "jobs", "start"]


def start(
    name: str,
    worker: str | Path,
    request: Mapping[str, Any],
    environment: str | None,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    heavy: bool = True,
    prepare: Prepare | None = None,
    provenance: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    disk_bytes: int = 0,
    place: Place = HERE,
    inputs: Sequence[str] = (),
) -> Job:
    """Start a job and return at once.

    Parameters
    ----------
    name : str
        What people see.
    worker : str or Path
        The worker: a file, or a module of this package by its dotted name, with a function
        ``work(request, worker)`` (see :mod:`workbench.worker`).
    request : mapping
        What the worker is asked; anything JSON can hold.
    environment : str or None
        The environment whose Python runs it, built first if it is missing; None for this Python.
    out : path, optional
        Folder that the result becomes: the worker fills a temporary folder beside it, which is renamed when
        all is done. On failure, cancel or death of this process nothing is left.
    overwrite : bool
        Whether an `out` that exists is replaced, at the very end; otherwise it is refused at once.
    heavy : bool
        Whether its worker waits until no other heavy job's worker of this process runs on this machine.
    prepare : callable, optional
        Runs in the job's thread once the environment is ready, as a stage of its own (a download, the
        built-in model); what it returns is added to the request. See :data:`Prepare`.
    provenance : mapping, optional
        Added to ``workbench.json`` in the result (method, parameters, source ...).
    variables : mapping, optional
        Environment variables for the worker.
    disk_bytes : int
        Free space to ask for beside `out` before starting [B].
    place : Place
        Where the worker runs; see :mod:`workbench.jobs.place`.
    inputs : sequence of str
        Names in the request whose values are paths that the worker reads, for a place that does not see them.

    Returns
    -------
    Job

    Raises
    ------
    InvalidInput
        `out` exists, lies nowhere one may write, or is being made by another job; the request is not JSON.
    MissingPart
        There is no such worker, or not enough disk.
    UnknownName
        There is no such environment.
    """
    if environment is not None:
        environments.get(environment)
    if isinstance(worker, Path) or worker.endswith(".py"):
        worker = str(Path(worker).absolute())
        if not Path(worker).is_file():
            raise MissingPart(f"there is no worker at {worker}; reinstall llm-workbench")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(request)))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the request of {name} cannot be written as JSON: {error}") from None
    path = None if out is None else Path(out).expanduser().absolute()
    if path is not None:
        target.writable(path, overwrite, disk_bytes)
    job = Job(
        name,
        Task(worker, environment, dict(variables or {}), tuple(inputs)),
        copy,
        path,
        place=place,
        overwrite=overwrite,
        heavy=heavy,
        prepare=prepare,
        provenance=dict(provenance or {}),
    )
    job.start()
    return job
