"""A request by curl, streamed."""

from __future__ import annotations

import json
import shlex

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.targets.client import _asking
from workbench.exports.writing import script


def files(subject: Subject) -> list[File]:
    """A script; the key goes in by standard input, because others see command lines."""
    body = shlex.quote(json.dumps(_asking.question(subject), ensure_ascii=False))
    text = script(
        f': "${{{_asking.KEY}:?put the key into the environment}}"\nurl="${{{_asking.URL}:-{_asking.url(subject)}}}"',
        "# By standard input: everybody on this machine sees command lines.\n"
        f"printf 'Authorization: Bearer %s\\n' \"${_asking.KEY}\" |\n"
        "    curl --silent --show-error --fail-with-body --no-buffer --header @- \\\n"
        f"        --max-time {subject.longest_answer} \\\n"
        f"        --json {body} \\\n"
        '        "$url/v1/chat/completions"',
    )
    return [File("client/ask.sh", "shell", text, executable=True)]


def steps(subject: Subject) -> list[str]:
    """One step."""
    return _asking.steps(subject, "client/ask.sh")


TARGET = Target(
    id="curl",
    title="curl",
    about="One streamed request, without any library.",
    files=files,
    steps=steps,
    source="https://curl.se/docs/manpage.html",
    starts=False,
    without={},
)
