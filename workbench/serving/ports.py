"""A TCP port on this machine: is it free, and one that stays free until vLLM has it."""

from __future__ import annotations

import errno
import socket
import threading

from workbench.errors import InvalidInput

HOST = "127.0.0.1"

_held: set[int] = set()
_lock = threading.Lock()


class Reservation:
    """Holds a port while an engine comes up.

    The socket is bound and never listens. So the system gives the port to nobody else who asks for "any", while
    the engine, which binds with SO_REUSEADDR as servers do, can still take it.

    Parameters
    ----------
    port : int, optional
        A port that the user named; by default any free one.

    Raises
    ------
    InvalidInput
        The named port is taken, or is no port.
    """

    def __init__(self, port: int | None = None) -> None:
        if port is not None and not 1 <= port <= 65535:
            raise InvalidInput(f"port is {port}; it must be between 1 and 65535")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _lock:
            try:
                if port in _held:
                    raise OSError(errno.EADDRINUSE, "held by this process")
                self._socket.bind((HOST, port or 0))
            except OSError as error:
                self._socket.close()
                if error.errno == errno.EACCES:
                    raise InvalidInput(f"port {port} needs administrator rights; choose one above 1023") from error
                raise InvalidInput(
                    f"port {port} is taken by another program; choose another port, or leave it out to get a free one"
                ) from error
            self.port: int = self._socket.getsockname()[1]
            _held.add(self.port)

    def release(self) -> None:
        """Let go of the port; safe to call twice."""
        with _lock:
            if self._socket.fileno() >= 0:
                self._socket.close()
                _held.discard(self.port)
