"""Ports: free, taken, held."""

from __future__ import annotations

import socket

import pytest

from workbench.errors import InvalidInput
from workbench.serving.ports import HOST, Reservation


def test_ports_are_free_and_differ() -> None:
    held = [Reservation() for _ in range(20)]
    assert len({reservation.port for reservation in held}) == 20
    for reservation in held:
        reservation.release()


def test_a_reserved_port_can_be_taken_by_a_server_and_by_no_second_reservation() -> None:
    held = Reservation()
    with pytest.raises(InvalidInput, match=f"port {held.port} is taken"):
        Reservation(held.port)
    with socket.socket() as server:  # as vLLM does it
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, held.port))
        server.listen()
        held.release()
        with pytest.raises(InvalidInput, match="taken by another program"):
            Reservation(held.port)
        with socket.create_connection((HOST, held.port), timeout=5):
            pass
    again = Reservation(held.port)  # a port just used is free again
    again.release()
    again.release()


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port(port: int) -> None:
    with pytest.raises(InvalidInput, match="between 1 and 65535"):
        Reservation(port)
