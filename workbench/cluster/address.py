"""How a Ray cluster is named, and whether anything answers there."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from workbench.errors import InvalidInput, MissingPart

CLIENT_PORT = 10001  # of Ray Client, unless `ray start --ray-client-server-port` says another
_PATIENCE = 5.0  # seconds for a connection


@dataclass(frozen=True)
class Address:
    """Where a cluster is reached.

    Attributes
    ----------
    text : str
        As Ray reads it.
    host : str
        Empty for "auto": the cluster that this machine is a node of.
    port : int
        Zero for "auto".
    """

    text: str
    host: str = ""
    port: int = 0

    @property
    def client(self) -> bool:
        """Whether it is spoken to through Ray Client, from a machine that need not be one of its nodes."""
        return self.text.startswith("ray://")


def parse(text: str) -> Address:
    """Read an address.

    Raises
    ------
    InvalidInput
        It is none of a Ray cluster.

    Examples
    --------
    >>> parse("ray://head.example").text
    'ray://head.example:10001'
    >>> parse("10.0.0.1:6379").client
    False
    """
    if text == "auto":
        return Address(text)
    if text.startswith(("http://", "https://")):
        raise InvalidInput(
            f"{text} is the address of a dashboard; give that of Ray Client on the same machine, ray://HOST:{CLIENT_PORT}"
        )
    found = re.fullmatch(r"(ray://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d+))?/?", text)
    if found is None or (not found[1] and not found[3]) or not 1 <= int(found[3] or CLIENT_PORT) <= 65535:
        raise InvalidInput(
            f"{text!r} names no Ray cluster; write ray://HOST:{CLIENT_PORT}, or HOST:6379 on one of its nodes, or auto"
        )
    port = int(found[3] or CLIENT_PORT)
    return Address(f"{found[1] or ''}{found[2]}:{port}", found[2].strip("[]"), port)


def reach(address: Address) -> None:
    """Return if something listens there; Ray itself would take half a minute or two to say no.

    Raises
    ------
    MissingPart
        Nothing does.
    """
    if not address.host:
        return
    try:
        socket.create_connection((address.host, address.port), _PATIENCE).close()
    except OSError as error:
        port = "the port of Ray Client" if address.client else "the port of its head"
        raise MissingPart(
            f"no Ray cluster answers at {address.text} ({error.strerror or error}); see that it runs (`ray status` "
            f"there) and that this is {port}"
        ) from None
