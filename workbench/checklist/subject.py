"""What is judged: the endpoint, and what its owner points to as evidence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from workbench.errors import InvalidInput

#: No file of manifests, rules or needs is larger [bytes]; a log may be, its end is read.
LARGEST = 4 * 2**20
#: Kinds of file that a folder of manifests is searched for.
ENDINGS = (".yaml", ".yml", ".json")
#: How many files of a folder are read.
MOST_FILES = 200

#: What a file of needs may say: name -> (type, meaning).
NEEDS: dict[str, tuple[tuple[type, ...], str]] = {
    "task": ((str,), "what it is for: chat, code, translation, rag, batch …"),
    "isl": ((int,), "input tokens of a typical request"),
    "osl": ((int,), "output tokens of a typical request"),
    "context_lengths": ((list,), "input lengths that must work [tokens]"),
    "concurrency": ((int,), "requests in flight at the peak"),
    "requests_per_s": ((int, float), "requests a second at the peak"),
    "examples": ((list,), "tasks with their answer: {prompt, expected}"),
    "required_share": ((int, float), "share of the examples that must be right, 0 to 1"),
    "forbidden": ((str,), "a phrase that the output filter must keep back"),
    "quality_metric": ((str,), "name of the metric that watches the answers' quality"),
    "cost_metric": ((str,), "name of the metric or recorded rule that holds the cost"),
}


@dataclass(frozen=True)
class Subject:
    """What is judged, and by which evidence.

    Parameters
    ----------
    url : str
        The endpoint, ``http://host:port`` with or without ``/v1``: where users come in, gateway included.
    api_key : str, optional
        A user's key. Never part of a report.
    other_key : str, optional
        A second user's key, which shows whose limit the rate limit is.
    model : str, optional
        Name under which the model must be served.
    folder : Path, optional
        The served model's folder: its ``config.json``, and the ``workbench.json`` that ``wb.quantize`` wrote.
    needs : mapping
        What is asked of it (:data:`NEEDS`).
    manifests : tuple of mapping
        Kubernetes objects and Prometheus rule files, as read.
    log : Path, optional
        The endpoint's log on this machine.
    metrics : str, optional
        Where the engine's ``/metrics`` can be read, if not at the endpoint: a gateway keeps it from users.
    prometheus, grafana : str, optional
        Addresses of their HTTP APIs.
    grafana_key : str, optional
        A service account's token.
    """

    url: str
    api_key: str | None = None
    other_key: str | None = None
    model: str | None = None
    folder: Path | None = None
    needs: Mapping[str, Any] = field(default_factory=dict)
    manifests: tuple[Mapping[str, Any], ...] = ()
    log: Path | None = None
    metrics: str | None = None
    prometheus: str | None = None
    grafana: str | None = None
    grafana_key: str | None = None

    @property
    def local(self) -> bool:
        """Whether the endpoint is on this machine."""
        return urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no report may hold, the longest first."""
        given = [key for key in (self.api_key, self.other_key, self.grafana_key) if key]
        for url in (self.url, self.metrics, self.prometheus, self.grafana):
            parts = urlsplit(url or "")
            given += [word for word in (parts.password, parts.username) if word]
        return tuple(sorted({*given, *(quote(word, safe="") for word in given)}, key=len, reverse=True))

    def hide(self, text: str) -> str:
        """A text without the keys."""
        for secret in self.secrets:
            text = text.replace(secret, "•••")
        return text


def address(url: object, what: str = "address") -> str:
    """An HTTP address without its last ``/`` and ``/v1``.

    Raises
    ------
    InvalidInput
        It is none.
    """
    parts = None
    if isinstance(url, str):
        try:
            parts = urlsplit(url.strip())
            _ = parts.port
        except ValueError:
            parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(f"the {what} {url!r} is not one of a server; write http://host:port")
    return str(url).strip().rstrip("/").removesuffix("/v1")


