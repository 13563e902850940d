"""An endpoint of our own, good by default, with faults that can be switched on; Prometheus and Grafana likewise.

Real HTTP on this machine; no model behind it, but it counts, waits, streams, limits, filters and logs as one would.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

KEY, OTHER = "user-key-4711", "other-key-0815"
INJECTION = re.compile(r"ignore all previous|system override|translate the text before", re.IGNORECASE)


class _Server:
    """A threaded HTTP server that answers by a function of method, path and body."""

    def __init__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

            def log_message(self, *_):
                pass

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    outer.answer(self, body)

            do_GET = do_POST = answer

            def send(self, status, data, **headers):
                body = data if isinstance(data, bytes) else json.dumps(data).encode()
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                self.wfile.write(body)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.request_queue_size = 128
        self._http.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()


@dataclass
class Behaviour:
    """What it does; each field but the first four is a fault that can be switched on."""

    model: str = "good-model"
    max_model_len: int = 40_000
    gap: float = 0.001
    log: Path | None = None
    auth: bool = True
    open_door: bool = False
    one_stream: bool = False
    health: bool = True
    status: int = 200
    hangs: str = ""  # "generation" or "all"
    first_token: float = 0.01
    garbage: bool = False
    huge: bool = False
    html: bool = False
    leaks_log: bool = False
    leaks_system: bool = False
    leaks_data: bool = False
    limit: tuple[float, float] | None = (10.0, 75.0)  # requests a second, burst
    one_limit: bool = False
    most_at_once: int = 1000
    preempts: bool = False
    kv_usage: float = 0.3
    breaks_when_too_long: bool = False
    any_model: bool = False
    echoes_key: bool = False
    shows_metrics: bool = True
    buffers: bool = False


@dataclass
class _Count:
    requests: int = 0
    tokens: int = 0
    seconds: list = field(default_factory=list)


class Endpoint(_Server):
    """A served model."""

    def __init__(self, **behaviour):
        self.does = Behaviour(**behaviour)
        self.count, self.now = _Count(), 0
        self.asked, self._lock, self._stream = [], threading.Lock(), threading.Lock()
        self._buckets = defaultdict(lambda: [time.monotonic(), self.does.limit[1]])
        super().__init__()

    def allowed(self, key):
        """Whether the limit lets a request through: a bucket that fills with time."""
        if self.does.limit is None:
            return True
        rate, burst = self.does.limit
        with self._lock:
            bucket = self._buckets["all" if self.does.one_limit else key]
            then, left = bucket
            left = min(burst, left + (time.monotonic() - then) * rate)
            bucket[:] = [time.monotonic(), max(left - 1, 0.0)]
            return left >= 1

    def answer(self, handler, body):
        does, path = self.does, urlsplit(handler.path).path
        self.asked.append(path)
        if does.hangs == "all":
            time.sleep(30)
            return
        key = (handler.headers.get("Authorization") or "").removeprefix("Bearer ")
        if path == "/health" and does.health:
            return handler.send(200, b"")
        if path == "/version":
            return handler.send(200, {"version": "0.33.0"})
        if path == "/metrics" and does.shows_metrics:
            return handler.send(200, self.metrics().encode())
        if path == "/invocations" and does.open_door:
            return handler.send(200, {"choices": [{"text": "in"}]})
        if not path.startswith("/v1/"):
            return handler.send(404, {"detail": "Not Found"})
        if does.auth and key not in (KEY, OTHER):
            if does.leaks_log:
                self.write(f"refused {key}")
            echo = f"bad key {key}" if does.echoes_key else "no valid key"
            return handler.send(401, {"error": {"message": echo}}, WWW_Authenticate="Bearer")
        if path == "/v1/models":
            row = {"id": does.model, "max_model_len": does.max_model_len, "owned_by": "vllm"}
            if does.echoes_key:
                row["note"] = f"for {key}"
            return handler.send(200, {"data": [row]})
        if path != "/v1/chat/completions":
            return handler.send(404, {"error": {"message": "chat only"}})
        if not self.allowed(key):
            return handler.send(429, {"error": {"message": "slow down"}}, Retry_After=1)
        with self._lock:
            self.now += 1
        try:
            if self.now > does.most_at_once:
                return handler.send(503, {"error": {"message": "overrun"}})
            self.generate(handler, json.loads(body))
        finally:
            with self._lock:
                self.now -= 1

    def write(self, line):
        if self.does.log is not None:
            with self._lock, self.does.log.open("a") as file:
                file.write(line + "\n")

    def generate(self, handler, body):
        does = self.does
        prompt = " ".join(m["content"] for m in body.get("messages", []))
        user = body["messages"][-1]["content"] if body.get("messages") else ""
        system = body["messages"][0]["content"] if len(body.get("messages", [])) > 1 else ""
        self.write(f"POST /v1/chat/completions {prompt if does.leaks_log else len(prompt)}")
        if does.hangs == "generation":
            time.sleep(30)
            return None
        if does.status != 200:
            return handler.send(does.status, b"<h1>Internal error</h1><script>alert(1)</script>")
        if not isinstance(body.get("max_tokens"), int) or not body.get("messages"):
            return handler.send(400, {"error": {"message": "max_tokens is a number"}})
        if body["model"] != does.model and not does.any_model:
            return handler.send(404, {"error": {"message": f"no model {body['model']}"}})
        length = len(prompt.split())
        if length + body["max_tokens"] > does.max_model_len:
            if does.breaks_when_too_long:
                return handler.send(500, {"error": {"message": "cuda error"}})
            return handler.send(400, {"error": {"message": f"at most {does.max_model_len} tokens"}})
        if INJECTION.search(user) and not does.leaks_system:
            return handler.send(400, {"error": {"message": "blocked", "code": "content_filter"}})
        said = self.words(system, user)
        words = (said.split(" ") * body["max_tokens"])[: body["max_tokens"]] if not system else said.split(" ")
        usage = {"prompt_tokens": length, "completion_tokens": len(words)}
        with self._lock:
            self.count.requests += 1
            self.count.tokens += len(words)
            self.count.seconds.append(does.first_token + does.gap * len(words))
        if body.get("stream"):
            return self.stream(handler, words, usage)
        if does.most_at_once < 1000:
            time.sleep(0.1)  # long enough for a burst to meet itself
        if does.huge:
            words = ["x" * (2 * 2**20)]
        choice = {"message": {"role": "assistant", "content": " ".join(words)}, "finish_reason": "length"}
        return handler.send(200, {"model": does.model, "choices": [choice], "usage": usage})

    def words(self, system, user):
        does = self.does
        if does.html:
            return '<img src=x onerror="alert(1)"></script><b>bold</b> [link](javascript:1)'
        if INJECTION.search(user):
            return f"Certainly: {system}"
        if "customer" in user and system:
            return system if does.leaks_data else re.sub(r"\S+@\S+|\+1[\d ]+", "[REDACTED]", system)
        return "red green blue"

    def stream(self, handler, words, usage):
        does = self.does
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        time.sleep(does.first_token)
        if does.garbage:
            handler.wfile.write(b"data: {not json\n\n\x00\xff\xfe")
            return
        lines = [json.dumps({"choices": [{"delta": {"content": word + " "}}]}) for word in words]
        lines += [json.dumps({"choices": [], "usage": usage}), "[DONE]"]
        if does.buffers:
            handler.wfile.write("".join(f"data: {line}\n\n" for line in lines).encode())
            return
        with self._stream if does.one_stream else contextlib.nullcontext():
            for line in lines:
                handler.wfile.write(f"data: {line}\n\n".encode())
                handler.wfile.flush()
                time.sleep(does.gap)

    def metrics(self):
        """The page of a vLLM."""
        count, label = self.count, '{engine="0",model_name="good-model"}'
        lines = [
            f"vllm:num_requests_running{label} {self.now}",
            f"vllm:num_requests_waiting{label} 0",
            f"vllm:kv_cache_usage_perc{label} {self.does.kv_usage}",
            f"vllm:generation_tokens_total{label} {count.tokens}",
            f"vllm:request_success_total{label} {count.requests}",
            f"vllm:num_preemptions_total{label} {count.requests if self.does.preempts else 0}",
            'vllm:cache_config_info{num_gpu_blocks="6250",block_size="16"} 1',
            'http_requests_total{status="2xx"} 10',
        ]
        for name in ("e2e_request_latency_seconds", "time_to_first_token_seconds", "inter_token_latency_seconds"):
            bucket = f'vllm:{name}_bucket{{model_name="good-model",le='
            lines += [f'{bucket}"{bound}"}} {count.requests}' for bound in (0.5, 1.0, "+Inf")]
            lines += [f"vllm:{name}_sum{label} {sum(count.seconds)}", f"vllm:{name}_count{label} {count.requests}"]
        types = {}
        for line in lines:
            name = re.split(r"[{ ]", line)[0]
            if name.endswith("_total"):
                types[name] = "counter"
            elif not name.endswith(("_bucket", "_sum", "_count")):
                types[name] = "gauge"
            else:
                types[name.rsplit("_", 1)[0]] = "histogram"
        return "".join(f"# TYPE {n} {t}\n" for n, t in types.items()) + "\n".join(lines) + "\n"


class Prometheus(_Server):
    """Answers expressions by the first pattern that matches; no value elsewhere."""

    VALUES = (
        ("count\\(vllm", 3.0), ("probe_success", 0.9997),
        ("DCGM_FI_DEV_GPU_UTIL\\[10m", 82.0), ("DCGM", 80.0), ("histogram_quantile", 1.4),
        ("rate\\(", 250.0), ("http_requests_total", 1000.0), ("usd", 0.4), ("thumbs", 0.9),
    )  # fmt: skip

    def __init__(self, rules=(), values=VALUES):
        self.rules, self.values = rules, values
        super().__init__()

    def answer(self, handler, _):
        parts = urlsplit(handler.path)
        if parts.path == "/api/v1/rules":
            rules = [{"type": "alerting", "health": "ok", **rule} for rule in self.rules]
            return handler.send(200, {"status": "success", "data": {"groups": [{"name": "g", "rules": rules}]}})
        expr = parse_qs(parts.query)["query"][0]
        value = next((value for pattern, value in self.values if re.search(pattern, expr)), None)
        result = [] if value is None else [{"metric": {}, "value": [0, str(value)]}]
        return handler.send(200, {"status": "success", "data": {"resultType": "vector", "result": result}})


class Grafana(_Server):
    """One dashboard, behind a token."""

    TOKEN = "grafana-token-99"

    def __init__(self, *exprs):
        self.exprs = exprs
        super().__init__()

    def answer(self, handler, _):
        if handler.headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return handler.send(401, {"message": "Unauthorized"})
        if handler.path.startswith("/api/search"):
            return handler.send(200, [{"uid": "a", "title": "LLM"}])
        inner = [{"targets": [{"expr": expr}]} for expr in self.exprs]
        return handler.send(200, {"dashboard": {"panels": [{"type": "row", "panels": inner}]}})
