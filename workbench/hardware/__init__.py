"""GPUs, the links between them, nodes and hosts: the tables ``gpus.csv``, ``nodes.csv`` and ``hosts.csv``.

Rates are dense and in base units: bytes, bytes/s, FLOP/s, W, USD per hour. Link bandwidths are per direction,
although vendors print the sum of both. A card's capacity is what CUDA reports, not what the box says.
"""

from workbench.hardware.cards import COMPUTE_TYPES, GPU, LinkKind, cuda_total_from_smi, gpu, gpus, names
from workbench.hardware.custom import custom_gpu
from workbench.hardware.host_table import Host, host, hosts
from workbench.hardware.links import Interconnect, interconnect
from workbench.hardware.node_table import Node, node, nodes

__all__ = [
    "COMPUTE_TYPES",
    "GPU",
    "Host",
    "Interconnect",
    "LinkKind",
    "Node",
    "cuda_total_from_smi",
    "custom_gpu",
    "gpu",
    "gpus",
    "host",
    "hosts",
    "interconnect",
    "names",
    "node",
    "nodes",
]
