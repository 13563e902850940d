"""What a group of GPUs exchanges data over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from workbench.errors import InvalidInput
from workbench.hardware.cards import GPU, LinkKind
from workbench.hardware.node_table import Node

InterconnectKind = Literal[
    "none", "nvlink bridge", "nvlink mesh", "nvswitch", "infinity fabric", "roce", "pcie", "network"
]
#: Time of one step of a ring for a small message [s]: NCCL's own constants (src/graph/tuning.cc at 01afd20, ring,
#: LL protocol) for NVLink, PCIe and network. Launching a collective costs more and is the performance model's.
_STEP_LATENCY = {"pcie": 1.0e-6, "network": 2.7e-6, "roce": 2.7e-6}
_LINK_STEP_LATENCY = 0.47e-6
#: Network per GPU, each way [bytes/s], where no node is named: 400 Gb/s beside a switched link, else 50 Gb/s.
_NIC_SWITCHED, _NIC_PLAIN = 400e9 / 8, 50e9 / 8


@dataclass(frozen=True)
class Interconnect:
    """What a group of GPUs exchanges data over; the slowest part of the ring.

    Attributes
    ----------
    kind : str
        ``none`` (one GPU), the card's own link, ``pcie`` or ``network``.
    bandwidth : float
        Per GPU and direction [bytes/s], nominal; infinite for one GPU.
    latency : float
        One ring step with a small message [s].
    """

    kind: InterconnectKind
    bandwidth: float
    latency: float


def interconnect(card: GPU, gpus_in_group: int, node: Node | None = None) -> Interconnect:
    """Which link a group of GPUs communicates over.

    The card's own link where it spans the group, PCIe where the group still fits a node, else the network.
    A bridge that joins pairs does not help a group of four: its ring crosses PCIe all the same.

    Parameters
    ----------
    card : GPU
        The GPU.
    gpus_in_group : int
        GPUs that take part, placed as closely as possible.
    node : Node, optional
        The machine; without it the card's usual box.

    Raises
    ------
    InvalidInput
        If the group is empty, or the node does not hold this card.

    Examples
    --------
    >>> from workbench.hardware import gpu
    >>> interconnect(gpu("L40S"), 4)
    Interconnect(kind='pcie', bandwidth=31500000000.0, latency=1e-06)
    >>> [interconnect(gpu("A100 80GB PCIe"), n).kind for n in (1, 2, 4)]
    ['none', 'nvlink bridge', 'pcie']
    >>> [interconnect(gpu(name), 16).kind for name in ("H100 SXM", "GB200")]
    ['network', 'nvswitch']
    """
    if gpus_in_group < 1:
        raise InvalidInput(f"a group needs at least one GPU, not {gpus_in_group}")
    if node is not None and node.gpu != card.name:
        raise InvalidInput(f"{node.name} has {node.gpu}, not {card.name}")
    if gpus_in_group == 1:
        return Interconnect("none", math.inf, 0.0)
    domain = node.link_domain if node else card.link_domain
    if gpus_in_group <= domain and card.link != "none":
        share = _share_of_links(card.link, gpus_in_group, domain)
        latency = _STEP_LATENCY.get(card.link, _LINK_STEP_LATENCY)
        return Interconnect(card.link, share * card.link_bandwidth, latency)
    if gpus_in_group <= (node.gpus if node else card.gpus_per_node):
        return Interconnect("pcie", card.pcie_bandwidth, _STEP_LATENCY["pcie"])
    if node and node.nic_bandwidth:
        share = node.nic_bandwidth / node.gpus
    else:
        share = _NIC_SWITCHED if card.link in ("nvswitch", "infinity fabric", "roce") else _NIC_PLAIN
    return Interconnect("network", share, _STEP_LATENCY["network"])


def _share_of_links(kind: LinkKind, group: int, domain: int) -> float:
    """Share of a card's links that lead to the others of its group."""
    if kind in ("infinity fabric", "roce"):  # every pair has its own links: MI300X 64 GB/s of 448
        return (group - 1) / (domain - 1)
    if kind == "nvlink mesh":  # cube mesh of V100: two of six links within a pair, four within a quad
        return min(1.0, math.log2(group) / math.log2(domain))
    return 1.0
