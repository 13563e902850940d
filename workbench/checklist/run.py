"""Run the checks: many at once where they do not disturb each other, with progress, an end and a way out."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.checklist.asking import Asker
from workbench.checklist.figures import Thresholds, thresholds
from workbench.checklist.finding import Evidence, Finding, bad, conclude, unknown
from workbench.checklist.inspection import Inspection
from workbench.checklist.registry import TURNS, Check, choose
from workbench.checklist.report import Answer, Report
from workbench.checklist.subject import Subject, subject
from workbench.errors import InvalidInput, WorkbenchError
from workbench.progress import Progress

#: Longest time for one check, and for all [s].
CHECK, ALL = 90.0, 300.0


class Run:
    """An inspection under way, in a thread of its own.

    Parameters
    ----------
    judged : Subject
        What is judged.
    figures : Thresholds
        What decides.
    checks : mapping of str to Check
        What is asked.
    timeout : float
        Longest time for one question [s].
    longest : float
        Longest time for all [s].
    strict : bool
        Whether what is not checked stands in the way.

    Attributes
    ----------
    answers : dict of str to Answer
        What was answered so far, by name.
    progress : Progress
        How far it is.
    """

    def __init__(
        self,
        judged: Subject,
        figures: Thresholds,
        checks: Mapping[str, Check],
        *,
        timeout: float = 20.0,
        longest: float = ALL,
        strict: bool = False,
    ) -> None:
        self.subject, self.thresholds, self.checks = judged, figures, dict(checks)
        self.strict, self.answers = strict, dict[str, Answer]()
        self.progress = Progress(0.0, "looking")
        self._timeout, self._longest = timeout, longest
        self._report: Report | None = None
        self._error: BaseException | None = None
        self._observers: list[Callable[[Run], None]] = []
        self._over, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._main, name="readiness", daemon=True)

    def start(self) -> Run:
        """Begin."""
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return not self._over.is_set()

    def observe(self, callback: Callable[[Run], None]) -> Callable[[], None]:
        """Call after each answer and at the end, from the run's thread; returns what stops that."""
        self._observers.append(callback)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._observers.remove(callback)

        return unsubscribe

    def cancel(self) -> None:
        """End it; what was not answered is not checked."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> Report:
        """The report, once all is answered.

        Raises
        ------
        TimeoutError
            It is not over yet.
        """
        if not self._over.wait(timeout):
            raise TimeoutError(f"the checks are not over after {timeout:g} s")
        if self._report is None:
            raise WorkbenchError(f"the checks broke off: {self._error!r}") from self._error
        return self._report

    # --- in the run's thread ------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._report = asyncio.run(self._inspect())
        except BaseException as error:
            self._error = error
        finally:
            self._over.set()
            self._notify()

    def _notify(self) -> None:
        for callback in list(self._observers):
            with contextlib.suppress(Exception):  # an observer's mistake is not the run's
                callback(self)

    async def _inspect(self) -> Report:
        began, started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
        asker = Asker(self.subject, timeout=self._timeout)
        inspection = Inspection(self.subject, self.thresholds, asker)
        work = asyncio.ensure_future(self._turns(inspection))
        try:
            while not work.done() and not self._stop.is_set() and time.perf_counter() - began < self._longest:
                await asyncio.wait({work}, timeout=0.1)
            ended = not work.done()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            model = "" if ended or asker.silent else await inspection.model()
        finally:
            await inspection.close()
        why = "it was cancelled" if self._stop.is_set() else f"the {self._longest:g} s for all checks were over"
        for name, check in self.checks.items():
            if name not in self.answers:
                self._keep(check, Finding("not checked", why, (unknown("wait for its turn", why),), check.prove), 0.0)
        return Report(
            url=self.subject.url,
            model=self.subject.hide(model or self.subject.model or "the model"),
            profile=self.thresholds.profile,
            answers=tuple(self.answers[name] for name in self.checks),
            thresholds={name: row.value for name, row in self.thresholds.items()},
            started=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            seconds=time.perf_counter() - began,
            asked=asker.sent,
            strict=self.strict,
            ended_early=why if ended else "",
        )

    async def _turns(self, inspection: Inspection) -> None:
        stages = {"look": "looking", "measure": "measuring under load", "exhaust": "looking for the rate limit"}
        await inspection.reach()
        for turn in TURNS:
            wanted = [check for check in self.checks.values() if check.turn == turn]
            if wanted:
                self.progress = Progress(len(self.answers) / len(self.checks), stages[turn])
                self._notify()
            tasks = [asyncio.ensure_future(self._one(check, inspection)) for check in wanted]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

    async def _one(self, check: Check, inspection: Inspection) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(CHECK):
                finding = await check.look(inspection)
        except TimeoutError:
            finding = conclude([bad("wait for the endpoint", f"the check was not over after {CHECK:g} s", check.prove)])
        except WorkbenchError as error:
            finding = conclude([unknown("gather the evidence", str(error))], check.prove)
        except Exception as error:  # a mistake of ours must not look like one of the endpoint's, nor hide the others
            said = f"the check itself broke off ({type(error).__name__}: {error}); please report it"
            finding = conclude([unknown("gather the evidence", said)], check.prove)
        if finding.status == "not checked" and not finding.mend:
            finding = replace(finding, mend=check.prove)
        self._keep(check, finding, time.perf_counter() - began)

    def _keep(self, check: Check, finding: Finding, seconds: float) -> None:
        self.answers[check.name] = Answer(check, _hidden(finding, self.subject), seconds)
        fraction = len(self.answers) / len(self.checks)
        self.progress = Progress(fraction, self.progress.stage, f"{len(self.answers)} of {len(self.checks)}")
        self._notify()


def _hidden(finding: Finding, judged: Subject) -> Finding:
    """The same without any key, whoever said it."""
    hide = judged.hide
    pieces = (Evidence(hide(e.asked), hide(e.answered), e.status, hide(e.mend)) for e in finding.evidence)
    return Finding(finding.status, hide(finding.said), tuple(pieces), hide(finding.mend))


def start(
    url: str,
    *,
    profile: str = "chat",
    changes: Mapping[str, Any] | None = None,
    thresholds_file: str | Path | None = None,
    checks: str | Iterable[str] | None = None,
    timeout: float = 20.0,
    longest: float = ALL,
    strict: bool = False,
    **given: Any,
) -> Run:
    """Begin an inspection and return at once; parameters are :func:`readiness`'s.

    Returns
    -------
    Run
        Observe it, cancel it, wait for its report.
    """
    for name, value in (("timeout", timeout), ("longest", longest)):
        if not 0 < value <= 3600:
            raise InvalidInput(f"{name} is {value}; seconds above 0 and up to 3600 are needed")
    figures = thresholds(profile, changes, thresholds_file)
    chosen = choose(checks)
    return Run(subject(url, **given), figures, chosen, timeout=timeout, longest=longest, strict=strict).start()


def readiness(
    url: str,
    *,
    profile: str = "chat",
    changes: Mapping[str, Any] | None = None,
    thresholds_file: str | Path | None = None,
    checks: str | Iterable[str] | None = None,
    timeout: float = 20.0,
    longest: float = ALL,
    strict: bool = False,
    on_answer: Callable[[Answer], None] | None = None,
    **given: Any,
) -> Report:
    """Whether an endpoint is ready for production, answered from evidence.

    Asks the live endpoint some two hundred small questions, loads it for a few seconds and looks for its rate limit:
    about a minute. Reads what it is pointed to; changes nothing.

    Parameters
    ----------
    url : str
        ``http://host:port`` where users come in, gateway included.
    profile : {"chat", "batch"}
        Whose targets decide.
    changes : mapping, optional
        Other figures than those of ``data/readiness.csv``, by name.
    thresholds_file : path, optional
        The same as YAML or JSON.
    checks : str or sequence of str, optional
        Only these: ``stage.id``, an id, or a stage.
    timeout : float
        Longest time for one question [s].
    longest : float
        Longest time for all [s].
    strict : bool
        Whether what could not be checked stands in the way.
    on_answer : callable, optional
        Called with each :class:`Answer` as it comes.
    **given
        What to look at besides: ``api_key``, ``other_key`` (a second user's), ``model`` (its name), ``folder`` (its
        checkpoint), ``needs``, ``manifests``, ``log``, ``metrics`` (the engine's address, where
        the gateway hides ``/metrics``), ``prometheus``, ``grafana``, ``grafana_key``; see
        :class:`Subject`.

    Returns
    -------
    Report
        Also where everything failed.

    Raises
    ------
    InvalidInput
        An address, a figure or a file cannot be used.
    UnknownName
        There is no such profile, figure or check.
    """
    run = start(
        url, profile=profile, changes=changes, thresholds_file=thresholds_file, checks=checks, timeout=timeout,
        longest=longest, strict=strict, **given,
    )  # fmt: skip
    told: set[str] = set()
    try:
        while True:
            over = not run.running
            for name, answer in list(run.answers.items()):
                if name not in told:
                    told.add(name)
                    if on_answer is not None:
                        on_answer(answer)
            if over:
                return run.wait()
            run._over.wait(0.1)
    except BaseException:
        run.cancel()
        raise
