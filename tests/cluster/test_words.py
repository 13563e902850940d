"""What is said of a cluster without one: addresses, needs, and Ray's errors as sentences."""

from __future__ import annotations

import pytest

import workbench as wb
from workbench.cli import main
from workbench.cluster import Cluster, Needs, cluster_of
from workbench.cluster.address import parse
from workbench.cluster.cluster import with_needs
from workbench.cluster.connection import in_words
from workbench.errors import InvalidInput, MissingPart

# As Ray 2.60.0 says it: ray/_private/utils.py, check_version_info.
MISMATCH = """Version mismatch: The cluster was started with:
    Ray: {0}
    Python: {1}
This process on Ray Client was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("ray://head", ("ray://head:10001", "head", 10001)),
        ("ray://head:20001/", ("ray://head:20001", "head", 20001)),
        ("10.0.0.1:6379", ("10.0.0.1:6379", "10.0.0.1", 6379)),
        ("ray://[::1]:10001", ("ray://[::1]:10001", "::1", 10001)),
        ("auto", ("auto", "", 0)),
    ],
)
def test_addresses(text, read):
    address = parse(text)
    assert (address.text, address.host, address.port) == read
    assert address.client == text.startswith("ray://")


@pytest.mark.parametrize("text", ["", "head", "ray://", "ray://a b", "ray://h:0", "ray://h:99999", "h:6379;rm -rf /"])
def test_no_addresses(text):
    with pytest.raises(InvalidInput, match=r"names no Ray cluster; write ray://HOST:10001"):
        Cluster(text)


def test_what_a_cluster_is_asked_for():
    cluster = with_needs("ray://head", {"cpus": 4, "retries": 0, "fast": 0.5})
    assert cluster == Cluster("ray://head", cpus=4, retries=0, resources={"fast": 0.5})
    assert cluster_of(cluster) is cluster
    asked = cluster.needs({"memory": 7, "gpus": 2})
    assert asked == {"cpus": 4, "gpus": 2, "memory": 7, "resources": {"fast": 0.5}}
    assert Cluster("auto", memory=0, gpus=0).needs({"memory": 7, "gpus": 2})["memory"] == 0
    for wrong in ({"cpus": -1}, {"retries": 1.5}, {"gpus": "two"}, {"resources": {"fast": 0}}):
        with pytest.raises(InvalidInput):
            Cluster("ray://head", **wrong)
    with pytest.raises(InvalidInput, match="give the address of a Ray cluster"):
        cluster_of(7)


def test_no_node_has_it():
    nodes = [{"CPU": 4.0, "memory": 8 * 2**30}, {"CPU": 16.0, "GPU": 1.0, "memory": 64 * 2**30}]
    assert Needs(cpus=16, gpus=1, memory=2**30).missing(nodes) == ""
    said = Needs(cpus=8, memory=65 * 2**30).missing(nodes)
    assert said.startswith("no node has 8 CPUs and 65.00 GiB of memory; they have ")
    assert "16 CPUs, 1 GPU, 64.00 GiB of memory" in said
    assert "4 CPUs, 8.00 GiB of memory" in said
    assert Needs().missing([]) == "it has no node that lives"
    assert str(Needs(cpus=0)) == "nothing"


@pytest.mark.parametrize(
    ("ray", "python", "words"),
    [
        (
            "2.58.1",
            "3.11.9",
            "environment ray holds Ray 2.60.0: set WORKBENCH_RAY='ray[default]==2.58.1' and it is built",
        ),
        ("2.60.0", "3.12.3", "name a Python 3.12 that holds ray[client]==2.60.0 in WORKBENCH_RAY_PYTHON"),
    ],
)
def test_another_version_is_told_with_what_to_set(ray, python, words):
    said = in_words(RuntimeError(MISMATCH.format(ray, python)), parse("ray://head"))
    assert isinstance(said, MissingPart)
    assert f"the cluster at ray://head:10001 runs Ray {ray} with Python {python}" in str(said)
    assert words in str(said)
    assert "\n" not in str(said)


def test_a_head_that_does_not_understand_the_client_is_told_as_what_it_most_likely_is():
    # As a head of Ray 2.60.0 answered a client of 2.59.0.
    text = (
        "Initialization failure from server:\nTraceback (most recent call last):\n"
        '  File "/x/ray/util/client/server/proxier.py", line 359, in start_specific_server\n'
        "AttributeError: 'JobConfig' object has no attribute '_x'\n"
    )
    said = str(in_words(ConnectionAbortedError(text), parse("ray://head")))
    assert said.startswith("the cluster at ray://head:10001 did not take this driver (AttributeError: ")
    assert "another Ray or Python than environment ray" in said
    busy = "Initialization failure from server:\nTraceback:\nRuntimeError: Starting Ray client server failed. See x.err"
    said = str(in_words(ConnectionAbortedError(busy), parse("ray://head")))
    assert (
        said == "the connection to ray://head:10001 failed: RuntimeError: Starting Ray client server failed. See x.err"
    )
    # As a head of Ray 2.60.0 answered when eight drivers joined it at once.
    gone = "Initialization failure from server:\nTraceback:\npsutil.ZombieProcess: PID still exists but it's a zombie"
    said = str(in_words(ConnectionAbortedError(gone), parse("ray://head")))
    assert said.startswith("the connection to ray://head:10001 failed: psutil.ZombieProcess: ")


def test_the_command_line_refuses_in_a_sentence(tmp_path, capsys):
    for words, said in (
        (["--on", "nowhere"], "names no Ray cluster"),
        (["--needs", "cpus=2"], "--needs is of a node"),
        (["--on", "ray://head", "--needs", "cpus"], "NAME=NUMBER"),
    ):
        assert main(["quantize", "builtin", "--out", str(tmp_path / "x"), *words]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="names no Ray cluster"):
        wb.quantize("builtin", on="nowhere", out=tmp_path / "x")
