"""Kubernetes manifests as a whole: every object anew, its containers translated, what was wrong with it mended.

Read are the nodes of PyYAML's composer; what several aliases share is made once and stays shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from workbench.translation import object_rules, pod_rules
from workbench.translation.faults import Fault, Path
from workbench.translation.pasted import Lines
from workbench.translation.pod_rules import Container, items_of, mapping_of
from workbench.translation.result import LOST, Change, Part
from workbench.translation.yaml_text import plain

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENGINES = {"vllm": "vllm", "llama": "llama.cpp", "tgi": "tgi", "text-generation": "tgi", "sglang": "sglang"}
#: Images that an engine's release is in, by the tool that a container runs.
_IMAGES = {"vllm": "vllm/vllm-openai:v{version}"}


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are read: a script in a ConfigMap stays one."""


def _written(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _written)


def part(text: str, servers: Mapping[int, Part], lines: Lines, version: str, start: int = 0) -> Part | None:
    """The objects of a YAML text, mended; None where it holds none.

    Parameters
    ----------
    text : str
    servers : mapping
        What was made of its containers, by where their images stand in the whole text.
    lines : Lines
    version : str
        The release of vLLM that it is translated for.
    start : int
        Where it begins in the whole text.
    """
    try:
        roots = [root for root in yaml.compose_all(text, Loader=_LOADER) if root is not None]
        documents = [values(root, {}) for root in roots]
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    if not documents or not all(_is_object(document) for document in documents):
        return None
    changes: list[Change] = []
    engine = _engine(documents, servers.values())
    for root, document in zip(roots, documents, strict=True):
        found: list[Fault] = []
        mounted: list[str] = []
        for container, server in _containers(root, document, servers, start):
            if server is not None:
                _anew(container.values, server)
                mounted += [word for word in server.words if word.startswith("/")]
            image = _IMAGES.get(server.engine, "").format(version=version) if server else ""
            fields = server.fields if server else {}
            whole = Container(container.pod, container.values, container.pod_path, container.path, fields, image)
            found += pod_rules.faults(whole)
        found += object_rules.faults(document, engine, mounted)
        changes += [_change(fault, root, lines, start) for fault in found]
    whole_text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    begins = start + roots[0].start_mark.index
    remarks = tuple(_remarks(documents, changes))
    ordered = tuple(sorted(changes, key=lambda change: change.start))
    return Part("manifest", "Kubernetes", "", ordered, (), whole_text, remarks, line=lines[begins])


def _is_object(document: Any) -> bool:
    return isinstance(document, dict) and all(isinstance(document.get(key), str) for key in ("apiVersion", "kind"))


def values(node: yaml.Node, made: dict[int, Any]) -> Any:
    """The plain value of a node; a node that is there twice is one value."""
    if id(node) in made:
        return made[id(node)]
    if isinstance(node, yaml.MappingNode):
        held: dict[str, Any] = {}
        made[id(node)] = held
        for key, value in node.value:
            held[str(key.value)] = values(value, made)
        return held
    if isinstance(node, yaml.SequenceNode):
        items: list[Any] = []
        made[id(node)] = items
        items += [values(item, made) for item in node.value]
        return items
    return plain(node)


def _containers(
    root: yaml.Node, document: dict[str, Any], servers: Mapping[int, Part], start: int
) -> Iterator[tuple[Container, Part | None]]:
    """Containers of an object's pods, and what was made of each."""
    base: Path = ("spec",) if document.get("kind") == "Pod" else ("spec", "template", "spec")
    if document.get("kind") == "CronJob":
        base = ("spec", "jobTemplate", "spec", "template", "spec")
    pod: Any = document
    for key in base:
        pod = mapping_of(pod).get(str(key))
    if not isinstance(pod, dict):
        return
    for number, values in enumerate(items_of(pod.get("containers"))):
        path = (*base, "containers", number)
        image = node_at(root, (*path, "image"))
        server = servers.get(start + image.start_mark.index) if image is not None else None
        yield Container(pod, values, base, path, {}), server


def _anew(container: dict[str, Any], server: Part) -> None:
    """A container with the words of its translation; variables that nothing reads go."""
    made = yaml.safe_load(server.text) if server.text else None
    if isinstance(made, dict):
        if "args" in made and "command" not in made:
            container.pop("command", None)
        for name in ("image", "command", "args"):
            if name in made:
                container[name] = made[name]
    gone = {change.given for change in server.changes if change.status in LOST}
    variables = [one for one in items_of(container.get("env")) if one.get("name") not in gone]
    if "env" in container and len(variables) != len(items_of(container["env"])):
        container["env"] = variables


def _engine(documents: Sequence[dict[str, Any]], servers: Any) -> str:
    """The engine that a text serves with, by its containers, else by what an autoscaler's target is called."""
    for server in servers:
        if server.engine == "vllm":
            return "vllm"
        if "engine" in server.fields:
            return str(server.fields["engine"])
    targets = [mapping_of(mapping_of(d.get("spec")).get("scaleTargetRef")).get("name") for d in documents]
    for target in targets:
        for word, engine in _ENGINES.items():
            if word in str(target).casefold():
                return engine
    return ""


def node_at(root: yaml.Node, path: Path) -> yaml.Node | None:
    """The node at a path; None where there is none."""
    node: yaml.Node | None = root
    for key in path:
        if isinstance(node, yaml.MappingNode) and isinstance(key, str):
            node = next((value for name, value in node.value if name.value == key), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
        else:
            return None
    return node


def _change(fault: Fault, root: yaml.Node, lines: Lines, start: int) -> Change:
    """A fault at the key that it is said of, or at what should hold it."""
    *above, last = fault.path
    holder = node_at(root, tuple(above))
    begins = ends = root.start_mark.index
    if isinstance(holder, yaml.MappingNode):
        begins, ends = holder.start_mark.index, holder.start_mark.index + 1
        for key, value in holder.value:
            if key.value == last:
                begins, ends = key.start_mark.index, value.end_mark.index
    elif isinstance(holder, yaml.SequenceNode) and isinstance(last, int) and last < len(holder.value):
        begins, ends = holder.value[last].start_mark.index, holder.value[last].end_mark.index
    place = (lines[start + begins], start + begins, start + ends)
    return Change(fault.given, fault.value, fault.status, fault.becomes, fault.text, fault.source, *place)


def _remarks(documents: Sequence[dict[str, Any]], changes: Sequence[Change]) -> Iterator[str]:
    """What a person has to see to besides."""
    if any(change.becomes in object_rules.WAITING.values() for change in changes):
        yield (
            "the custom metrics API must serve the new series: `workbench export --target kubernetes-hpa` writes the"
            " rules of Prometheus' adapter that do"
            " (https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md)"
        )
    classes = {mapping_of(d.get("spec")).get("ingressClassName") for d in documents if d.get("kind") == "Ingress"}
    if "nginx" in classes:
        yield (
            "ingress-nginx ended in March 2026: another controller has annotations of its own"
            " (https://kubernetes.io/blog/2025/11/11/ingress-nginx-retirement/)"
        )
