"""The built-in model: small, ours, trained here, so that everything can be tried with no GPU, token or network.

A Llama of 5.8 million parameters, trained for about two minutes on the CPU on the documentation that comes with
Python, tokenizer included, and kept in the cache. Its configuration is known beforehand
(``data/models/builtin.json``), so planning needs no training.

>>> config()["vocab_size"]
10240
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench import environments, jobs
from workbench.datafiles import data_path
from workbench.environments.build import locked
from workbench.errors import InvalidInput
from workbench.jobs import Job
from workbench.progress import Progress

__all__ = ["NAME", "config", "ensure", "folder", "job"]

NAME = "builtin"
ENVIRONMENT = "quantize"
#: Training steps by family. The second family has the same size and a shorter schooling: it is for tests.
STEPS = {"llama": 500, "qwen2": 80}
_RECIPE = ("train.py", "text.py")
#: For workers that compute on the CPU: threads that wait sleep. GNU OpenMP's default is to spin, and two jobs on
#: the same cores then take ten to twenty times as long (15 training steps on two cores: 81 s against 9 s).
SLEEP_WHILE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}


def config() -> dict[str, Any]:
    """The fields of its config.json, and ``model_id`` and ``source``."""
    fields: dict[str, Any] = json.loads(data_path("models", "builtin.json").read_text(encoding="utf-8"))
    return fields


def folder(family: str = "llama") -> Path:
    """Where it lies, or will lie: one folder for each Python, set of pins and recipe.

    Raises
    ------
    InvalidInput
        For a family that is not trained here.
    """
    if family not in STEPS:
        raise InvalidInput(f"no built-in model of family {family!r}; there are {', '.join(STEPS)}")
    environment = environments.get(ENVIRONMENT)
    of = [str(environment.path), platform.python_version(), platform.machine(), str(STEPS[family])]
    digest = hashlib.sha256("\0".join([*of, json.dumps(config(), sort_keys=True)]).encode())
    for file in _RECIPE:
        # What the recipe does, not how it is laid out: a reformatted line must not train everybody's model again.
        code = ast.parse(Path(__file__).with_name(file).read_bytes())
        digest.update(ast.dump(code).encode())
    return environments.cache_root() / "models" / f"{NAME}-{family}-{digest.hexdigest()[:12]}"


def ensure(progress: Callable[[Progress], None] | None = None, family: str = "llama") -> Path:
    """Train it unless it is trained; safe to call from several threads and processes at once.

    Parameters
    ----------
    progress : callable, optional
        Called with a Progress as it goes, the building of the environment included.
    family : {"llama", "qwen2"}
        ``qwen2`` is a model of the same size for tests of a second architecture, with biases on Q, K and V.

    Returns
    -------
    Path
        Folder with config, safetensors, tokenizer, chat template and generation config.

    Raises
    ------
    JobFailed
        Training failed.
    MissingPart
        The environment it is trained in cannot be built.
    """
    tell = progress or (lambda _: None)
    target = folder(family)
    if target.is_dir():
        return target
    waiting = Progress(None, "waiting", "another process trains the built-in model")
    with locked(target.with_suffix(".lock"), lambda: tell(waiting)):
        if not target.is_dir():
            request = {"config": config(), "family": family, "steps": STEPS[family]}
            training = jobs.start(
                f"train the built-in model ({family})",
                "workbench.builtin.train",
                request,
                ENVIRONMENT,
                target,
                provenance={"model": NAME, "source": config()["source"]},
                variables=SLEEP_WHILE_WAITING,
            )
            training.observe(lambda j: tell(j.progress))
            try:
                training.wait()
            except BaseException:
                training.cancel()
                with contextlib.suppress(Exception):
                    training.wait()
                raise
    return target


def job() -> Job:
    """The same as a Job; its result has ``folder``, ``parameters``, ``held_out`` and more."""

    def prepare(tell: Callable[[Progress], None], cancel: threading.Event) -> dict[str, str]:
        return {"folder": str(ensure(tell))}

    return jobs.start("built-in model", "workbench.builtin.look", {}, None, prepare=prepare)
