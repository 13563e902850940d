"""What deploys a plan: files for engines, platforms, proxies and monitoring, each read by what will read it.

One file per target in ``targets/``, one per engine in ``servers/``, one per kind of file in ``checks/``. The package
is called ``exports`` because ``wb.export`` is the function.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.exports.bundle import Bundle
    from workbench.planner import Plan

__all__ = ["export"]


def export(plan: Plan, targets: Iterable[str] | None = None, out: str | Path | None = None, **wishes: Any) -> Bundle:
    """Write a plan in the words of what deploys it.

    Parameters
    ----------
    plan : Plan
        One that fits.
    targets : iterable of str, optional
        Ids (``"vllm"``, ``"docker-run"`` …) and groups (``"kubernetes"``); by default all that can express the plan.
    out : str or Path, optional
        A folder to make, or a file ``….zip``; nothing is written without.
    **wishes
        See :class:`workbench.exports.wishes.Wishes`: ``name``, ``namespace``, ``host``, ``port``, ``replicas`` …

    Returns
    -------
    Bundle
        ``files``, ``checks()``, ``refused``; ``write(out)``.

    Raises
    ------
    InvalidInput
        If the plan does not fit, a named target cannot express it, or ``out`` cannot be written.
    UnknownName
        For a target or wish that there is not.

    Examples
    --------
    >>> import workbench as wb
    >>> made = export(wb.plan("Qwen/Qwen3-8B", gpu="L40S", max_model_len=8192), ["vllm"])
    >>> [file.path for file in made.files]
    ['README.md', 'plan.json', 'vllm/config.yaml', 'vllm/offline.py', 'vllm/serve.sh']
    """
    from workbench.exports.bundle import bundle
    from workbench.exports.subject import Subject
    from workbench.exports.wishes import Wishes

    made = bundle(Subject(plan, Wishes.from_dict(wishes)), targets)
    if out is not None:
        made.write(out)
    return made
