"""Servers on a cluster: at their node's address, with their log here, gone with their owner."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_orders import stub
from waiting import until

import workbench as wb
from workbench.cluster import Cluster
from workbench.errors import InvalidInput, WorkbenchError
from workbench.serving.server import Server

TESTS = Path(__file__).parents[1]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_it_answers_at_its_nodes_address_and_goes_when_it_is_stopped(nodes, unseen):
    folder = unseen / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    on = Cluster(nodes.direct, resources={"right": 0.5})
    with Server(stub(on, folder)) as server:
        assert (server.url, server.pid, server.attached) == ("", None, False)
        server.wait_ready(90)
        assert server.url.startswith("http://127.0.0.3:")
        until(lambda: "Starting to load model stub" in server.log())  # it comes after the answer, on a busy machine
        assert server.generate("hello").text == f"{folder} says hello"  # by its name here, though it lies elsewhere
        assert server.ready_seconds > 0
        assert nodes.processes("stub_engine")
    assert server.status == "stopped"
    nodes.clean(10)


@pytest.mark.soak
def test_why_it_did_not_come_up_is_read_from_its_log_and_a_taken_port_is_told(nodes, model):
    words = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    server = Server(stub(Cluster(nodes.direct), model, "--fails", words))
    with pytest.raises(WorkbenchError, match="The memory is not enough"):
        server.wait_ready(90)
    assert server.failure_kind == "oom_loading"
    with socket.socket() as taken:
        taken.bind(("127.0.0.3", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server(stub(Cluster(nodes.direct, resources={"right": 0.5}), model, port=port))
        with pytest.raises(WorkbenchError, match=rf"port {port} of 127\.0\.0\.3 cannot be had"):
            server.wait_ready(90)
    nodes.clean()


@pytest.mark.soak
def test_what_keeps_it_dies_and_it_is_told_as_lost(nodes, model):
    server = Server(stub(Cluster(nodes.direct), model)).wait_ready(90)
    for process in nodes.processes("ray::Node"):
        process.kill()
    until(lambda: server.status == "failed")
    assert server.failure_kind == "place_lost"
    assert "died while it was serving" in server.error
    assert "was lost" in server.error
    until(lambda: not nodes.running())


@pytest.mark.soak
def test_its_owner_is_killed_and_it_goes(nodes, model):
    code = (
        f"import sys; sys.path[:0] = {[str(TESTS), str(TESTS.parent)]!r}\n"
        "from cluster.test_serving import *\n"
        f"server = Server(stub(Cluster({nodes.direct!r}), Path({str(model)!r}))).wait_ready(90)\n"
        "print(server.url, flush=True)\n"
        "time.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline().startswith("http://127.0.0.")
    assert nodes.processes("stub_engine")
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    nodes.clean()


def test_what_cannot_be_asked_is_refused_at_once(model):
    with pytest.raises(InvalidInput, match="dashboard"):
        wb.serve(model, on="http://head:8265")
    with pytest.raises(InvalidInput, match="a running server keeps its own settings"):
        wb.serve("http://127.0.0.1:1", on="ray://head")
    with pytest.raises(InvalidInput, match="port is 99999"):
        Server(stub(Cluster("ray://head"), model, port=99999))
    server = Server(stub(Cluster("ray://127.0.0.2:9"), model))
    with pytest.raises(WorkbenchError, match=r"no Ray cluster answers at ray://127\.0\.0\.2:9"):
        server.wait_ready(30)
