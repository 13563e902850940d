"""Logs shipped by Vector, without what users write.

Prompts are kept out in three places. The exported start lines switch no request logging on; the exported proxies log no
bodies; and what the engine logs all the same is let through only where a line is one of the engine's own and holds no
request: a traceback or the error of a request can quote a prompt. Only named fields are sent.

Written for Vector 0.57 and later, which neither fills ``${VARIABLE}`` in nor takes fields of an event as labels unless
told to (https://vector.dev/highlights/2026-07-14-0-57-0-upgrade-guide/): nothing here needs either. There is no ``$``
in the texts, which earlier releases would have filled in.
"""

from __future__ import annotations

from typing import Any

from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.target import Target
from workbench.exports.writing import as_yaml

#: How a line of an engine's own log begins: a level, after a process, a time or a thread; or llama.cpp's own words.
_HEAD = (
    r"^(?:\([^()]{1,60}\) )?(?:\[[^\]]{1,40}\] ?|\d{4}-\d\d-\d\dT\S{1,30} +)*"
    r"(?:(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\b|\[(?:I|W|E|F)\]|(?:Prefill|Decode) batch"
    r"|(?:srv|slot|que|main|init|load|llama|ggml|print_info|common)[a-z_]* {0,30}[a-z_]*:)"
)
#: What only a line about a request's own text says: one of these names with a text, a list or an object behind it.
_QUOTES = (
    r"(?i)(?:\b|_)(?:prompt|prompts|messages?|content|inputs?|input_value|text|body|completion|outputs?|query)"
    r'["\x27]? {0,2}[:=] {0,2}["\x27\[{(]|prompt_token_ids|received request|request body'
)
_SECRETS = r'(?i)(?:api[_-]?key|hf_token|secret|password)["\x27]? {0,2}[:=] {0,2}["\x27]?[^\s,"\x27)]+'
#: Longest message that is sent [characters]; a choice of ours: engines' own lines are shorter.
_LONGEST = 500
#: What the exported proxies log.
_ASKED = (
    "time", "client", "method", "path", "status", "bytes", "seconds", "milliseconds", "first_byte", "upstream", "id",
)  # fmt: skip
_NGINX = "/var/log/nginx/access.log"


def engine_lines(subject: Subject, place: str) -> str:
    """The program that lets an engine's own lines through, in Vector's language; ``place`` says where one is from."""
    return f"""\
text = strip_ansi_escape_codes(string!(.message))

# Anything else is the rest of a longer message: of a traceback, of a prompt.
if !match(text, r'{_HEAD}') {{
  abort
}}

# A line that quotes a request.
if match(text, r'{_QUOTES}') {{
  abort
}}

text = replace(text, r'{_SECRETS}', "[SECRET]")
text = replace(text, r'(?i)bearer +[a-z0-9._~+/=-]+', "Bearer ...")
text = replace(text, r'\\b(?:sk|hf)[-_][A-Za-z0-9_-]{{8,}}', "[KEY]")
text = replace(text, r'[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\\.[A-Za-z0-9.-]+', "[EMAIL]")

found = parse_regex(text, r'\\b(?P<level>DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\\b') ?? {{}}

# These fields and no others.
. = {{
  "timestamp": .timestamp,
  "deployment": "{subject.name}",
  "from": {place},
  "level": found.level,
  "message": truncate(text, limit: {_LONGEST})
}}
"""


def proxy_lines(subject: Subject) -> str:
    """The same for what the exported proxies log, which is JSON."""
    fields = ",\n".join(f'  "{name}": line.{name}' for name in _ASKED)
    return f"""\
line = object!(parse_json!(string!(.message)))

. = {{
  "timestamp": .timestamp,
  "deployment": "{subject.name}",
  "from": "proxy",
{fields}
}}
"""


def _configuration(subject: Subject, source: dict[str, Any], place: str, proxy: bool) -> dict[str, Any]:
    strict = {"type": "remap", "drop_on_abort": True, "drop_on_error": True}
    sources: dict[str, Any] = {"engine": source}
    transforms: dict[str, Any] = {
        "engine_lines": {**strict, "inputs": ["engine"], "source": engine_lines(subject, place)}
    }
    if proxy:
        sources["proxy"] = {"type": "file", "include": [_NGINX]}
        transforms["proxy_lines"] = {**strict, "inputs": ["proxy"], "source": proxy_lines(subject)}
    sink = {
        "type": "loki",
        "inputs": list(transforms),
        "endpoint": "http://127.0.0.1:3100",
        "encoding": {"codec": "json"},
        "labels": {"deployment": subject.name},
    }
    return {"sources": sources, "transforms": transforms, "sinks": {"loki": sink}}


def files(subject: Subject) -> list[File]:
    """One for containers of Docker and nginx beside them, one for Kubernetes."""
    docker = {"type": "docker_logs", "include_containers": [subject.name]}
    pods = {
        "type": "kubernetes_logs",
        "extra_label_selector": f"app.kubernetes.io/name={subject.name}",
        "extra_namespace_label_selector": f"kubernetes.io/metadata.name={subject.wishes.namespace}",
    }
    head = "# Put Loki's own address into endpoint.\n"
    return [
        File(f"logs/vector-{where}.yaml", "vector", head + as_yaml(_configuration(subject, *told)), language="yaml")
        for where, told in (
            ("docker", (docker, ".container_name", True)),
            ("kubernetes", (pods, ".kubernetes.pod_name", False)),
        )
    ]


def steps(subject: Subject) -> list[str]:
    """Address, try, start, and what must stay as it is."""
    return [
        "Put Loki's address into the file; another of Vector's sinks does as well, with the same `inputs`.",
        "Docker: `vector validate logs/vector-docker.yaml`, then `vector --config logs/vector-docker.yaml`.",
        "Kubernetes: give `logs/vector-kubernetes.yaml` to Vector's Helm chart as `customConfig`, with `role: Agent`.",
        "Switch no request logging on in the engine: the filter is the second fence, not the first.",
    ]


TARGET = Target(
    id="logs",
    title="Logs",
    about="Vector sends the engine's own lines and the proxy's to Loki: who asked what, never what was said.",
    files=files,
    steps=steps,
    source="https://vector.dev/docs/reference/configuration/",
    without={},
)
