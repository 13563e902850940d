"""``prometheus.yml``: whom Prometheus asks, with what it would refuse mended; the rest as it is.

References
----------
https://prometheus.io/docs/prometheus/latest/configuration/configuration/ (``scrape_config``, ``static_config``).
"""

from __future__ import annotations

import yaml

from workbench.translation.faults import Path
from workbench.translation.manifests import node_at, values
from workbench.translation.pasted import Lines
from workbench.translation.pod_rules import items_of
from workbench.translation.result import Change, Part

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SOURCE = "https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config"
#: What a job says that it would be without saying so.
_DEFAULTS = {"metrics_path": "/metrics", "scheme": "http"}


def part(text: str, lines: Lines, start: int = 0) -> Part | None:
    """A configuration of Prometheus; None where a text is none.

    Parameters
    ----------
    text : str
    lines : Lines
    start : int
        Where it begins in the whole text.
    """
    try:
        root = yaml.compose(text, Loader=_LOADER)
        held = values(root, {}) if root is not None else None
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    if root is None or not isinstance(held, dict) or not items_of(held.get("scrape_configs")):
        return None
    changes: list[Change] = []
    remarks: list[str] = []
    for number, job in enumerate(items_of(held["scrape_configs"])):
        here: Path = ("scrape_configs", number)
        for name, value in _DEFAULTS.items():
            if job.get(name) == value:
                del job[name]
                changes.append(_change(root, (*here, name), name, "default", "", "it is so anyway", lines, start))
        for group_number, group in enumerate(items_of(job.get("static_configs"))):
            named = group.get("targets")
            targets = [str(target) for target in named] if isinstance(named, list) else []
            group["targets"] = [_address(target) for target in targets]
            for at, (given, new) in enumerate(zip(targets, group["targets"], strict=True)):
                if given != new:
                    why = "a target is host and port; the scheme and the path have keys of their own"
                    changes.append(
                        _change(
                            root,
                            (*here, "static_configs", group_number, "targets", at),
                            given,
                            "wrong",
                            new,
                            why,
                            lines,
                            start,
                        )
                    )
                elif not new.split(":")[0].replace(".", "").isdigit() and new.split(":")[0] != "localhost":
                    remarks.append(
                        f"{new}: where this is a Service of several replicas each scrape asks another of them, and"
                        " counters seem to fall: find the pods by kubernetes_sd_configs"
                        " (https://prometheus.io/docs/prometheus/latest/configuration/configuration/"
                        "#kubernetes_sd_config)"
                    )
    made = yaml.safe_dump(held, sort_keys=False, allow_unicode=True)
    begins = start + root.start_mark.index
    return Part("prometheus", "Prometheus", "", tuple(changes), (), made, tuple(remarks), line=lines[begins])


def _address(target: str) -> str:
    """Host and port alone.

    >>> _address("http://vllm:8000/metrics"), _address("vllm:8000")
    ('vllm:8000', 'vllm:8000')
    """
    return target.split("://", 1)[-1].split("/", 1)[0]


def _change(
    root: yaml.Node, path: Path, given: str, status: str, becomes: str, why: str, lines: Lines, start: int
) -> Change:
    node = node_at(root, path) or root
    place = (start + node.start_mark.index, start + node.end_mark.index)
    value = "" if given == getattr(node, "value", "") else str(getattr(node, "value", ""))
    return Change(given, value, status, becomes, why, _SOURCE, lines[place[0]], *place)
