"""A real HTTP server that streams answers as OpenAI's API does, well or badly, as it is told; no model behind it."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StreamingServer:
    """Streams ``max_tokens`` words, one a piece.

    Parameters
    ----------
    fault : callable, optional
        Given the number of the request (from 0), says what goes wrong with it: "" nothing, "500", "hang" (not a word
        ever), "drip" (only signs of life), "garbage", "cut" (the connection breaks), "short" (ends too early), "whole"
        (in one piece), "empty" (no token), "dead" (the server is gone from then on).
    first, gap : float
        Time to the first token and between tokens [s].
    slots : int, optional
        How many answers are streamed at a time; others wait.
    stops : bool
        Whether answers end after half of what is asked for, unless ``min_tokens`` asks for more.
    minimum : bool
        Whether it knows ``min_tokens``.
    usage : bool
        Whether it counts tokens.
    chat_only, key, owner, listing
        It has no ``/v1/completions``; it wants a key; what it says the model belongs to; a body for ``/v1/models``.
    host, port
        Where it listens.
    """

    def __init__(
        self, fault=None, *, first=0.005, gap=0.001, slots=None, stops=False, minimum=False, usage=True,
        chat_only=False, key=None, owner="nobody", listing=None, metrics=None, host="127.0.0.1", port=0,
    ):  # fmt: skip
        self.bodies, self.keys, self.most = [], [], 0
        self._now, self._dead = 0, threading.Event()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._slots = threading.BoundedSemaphore(slots) if slots else None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else a piece waits 40 ms for the client's word on the one before

            def log_message(self, *_):
                pass

            def plain(self, status, body):
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def gone(self):
                if outer._dead.is_set():
                    self.close_connection = True
                return outer._dead.is_set()

            def do_GET(self):
                if self.gone():
                    return
                if self.path == "/health":
                    self.plain(200, b"")
                elif self.path == "/v1/models":
                    self.plain(200, listing or {"data": [{"id": "stand-in", "owned_by": owner}]})
                elif self.path == "/metrics" and metrics is not None:
                    self.plain(200, metrics().encode())
                else:
                    self.plain(404, {"error": {"message": "Not Found"}})

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                if self.gone():
                    return
                chat = self.path == "/v1/chat/completions"
                if "x-request-id" in self.headers:  # llama-cpp-python's server wants a UUID there
                    self.plain(400, b"Invalid UUID in request header X-Request-ID")
                    return
                if self.path not in ("/v1/chat/completions", "/v1/completions") or (chat_only and not chat):
                    self.plain(404, {"error": {"message": "Not Found"}})
                    return
                with outer._lock:
                    number = len(outer.bodies)
                    outer.bodies.append(body)
                    outer.keys.append(self.headers.get("Authorization"))
                if key is not None and self.headers.get("Authorization") != f"Bearer {key}":
                    self.plain(401, {"error": {"message": "Unauthorized"}})
                    return
                if body["model"] != "stand-in":
                    self.plain(404, {"error": {"message": f"The model {body['model']} does not exist."}})
                    return
                if outer._slots is not None:
                    outer._slots.acquire()
                try:
                    with outer._lock:
                        outer._now += 1
                        outer.most = max(outer.most, outer._now)
                    self.answer(body, chat, (fault or (lambda _: ""))(number))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with outer._lock:
                        outer._now -= 1
                    if outer._slots is not None:
                        outer._slots.release()

            def answer(self, body, chat, wrong):
                if wrong == "dead":
                    outer._dead.set()
                    self.close_connection = True
                    return
                if wrong == "500":
                    self.plain(500, {"error": {"message": "CUDA error"}})
                    return
                if wrong == "hang":
                    outer._over.wait()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                wanted = body.get("max_tokens") or body.get("max_completion_tokens")
                if stops and not (minimum and body.get("min_tokens")):
                    wanted = max(1, wanted // 2)
                count = {"short": 1, "cut": 1, "empty": 0}.get(wrong, wanted)
                while wrong == "drip" and not outer._over.wait(0.1):
                    self.chunk(b": still here\n\n")
                if wrong == "garbage":
                    self.chunk(b"data: <html>busy</html>\n\n")
                    self.chunk(b"")
                    return
                time.sleep(first)
                pieces = ["word " * count] if wrong == "whole" else ["word "] * count
                for at, piece in enumerate(pieces):
                    if at:
                        time.sleep(gap)
                    reason = None if at + 1 < len(pieces) else "length" if count == wanted and not stops else "stop"
                    part = {"delta": {"content": piece}} if chat else {"text": piece}
                    self.event({"choices": [{"index": 0, **part, "finish_reason": reason}]})
                if wrong == "cut":
                    self.close_connection = True
                    self.connection.close()
                    return
                if usage:
                    counted = {"prompt_tokens": 32, "completion_tokens": count}
                    self.event({"choices": [], "usage": counted})
                self.chunk(b"data: [DONE]\n\n")
                self.chunk(b"")

            def event(self, value):
                self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

            def chunk(self, data):
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *_):  # a client that gave up
                pass

        self._server = Server((host, port), Handler)
        self.url = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
