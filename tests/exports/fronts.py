"""The exported nginx and HAProxy, really started before an endpoint of this machine.

What is changed of their files, and only that: the port they listen on, and nginx's folder of logs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
def front(kind: str, plan: wb.Plan, model: str, folder: Path, engine_key: str, **wishes: object) -> Iterator[Front]:
    """A proxy before one replica at an address of this machine, with keys for alice and bob."""
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
        text = file.read_text().replace("listen 80 default_server;", f"listen 127.0.0.1:{port};")
        file.write_text(text.replace("/var/log/nginx/", f"{folder}/"))
        (home / "keys" / "engine.conf").write_text(f'proxy_set_header Authorization "Bearer {engine_key}";\n')
        words = ["-p", str(folder), "-c", str(file), "-g", f"daemon off; pid {folder}/nginx.pid;"]
    else:
        file, log = home / "haproxy.cfg", folder / "haproxy.log"
        file.write_text(file.read_text().replace("bind :80", f"bind 127.0.0.1:{port}"))
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
        yield Front(f"http://127.0.0.1:{port}", keys, log)
    finally:
        process.terminate()
        process.wait(10)


def installed(kind: str) -> bool:
    """Whether there is such a program here."""
    return find(kind) is not None or shutil.which(kind) is not None
