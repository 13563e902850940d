"""The exported nginx and HAProxy, really started before an endpoint of this machine.

What is changed of their files, and only that: the port they listen on, nginx's folder of logs, and what the comments
about TLS say to change.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import free_port

import workbench as wb
from workbench.exports import export
from workbench.exports.checks._programs import find


@dataclass(frozen=True)
class Front:
    """Where it listens, whose keys it takes, what it wrote."""

    url: str
    keys: dict[str, str]
    log: Path


@contextlib.contextmanager
def front(
    kind: str,
    plan: wb.Plan,
    model: str,
    folder: Path,
    engine_key: str,
    *,
    certificate: Path | None = None,
    **wishes: Any,
) -> Iterator[Front]:
    """A proxy before one replica at an address of this machine, with keys for alice and bob.

    Parameters
    ----------
    certificate : Path, optional
        A folder with fullchain.pem, privkey.pem, and both in tls.pem: the lines about TLS are switched on.
    """
    port = free_port()
    export(plan, [kind], folder, port=int(model.rpartition(":")[2]), **wishes)
    home = folder / kind
    keys = {
        name: subprocess.run([home / "new-key.sh", name], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("alice", "bob")
    }
    environment = dict(os.environ)
    if kind == "nginx":
        file, log = home / "nginx.conf", folder / "access.log"
        text = file.read_text().replace("/var/log/nginx/", f"{folder}/")
        if certificate:
            text = re.sub(r"# (listen 443|ssl_certificate)", r"\1", text).replace("/etc/nginx/tls/", f"{certificate}/")
            text = text.replace("        listen 80 default_server;\n", "").replace(
                "listen 443", f"listen 127.0.0.1:{port}"
            )
        file.write_text(text.replace("listen 80 default_server;", f"listen 127.0.0.1:{port};"))
        (home / "keys" / "engine.conf").write_text(f'proxy_set_header Authorization "Bearer {engine_key}";\n')
        words = ["-p", str(folder), "-c", str(file), "-g", f"daemon off; pid {folder}/nginx.pid;"]
    else:
        file, log = home / "haproxy.cfg", folder / "haproxy.log"
        text = file.read_text()
        if certificate:
            text = text.replace("# bind :443", "bind :443").replace("/etc/haproxy/", f"{certificate}/")
            text = text.replace("    bind :80\n", "").replace("bind :443", f"bind 127.0.0.1:{port}")
        file.write_text(text.replace("bind :80", f"bind 127.0.0.1:{port}"))
        environment |= {"VLLM_API_KEY": engine_key}
        words = ["-f", str(file)]
    program = find(kind)
    assert program is not None
    folder.chmod(0o755)
    with (folder / "stderr").open("w") as said, log.open("a") as written:
        process = subprocess.Popen([program, *words], stdout=written, stderr=said, env=environment)
    try:
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{kind} did not start: {(folder / 'stderr').read_text()}")
            time.sleep(0.05)
        yield Front(f"http{'s' if certificate else ''}://127.0.0.1:{port}", keys, log)
    finally:
        process.terminate()
        process.wait(10)


def installed(kind: str) -> bool:
    """Whether there is such a program here."""
    return find(kind) is not None
