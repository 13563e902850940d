"""Runs in the environment: transformers' own server, to which the one model to serve is all there is.

``transformers serve`` loads what it is given and then lists, under ``/v1/models``, whatever lies in this user's cache
of Hugging Face's hub; and it answers for its model under one name only, that which it was given. So a folder is shown
to it as a hub's cache of its own, of links, in which the folder is the only model, under the name it shall have. The
cache lies in the process's temporary folder and goes with it.

Run by its path; it needs the standard library until transformers is loaded.

References
----------
transformers 5.19.0 ``cli/serving/model_manager.py`` (``get_gen_models``), ``cli/serving/utils.py``
(``_resolve_model``); huggingface_hub 2.4.0 ``utils/_cache_manager.py`` (how a cache is laid out).
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from pathlib import Path

#: Environment variable with the name that a folder is served under.
NAME = "WORKBENCH_SERVED_NAME"
# No commit has it: the folder is of no hub.
_REVISION = "0" * 40


def served_name(wanted: str) -> str:
    """A name that the hub would take for a model's: letters, digits, ``-``, ``_`` and ``.``, at most 96.

    Examples
    --------
    >>> served_name("Qwen 2.5--0.5B (AWQ)")
    'Qwen-2.5-0.5B-AWQ'
    """
    return re.sub(r"[^\w.]+|\.{2,}|-{2,}", "-", wanted, flags=re.ASCII)[:96].strip("-.") or "model"


def show(folder: Path, cache: Path, name: str) -> None:
    """Lay out a hub's cache in which a folder is the only model."""
    place = cache / f"models--{name}"
    snapshot = place / "snapshots" / _REVISION
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(_REVISION)
    for path in folder.iterdir():
        (snapshot / path.name).symlink_to(path.resolve())


def main(words: list[str]) -> None:
    """Serve: ``serve MODEL`` and the options of ``transformers serve``."""
    folder = Path(words[1])
    if folder.is_dir():
        name = served_name(os.environ.get(NAME) or folder.resolve().name)
        cache = Path(tempfile.mkdtemp(prefix="hub-"))
        show(folder, cache, name)
        os.environ["HF_HUB_CACHE"] = str(cache)
        words = [words[0], name, *words[2:]]
    sys.argv = ["transformers", *words]
    # Not its main(), which first asks a package registry whether there is a newer release.
    importlib.import_module("transformers.cli.transformers").app()


if __name__ == "__main__":
    main(sys.argv[1:])
