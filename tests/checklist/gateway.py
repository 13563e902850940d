"""A real nginx before an endpoint: found, else installed by Debian's package; nothing is skipped for want of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from functools import cache
from pathlib import Path

from browser import free_port

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format told '$remote_addr "$request" $status {logged}';
  access_log {folder}/access.log told;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 8m;
  limit_req_zone {keyed_by} zone=users:1m rate={rate}r/s;
  limit_req_status 429;
  upstream model {{ server {model}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 300s;
    proxy_buffering {buffering};
    error_page 429 = @slower;
    location ~ ^/v1/(chat/)?completions$ {{ {limit} proxy_pass http://model; }}
    location /v1/ {{ proxy_pass http://model; }}
    location = /health {{ proxy_pass http://model; }}
    location = /metrics {{ proxy_pass http://model; }}
    location = /version {{ proxy_pass http://model; }}
    location / {{ return 404; }}
    location @slower {{
      default_type application/json;
      add_header Retry-After 1 always;
      return 429 '{{"error": {{"message": "slow down"}}}}';
    }}
  }}
}}
"""


@cache
def executable() -> str:
    """Path of an nginx; installs one where we are root and there is none.

    Raises
    ------
    RuntimeError
        There is none and it cannot be installed.
    """
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "-y", "--no-install-recommends", "nginx-light"]):
            subprocess.run(["apt-get", *words], capture_output=True, env=environment, timeout=600, check=False)
        found = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not found:
        raise RuntimeError("no nginx: install one (for example `apt-get install nginx-light`)")
    return found


@contextlib.contextmanager
def gateway(
    url, folder: Path, *, limit=True, rate=10, burst=75, keyed_by="$http_authorization", buffering="off", logged=""
):
    """The address of an nginx that passes requests on to an endpoint, and the path of its log."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    port = free_port()
    text = CONFIGURATION.format(
        folder=folder, port=port, model=url.removeprefix("http://"), keyed_by=keyed_by, buffering=buffering, rate=rate,
        logged=logged, limit=f"limit_req zone=users burst={burst} nodelay;" if limit else "",
    )  # fmt: skip
    if os.geteuid() == 0:
        text = "user root;" + text
    file = folder / "nginx.conf"
    file.write_text(text)
    process = subprocess.Popen([executable(), "-p", str(folder), "-c", str(file)], stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f"nginx did not start: {process.stderr.read() if process.poll() is not None else ''}"
                )
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", folder / "access.log"
    finally:
        process.terminate()
        process.wait(10)
        process.stderr.close()
