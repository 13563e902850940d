"""Kubernetes objects: strict JSON schemas of two releases, by kubernetes-validate, which brings them along.

Of what other projects add (KEDA, KubeRay, LeaderWorkerSet, the Gateway API) no schema can be had with a package, so a
test of our own looks at it and the outcome is "unchecked"; the pods within are read by Kubernetes' own schema.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from workbench.exports.checks import _custom, _kubernetes_agree, _programs, _vllm
from workbench.exports.file import Check, File

KIND = "kubernetes"

#: Kubernetes is maintained for its last three minor releases, by vendors for a year more: the fourth last is asked too.
_BEFORE = 3
_HINT = "pip install 'llm-workbench[export]'"


def check(file: File) -> list[Check]:
    """Schemas, then whether the objects of the file agree with each other."""
    import yaml

    try:
        documents = list(yaml.safe_load_all(file.text))
    except yaml.YAMLError as error:
        return [Check("PyYAML", "fail", " ".join(str(error).split()))]
    for document in documents or [None]:
        if not isinstance(document, dict) or not all(document.get(k) for k in ("apiVersion", "kind", "metadata")):
            return [Check("Kubernetes", "fail", "a document is no object with apiVersion, kind and metadata")]
    wrong = _kubernetes_agree.disagreements(documents)
    agree = Check("objects agree (our own)", "fail" if wrong else "pass", "; ".join(wrong))
    return [*_schemas(documents), *_customs(documents), agree, *_starts(documents, file.version)]


def _starts(documents: list[dict[str, Any]], release: str) -> list[Check]:
    """Whether vLLM of that release takes the arguments, as Kubernetes hands them over."""
    if not release:
        return []
    containers = [c for d in documents for pod in _kubernetes_agree.pods(d) for c in pod["spec"]["containers"]]
    lines = [c["args"] for c in containers if c["name"] in ("server", "worker")]
    found = [_vllm.of_command([_kubernetes_agree.handed(word) for word in words], release) for words in lines]
    return [*found, *(_vllm.of_keywords(names, release) for d in documents for names in _custom.keywords(d))]


def ask(file: File) -> list[Check]:
    """kubectl reads it into its own types; without a cluster it can do no more, and knows no other project's kinds."""
    import yaml

    custom = [d["kind"] for d in yaml.safe_load_all(file.text) if _custom.is_custom(d)]
    if custom:
        return [Check("kubectl", "unchecked", f"kubectl does not know {', '.join(custom)} without a cluster")]
    return [_programs.ask(file, "kubectl", ["set", "env", "--local", "--list", "--filename", "{}"])]


def _schemas(documents: list[dict[str, Any]]) -> list[Check]:
    core = [d for d in documents if not _custom.is_custom(d)]
    inside = [pod for d in documents if _custom.is_custom(d) for pod in _custom.pods(d)]
    if not core and not inside:
        return []
    try:
        releases = _releases()
    except ImportError:
        return [Check("Kubernetes' schemas", "unchecked", _HINT)]
    checks = []
    for release in releases:
        wrong = [why for document in (*core, *inside) if (why := _why_not(document, release))]
        checks.append(Check(f"Kubernetes {release}, strict", "fail" if wrong else "pass", "; ".join(wrong)))
    return checks


def _customs(documents: list[dict[str, Any]]) -> list[Check]:
    checks = []
    for document in documents:
        if _custom.is_custom(document):
            wrong = _custom.wrong(document)
            why = wrong or f"no package has the schema of {document['kind']} {document['apiVersion']}"
            checks.append(Check(f"{document['kind']} (structure, our own)", "fail" if wrong else "unchecked", why))
    return checks


@cache
def _releases() -> tuple[str, ...]:
    from kubernetes_validate import utils

    known = [utils.major_minor(version) for version in utils.all_versions()]
    known = list(dict.fromkeys(known))
    return known[-1], known[-1 - _BEFORE]


@cache
def _definitions(folder: str) -> Any:
    from kubernetes_validate import utils
    from referencing import Registry, Resource

    return Resource.from_contents(utils.schema_contents(f"{folder}/_definitions.json", folder)) @ Registry()


@cache
def _validator(release: str, kind: str, api: str) -> Any:
    """A validator of one kind, or None if the release has no such kind."""
    from jsonschema.validators import Draft202012Validator
    from kubernetes_validate import utils

    folder = f"kubernetes-json-schema/v{release}.0-local-strict"
    group, _, version = api.rpartition("/")
    name = f"{kind.lower()}-{group.partition('.')[0]}{'-' if group else ''}{version}.json"
    try:
        schema = utils.schema_contents(f"{folder}/{name}", release)
    except FileNotFoundError:
        return None
    return Draft202012Validator(schema, registry=_definitions(folder))


def _why_not(document: dict[str, Any], release: str) -> str:
    from jsonschema.exceptions import best_match

    named = f"{document['kind']} {document['metadata'].get('name', '')}"
    validator = _validator(release, document["kind"], document["apiVersion"])
    if validator is None:
        return f"{named}: Kubernetes {release} has no {document['kind']} {document['apiVersion']}"
    error = best_match(validator.iter_errors(document))
    if error is None:
        return ""
    return f"{named}: {'.'.join(map(str, error.absolute_path))}: {error.message}"[:400]
