"""``--on ADDRESS``: where a verb's work is done, for the verbs that can have it done on a Ray cluster."""

from __future__ import annotations

import argparse

from workbench.cluster import Cluster
from workbench.cluster.cluster import with_needs
from workbench.errors import InvalidInput


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "--on", metavar="ADDRESS", help="do it on a node of this Ray cluster: ray://HOST:10001, or HOST:6379 on a node"
    )
    parser.add_argument(
        "--needs",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="with --on, of the node: cpus, gpus, memory [bytes], or a resource of the cluster's own; also retries, "
        "and patience [s] where an autoscaler brings nodes; repeatable",
    )


def cluster_from(args: argparse.Namespace) -> Cluster | None:
    """The cluster that the arguments name; None for this machine.

    Raises
    ------
    InvalidInput
        The address is none, or a need is no number.
    """
    on, needs = getattr(args, "on", None), getattr(args, "needs", [])
    if on is None:
        if needs:
            raise InvalidInput("--needs is of a node: give the cluster's address too, --on ray://HOST:10001")
        return None
    asked: dict[str, float] = {}
    for word in needs:
        name, sign, value = word.partition("=")
        try:
            number = float(value)
        except ValueError:
            sign = ""
        if not sign or not name.strip():
            raise InvalidInput(f"--needs {word!r}: NAME=NUMBER is needed")
        asked[name.strip()] = int(number) if number.is_integer() else number
    return with_needs(on, asked)
