"""Change what is served without a gap: the new server answers before the old one goes."""

from __future__ import annotations

from typing import Any

from workbench.adaptation.recommend import Step
from workbench.errors import InvalidInput, WorkbenchError
from workbench.serving import Server, serve


def replace_server(server: Server, step: Step, *, timeout: float | None = None, **options: Any) -> Server:
    """Start what a step recommends, see it answer, then stop the server that ran.

    Both run side by side for a while, so there must be room for both; where there is not, the new one fails and the old
    one stays.

    Parameters
    ----------
    server : Server
        Started here; one that was only found is not ours to stop.
    step : Step
        As :func:`~workbench.adaptation.adapt` returns it.
    timeout : float, optional
        Longest wait for the new one [s].
    **options
        Of :func:`workbench.serve`: ``port``, ``arguments`` …

    Returns
    -------
    Server
        The new one; the old one where the step changes nothing.

    Raises
    ------
    InvalidInput
        If the server was not started here, or the step needs a checkpoint that is still to be made.
    WorkbenchError
        If the new one does not start or does not answer; the old one still runs then.
    TimeoutError
        If it is not ready in time; the old one still runs then.
    """
    if not step.change:
        return server
    if server.attached:
        raise InvalidInput(f"{server.url} was not started here, so it is not ours to stop; start the new one beside it")
    if step.change.get("quantization") and step.checkpoint is None:
        raise InvalidInput(f"quantise the model to {step.change['quantization']} first, and name its folder")
    new = serve(step.plan, checkpoint=options.pop("checkpoint", step.checkpoint), **options)
    try:
        new.wait_ready(timeout)
        result = new.smoke()
        if not result.ok:
            raise WorkbenchError(f"the new server does not answer as it should, so the old one stays: {result}")
    except BaseException:
        new.stop()
        raise
    server.stop()
    return new
