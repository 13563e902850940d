"""A stand-in for an engine: real processes, a real port, real files, no model.

Run as a program it is the engine: a server of OpenAI's API in one process, below it a worker, and below that a helper
that left the process group, each with a file of its own in the temporary folder. Imported, it is how the workbench
starts it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from streaming_server import StreamingServer

WORKER = """
import os, signal, subprocess, sys, tempfile, time
level, deaf, mark = int(sys.argv[1]), sys.argv[2] == "deaf", sys.argv[3]
if deaf:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
handle, path = tempfile.mkstemp(prefix="worker-")
os.write(handle, b"x" * 1000)
if level:
    below = [sys.executable, "-c", sys.argv[4], str(level - 1), sys.argv[2], mark, sys.argv[4]]
    subprocess.Popen(below, start_new_session=True)
while True:
    time.sleep(0.05)
"""


def serve(arguments):
    """Be the engine: say what a vLLM says, then answer until the worker dies or it is asked to end."""
    handle, _ = tempfile.mkstemp(prefix="engine-")
    os.write(handle, b"x" * 1000)
    deaf = "deaf" if arguments.deaf else "hearing"
    worker = subprocess.Popen([sys.executable, "-c", WORKER, "1", deaf, arguments.mark, WORKER])
    print("INFO 11-21 09:00:00 [api.py:1] vLLM server version 0.0.0", flush=True)
    time.sleep(arguments.seconds / 2)
    print("INFO 11-21 09:00:00 [core.py:1] Starting to load model stub...", flush=True)
    time.sleep(arguments.seconds / 2)
    if arguments.fails:
        print(arguments.fails, flush=True)
        sys.exit(1)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def reply(self, status, body):
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self):
            known = {"/health": {}, "/v1/models": {"data": [{"id": arguments.model}]}}
            self.reply(200 if self.path in known else 404, known.get(self.path, {"detail": "Not Found"}))

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = f"{arguments.model} says {body['prompt']}"
            usage = {"prompt_tokens": 1, "completion_tokens": 3}
            self.reply(200, {"choices": [{"text": said, "finish_reason": "stop"}], "usage": usage})

    if not arguments.streams:
        server = ThreadingHTTPServer((arguments.host, arguments.port), Handler)
        server.daemon_threads = True

    def watch():
        while worker.poll() is None:
            time.sleep(0.05)
        print("ERROR 11-21 09:00:09 [core.py:2] Worker proc stub died unexpectedly (exit code: -9)", flush=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if arguments.streams:
        with StreamingServer(first=0.02, gap=0.01, owner="vllm", host=arguments.host, port=arguments.port):
            threading.Event().wait()
    server.serve_forever(0.05)


def order(mark, model="stub", **options):
    """What starts it: an order for :class:`workbench.serving.Server`.

    The environment is one of vLLM's; the test names its own Python for it with WORKBENCH_VLLM_CPU_PYTHON.
    """
    from workbench.engines.starters import VLLM
    from workbench.serving.lifecycle import Order

    words = ["stub", "serve", model, "--mark", mark]
    for name, value in options.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]

    def command(words, python, host, port):
        return [str(python), __file__, *words[2:], "--host", host, "--port", str(port)]

    def environment(inherited, *, offline, more=None):
        return {**inherited, **(more or {})}

    starter = replace(VLLM, title="stub", command=command, environment=environment)
    return Order(command=tuple(words), environment="vllm-cpu", offline=True, engine=starter)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--mark")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--streams", action="store_true", help="answers as streams, so that it can be put under load")
    parser.add_argument("--fails", default="")
    parser.add_argument("--served-model-name", dest="model")
    serve(parser.parse_args())
