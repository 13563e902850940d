"""A stand-in for an engine: a real HTTP server whose /metrics is a real Prometheus registry that tests fill."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LABELS = ["model_name", "engine"]
OWN = ("m", "0")


class Numbers:
    """What vLLM counts, under the names of 0.33 or, with ``old``, of releases before."""

    def __init__(self, *, old: bool = False, dated: bool = True, **cache: str) -> None:
        self.registry = CollectorRegistry()
        self.dated = dated
        kv = "gpu_cache_usage_perc" if old else "kv_cache_usage_perc"
        itl = "time_per_output_token_seconds" if old else "inter_token_latency_seconds"
        prefix = "gpu_prefix_cache" if old else "prefix_cache"
        self.running = self._gauge("num_requests_running")
        self.waiting = self._gauge("num_requests_waiting")
        self.kv_usage = self._gauge(kv)
        self.prompt = self._counter("prompt_tokens")
        self.said = self._counter("generation_tokens")
        self.preemptions = self._counter("num_preemptions")
        self.queries, self.hits = self._counter(f"{prefix}_queries"), self._counter(f"{prefix}_hits")
        self.finished = Counter(
            "vllm:request_success", "x", [*LABELS, "finished_reason"], registry=self.registry
        ).labels(*OWN, "stop")
        self.ttft = self._times("time_to_first_token_seconds", (0.01, 0.1, 1.0, 10.0))
        self.itl = self._times(itl, (0.01, 0.1, 1.0))
        self.queue = self._times("request_queue_time_seconds", (0.1, 1.0, 10.0))
        self.step = self._times("iteration_tokens_total", (1, 8, 64, 512, 4096))
        labels = {"block_size": "16", "num_gpu_blocks": "100", "enable_prefix_caching": "True", **cache, "engine": "0"}
        Gauge("vllm:cache_config_info", "x", list(labels), registry=self.registry).labels(**labels).set(1)

    def _gauge(self, name: str) -> Gauge:
        return Gauge(f"vllm:{name}", "x", LABELS, registry=self.registry).labels(*OWN)

    def _counter(self, name: str) -> Counter:
        return Counter(f"vllm:{name}", "x", LABELS, registry=self.registry).labels(*OWN)

    def _times(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"vllm:{name}", "x", LABELS, buckets=buckets, registry=self.registry).labels(*OWN)

    def work(self, tokens: int = 40, prompts: int = 100) -> None:
        """A moment of an engine that answers."""
        self.running.set(3)
        self.kv_usage.set(0.2)
        self.said.inc(tokens)
        self.prompt.inc(prompts)
        self.queries.inc(prompts)
        self.hits.inc(prompts / 4)
        self.finished.inc()
        self.ttft.observe(0.05)
        self.queue.observe(0.001)
        for _ in range(4):
            self.itl.observe(0.02)
            self.step.observe(tokens / 4)

    def page(self) -> str:
        """What /metrics prints; several API servers share their counters through files and tell no dates."""
        text = generate_latest(self.registry).decode()
        if self.dated:
            return text
        return "".join(line for line in text.splitlines(keepends=True) if "_created" not in line)


class StandInEngine:
    """Serves :class:`Numbers` at a port of its own, until :meth:`down`; :meth:`up` starts it anew at the same port."""

    def __init__(self, numbers: Numbers | None = None, *, status: int = 200, text: str | None = None) -> None:
        self.numbers, self.status, self.text = numbers or Numbers(), status, text
        self.asked = 0
        self.hold = threading.Event()
        self.hold.set()
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self._open: set[socket.socket] = set()
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self, numbers: Numbers | None = None) -> None:
        """Begin to listen; with numbers of its own, as a new process would have."""
        self.numbers = numbers or self.numbers
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer._open.add(self.connection)

            def finish(self) -> None:
                outer._open.discard(self.connection)
                super().finish()

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                outer.asked += 1
                outer.hold.wait(30)
                body = (outer.text if outer.text is not None else outer.numbers.page()).encode()
                if self.path != "/metrics" or outer.status == 404:
                    body = b'{"detail":"Not Found"}'
                self.send_response(outer.status if self.path == "/metrics" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Stop listening and break off what is open, as an engine that ended."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            for connection in tuple(self._open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> StandInEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