def subject(
    url: str,
    *,
    api_key: str | None = None,
    other_key: str | None = None,
    model: str | None = None,
    folder: str | Path | None = None,
    needs: str | Path | Mapping[str, Any] | None = None,
    manifests: str | Path | Iterable[str | Path] = (),
    log: str | Path | None = None,
    metrics: str | None = None,
    prometheus: str | None = None,
    grafana: str | None = None,
    grafana_key: str | None = None,
) -> Subject:
    """What is judged, its files read and everything checked.

    Raises
    ------
    InvalidInput
        An address, a key or a file cannot be used; the message says which.
    """
    for name, key in (("API key", api_key), ("other key", other_key), ("Grafana key", grafana_key)):
        if key is not None and (not key.isascii() or not key.isprintable() or key != key.strip() or not key):
            raise InvalidInput(f"the {name} is empty or holds characters that no HTTP header takes")
    if other_key is not None and other_key == api_key:
        raise InvalidInput("the other key is a second user's; it is the same as the first")
    if "@" in urlsplit(address(url)).netloc:
        # Sent with every question, it would let in even those that ask without a key.
        raise InvalidInput("leave name and password out of the endpoint's address; give a key")
    listed = [manifests] if isinstance(manifests, str | Path) else list(manifests)
    return Subject(
        url=address(url),
        api_key=api_key,
        other_key=other_key,
        model=model or None,
        folder=_existing(folder, "model folder", folder_wanted=True),
        needs=read_needs(needs),
        manifests=tuple(document for path in listed for document in read_manifests(Path(path).expanduser())),
        log=_existing(log, "log", folder_wanted=False),
        metrics=address(metrics, "address of the metrics").removesuffix("/metrics") if metrics else None,
        prometheus=address(prometheus, "address of Prometheus") if prometheus else None,
        grafana=address(grafana, "address of Grafana") if grafana else None,
        grafana_key=grafana_key,
    )


def _existing(path: str | Path | None, what: str, *, folder_wanted: bool) -> Path | None:
    if path is None or not str(path):
        return None
    found = Path(path).expanduser()
    if not (found.is_dir() if folder_wanted else found.is_file()):
        raise InvalidInput(f"there is no {what} {path}")
    return found


def read_text(path: Path) -> str:
    """A file's text.

    Raises
    ------
    InvalidInput
        It cannot be read, or is too large.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidInput(f"{path} is larger than {LARGEST // 2**20} MiB; point to the file that is meant")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no text in UTF-8") from error


def read_documents(path: Path) -> list[Any]:
    """All documents of a YAML or JSON file.

    Raises
    ------
    InvalidInput
        It is neither.
    """
    text = read_text(path)
    if text.lstrip().startswith(("{{", "{%")) or "\n{{" in text:
        raise InvalidInput(f"{path} is a template; give what it becomes (`helm template …`, `kustomize build …`)")
    try:
        return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInput(f"{path} is no YAML: {' '.join(str(error).split())[:200]}") from error


def read_manifests(path: Path) -> list[Mapping[str, Any]]:
    """The objects of a file, or of every YAML and JSON file of a folder; lists of objects are taken apart.

    Raises
    ------
    InvalidInput
        There is no such path, or a file of it cannot be read.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in ENDINGS and p.is_file())
        if not files:
            raise InvalidInput(f"{path} holds no YAML file")
        if len(files) > MOST_FILES:
            raise InvalidInput(f"{path} holds {len(files)} files; point to the {MOST_FILES} at most that matter")
    elif path.is_file():
        files = [path]
    else:
        raise InvalidInput(f"there are no manifests at {path}")
    found: list[Mapping[str, Any]] = []
    for file in files:
        for document in read_documents(file):
            items = document.get("items") if isinstance(document, dict) else None
            inner = items if isinstance(items, list) else [document]
            found += [{**one, "_file": file.name} for one in inner if isinstance(one, dict)]
    return found


def read_needs(given: str | Path | Mapping[str, Any] | None) -> dict[str, Any]:
    """What is asked of the model, from a mapping or a YAML or JSON file.

    Raises
    ------
    InvalidInput
        It says something of another kind than :data:`NEEDS`.
    """
    if given is None or given == "":
        return {}
    if isinstance(given, Mapping):
        said: Any = dict(given)
    else:
        documents = read_documents(Path(given).expanduser())
        said = documents[0] if len(documents) == 1 else None
    if not isinstance(said, dict):
        raise InvalidInput(f"the needs are one mapping of {', '.join(NEEDS)}")
    for name, value in said.items():
        if name not in NEEDS:
            raise InvalidInput(f"the needs name {name!r}; they may name {', '.join(NEEDS)}")
        kinds, meaning = NEEDS[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise InvalidInput(f"{name} of the needs is {json.dumps(value, default=str)[:80]}; it is {meaning}")
        if isinstance(value, int | float) and not 0 < value < 1e9:
            raise InvalidInput(f"{name} of the needs is {value}; a number above 0 is needed")
    for length in said.get("context_lengths", ()):
        if not isinstance(length, int) or isinstance(length, bool) or not 0 < length <= 2**20:
            raise InvalidInput(f"context_lengths of the needs holds {length!r}; whole numbers of tokens are needed")
    for example in said.get("examples", ()):
        if not isinstance(example, dict) or not all(isinstance(example.get(k), str) for k in ("prompt", "expected")):
            raise InvalidInput("each of the needs' examples is a mapping with the texts prompt and expected")
    return dict(said)
