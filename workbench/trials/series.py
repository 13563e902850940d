"""Trying several methods: each a job, then the engines; what is done is kept at once.

On this machine one after the other, on a cluster side by side, each on a node that has what it needs.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.cluster import AT_ONCE, Cluster, cluster_of
from workbench.errors import InvalidInput, WorkbenchError
from workbench.jobs import Job, JobCancelled
from workbench.jobs.beside import side_by_side
from workbench.progress import Progress
from workbench.quantizers import find, quantize
from workbench.trials import loading
from workbench.trials.choice import Choice, read
from workbench.trials.record import Outcome, Trial, Trials, open_folder

Status = Literal["queued", "running", "done", "failed", "refused", "cancelled"]


@dataclass
class Step:
    """One choice of a series.

    Attributes
    ----------
    choice : Choice
    status : {"queued", "running", "done", "failed", "refused", "cancelled"}
    progress : Progress
        How far it is, while it runs.
    reason : str
        Why it is not done.
    job : Job or None
        The job that quantises, once it has begun.
    """

    choice: Choice
    status: Status = "queued"
    progress: Progress = field(default_factory=lambda: Progress(None, "queued"))
    reason: str = ""
    job: Job | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status not in ("queued", "running")

    def cancel(self) -> None:
        """Ask it to stop; what it wrote goes."""
        self.stop.set()
        if self.job is not None:
            self.job.cancel()


class Series:
    """Methods being tried; made by :func:`try_methods`.

    Attributes
    ----------
    trials : Trials
        Where the results are kept, those of earlier series too.
    steps : tuple of Step
        What this one tries, in order.
    """

    def __init__(
        self,
        model: str,
        choices: list[Choice],
        trials: Trials,
        load: bool,
        overwrite: bool,
        on: Cluster | None,
        options: dict[str, Any],
    ) -> None:
        self.trials = trials
        self.steps = tuple(Step(choice) for choice in choices)
        self._model, self._load, self._overwrite, self._options = model, load, overwrite, options
        self._on, self._keeping = on, threading.Lock()
        self._observers: list[Callable[[Series], None]] = []
        self._thread = threading.Thread(target=self._run, name=f"trials of {model}", daemon=True)

    @property
    def running(self) -> bool:
        """Whether any step is not over."""
        return not all(step.over for step in self.steps)

    def cancel(self, word: str | None = None) -> None:
        """Ask one step to stop, or all of them; returns at once.

        Parameters
        ----------
        word : str, optional
            The step's choice.
        """
        for step in self.steps:
            if not step.over and word in (None, step.choice.word):
                step.cancel()

    def wait(self, timeout: float | None = None) -> Trials:
        """Wait for the last step.

        Raises
        ------
        TimeoutError
            It still runs after ``timeout`` [s].
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"methods are still being tried after {timeout:g} s")
        return self.trials

    def observe(self, callback: Callable[[Series], None]) -> Callable[[], None]:
        """Call ``callback`` with this series at each change, from its thread; returns what ends that."""
        self._observers.append(callback)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._observers.remove(callback)

        return unsubscribe

    # ---------------------------------------------------------------------------------- in the series' thread

    def _notify(self) -> None:
        for callback in list(self._observers):
            with contextlib.suppress(Exception):  # an observer's mistake is not the series'
                callback(self)

    def _run(self) -> None:
        # The one of this machine is not shared, so that what each costs can be compared.
        at_once = 1 if self._on is None else AT_ONCE
        side_by_side(lambda step: self._settle(step, self._try(step)), self.steps, at_once)

    def _settle(self, step: Step, trial: Trial) -> None:
        try:
            if trial.outcome != "cancelled":  # what was not wanted is not a result
                with self._keeping:
                    self.trials.add(trial)
        except OSError as error:
            trial = Trial(step.choice, "failed", f"its result could not be kept: {error.strerror or error}")
        step.reason = trial.reason
        step.progress = Progress(1.0 if trial.outcome == "done" else None, trial.outcome)
        step.status = trial.outcome
        self._notify()

    def _try(self, step: Step) -> Trial:
        def ended(outcome: Outcome, error: Exception) -> Trial:
            return Trial(step.choice, outcome, str(error))

        if step.stop.is_set():
            return Trial(step.choice, "cancelled", "cancelled before it began")
        step.status = "running"
        self._notify()
        out = self.trials.folder / step.choice.folder
        try:
            step.job = quantize(
                self._model, step.choice.method, out, overwrite=self._overwrite, on=self._on, **self._options,
                **step.choice.parameters,
            )  # fmt: skip
        except WorkbenchError as error:
            return ended("refused", error)
        step.job.observe(lambda job: self._tell(step, job.progress))
        if step.stop.is_set():  # cancelled while it was being started
            step.job.cancel()
        try:
            result = step.job.wait()
        except JobCancelled as error:
            return ended("cancelled", error)
        except WorkbenchError as error:
            return ended("failed", error)
        how = find(step.choice.method)
        tell = lambda at: self._tell(step, at)  # noqa: E731
        asked = loading.answers(how, result, tell, step.stop, self._on) if self._load else ()
        if step.stop.is_set():
            shutil.rmtree(out, ignore_errors=True)
            return Trial(step.choice, "cancelled", "cancelled while it was being loaded")
        return Trial(step.choice, "done", "", result, asked)

    def _tell(self, step: Step, progress: Progress) -> None:
        step.progress = progress
        self._notify()


def try_methods(
    model: str | Path,
    methods: str | Iterable[str | Choice] = "all",
    folder: str | Path = "trials",
    *,
    load: bool = True,
    overwrite: bool = False,
    on: str | Cluster | None = None,
    **options: Any,
) -> Series:
    """Try methods on a model, on this machine one after the other; returns at once.

    Parameters
    ----------
    model : str or Path
        As :func:`workbench.quantize` takes it.
    methods : str or sequence
        "all", or choices: ``"awq"``, ``"gguf:type=Q4_K_M"``.
    folder : str or Path
        Where results are kept, a folder each, and ``trials.json``; what it holds already stays.
    load : bool
        Whether each result is also loaded and asked in the engines it is for.
    overwrite : bool
        Whether what was made of the same choice before is replaced.
    on : str or Cluster, optional
        A Ray cluster, ``"ray://HOST:10001"``, whose nodes quantise, and start the engines, side by side; the results
        come to ``folder`` here. See :mod:`workbench.cluster`.
    **options
        ``data``, ``gpu``, ``revision``, ``download``, ``evaluate_tokens`` of :func:`workbench.quantize`.

    Returns
    -------
    Series

    Raises
    ------
    InvalidInput, UnknownName
        For a choice that there is not, a damaged file of trials, or one of another model.
    """
    choices = read(methods)
    cluster = None if on is None else cluster_of(on)
    trials = open_folder(folder)
    if trials.model and trials.model != str(model):
        raise InvalidInput(f"{trials.folder} holds trials of {trials.model}; choose another folder for {model}")
    trials.model = str(model)
    series = Series(str(model), choices, trials, load, overwrite, cluster, options)
    series._thread.start()
    return series
