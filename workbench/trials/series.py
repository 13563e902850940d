"""Trying several methods, one after the other: each a job, then the engines; what is done is kept at once."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.errors import InvalidInput, WorkbenchError
from workbench.jobs import Job, JobCancelled
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
        self, model: str, choices: list[Choice], trials: Trials, load: bool, overwrite: bool, options: dict[str, Any]
    ) -> None:
        self.trials = trials
        self.steps = tuple(Step(choice) for choice in choices)
        self._model, self._load, self._overwrite, self._options = model, load, overwrite, options
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
        for step in self.steps:
            self._settle(step, self._try(step))

    def _settle(self, step: Step, trial: Trial) -> None:
        try:
            if trial.outcome != "cancelled":  # what was not wanted is not a result
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
                self._model, step.choice.method, out, overwrite=self._overwrite, **self._options,
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
        asked = loading.answers(how, result, lambda at: self._tell(step, at), step.stop) if self._load else ()
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
    **options: Any,
) -> Series:
    """Try methods on a model, one after the other; returns at once.

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
    trials = open_folder(folder)
    if trials.model and trials.model != str(model):
        raise InvalidInput(f"{trials.folder} holds trials of {trials.model}; choose another folder for {model}")
    trials.model = str(model)
    series = Series(str(model), choices, trials, load, overwrite, options)
    series._thread.start()
    return series
