"""Jobs and servers on the nodes of a Ray cluster, which the user names.

>>> import workbench as wb
>>> job = wb.quantize("builtin", method="gptq", out="made", on="ray://head:10001")                     # doctest: +SKIP
>>> server = wb.serve("builtin", on=wb.Cluster("ray://head:10001", resources={"fast": 1}))             # doctest: +SKIP
>>> found = wb.bench("builtin", on="ray://head:10001")  # the load comes from the server's own node     # doctest: +SKIP

How the cluster is spoken to, and why so
----------------------------------------
What the job or server starts on this machine is a *driver*: a worker of ours (:mod:`workbench.cluster.driver`) in an
environment of its own that holds Ray. It joins the cluster, puts an actor on a node that has what is needed, lets that
run the real worker in the node's environment, and passes on log, progress and result. Of Ray it uses ``init``,
``nodes``, one actor with its options, ``wait``, ``get`` and ``kill``, which are as old as Ray 1.

- Ray's *Jobs API* over HTTP is of all ways the one that asks least of versions: neither Ray nor Python need be the
  same. But a job that was submitted "runs once to completion or failure, regardless of the original submitter's
  connectivity" (https://docs.ray.io/en/latest/cluster/running-applications/job-submission/index.html): a notebook that
  is killed would leave it, and its GPU, running. It has logs and no files, so results would need a way of their own;
  and it stands or falls with the dashboard.
- A driver ends with its connection, and Ray ends its actors with it: nothing survives its owner, as on this machine.
  Files travel as objects. The price is that Ray must be the same and Python the same but for the patch; so Ray lives
  in an environment, never in the workbench's own, and which Ray that holds is the user's to say (``WORKBENCH_RAY``, a
  requirement; ``WORKBENCH_RAY_PYTHON``, a Python). A mismatch is told with both versions and what to set.
- ``ray://HOST:10001`` (Ray Client) reaches a cluster from a machine that is none of its nodes; ``HOST:6379`` or
  ``auto``, on one of its nodes, speaks to it directly. On one machine with two cores a job began 4 s and 3 s after it
  was asked for; files came with 65 to 85 MB/s and 260 MB/s, and went with 80 and 440 MB/s.
- A driver that is killed together with its keeper, or whose machine is cut off, is noticed at once where it spoke
  directly, and after Ray Client's 30 s of grace where it did not (``RAY_CLIENT_RECONNECT_GRACE_PERIOD``).

The workbench's own code goes along as the driver's ``working_dir`` of Ray's ``runtime_env``, so that both sides are of
one version and nodes need no installation of it. Engines and quantisers run in the nodes' own environments, found in
the node's cache folder and built there like here if missing: ``runtime_env`` could build them too, for one job at a
time, and would install gigabytes again for the next.

What is where
-------------
A path that the node sees with the same files, as on a shared disk, is used as it is, and so is the target's place.
Everything else travels through Ray. A result comes to a folder beside its target, which appears whole or not at all,
whoever dies.

A server stands on one node. One vLLM over several is vLLM's own affair (``--distributed-executor-backend ray``),
started with what ``workbench export`` writes. Its CPU build cannot: tried with vLLM 0.32.0 and Ray 2.60.0 on two nodes
it says "current platform cpu does not support ray", for that platform names no resource of Ray's
(``vllm/platforms/cpu.py`` has no ``ray_device_key``; ``vllm/v1/executor/ray_utils.py``, ``initialize_ray_cluster``).

Who may
-------
Ray has no access control of its own unless it is switched on (``RAY_AUTH_MODE=token``, since 2.52; the driver reads
``RAY_AUTH_TOKEN`` like every program of Ray): whoever reaches a cluster's ports may run anything on it. The workbench
speaks to a cluster only where its address was given, never to one that ``RAY_ADDRESS`` happens to name. A server there
listens at its node's address, for whoever reaches that: ``--api-key`` among its arguments asks for a key.
References: https://docs.ray.io/en/latest/ray-security/index.html, https://docs.ray.io/en/latest/ray-security/token-auth.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.cluster.needs import Needs

if TYPE_CHECKING:
    from workbench.cluster.cluster import Cluster, cluster_of, place_of

__all__ = ["AT_ONCE", "Cluster", "Needs", "cluster_of", "place_of"]

#: Jobs, or servers, of one request that are under way on a cluster: each has a driver on this machine.
AT_ONCE = 8


def __getattr__(name: str) -> Any:
    # Late: the driver, in Ray's environment, comes through here and has no library of the workbench's.
    if name in __all__:
        from workbench.cluster import cluster

        return getattr(cluster, name)
    raise AttributeError(f"module 'workbench.cluster' has no attribute {name!r}")
