"""A real HTTP server that speaks OpenAI's API, well or badly, as it is told; no model behind it."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def says(text, finish_reason="stop"):
    """A completion as OpenAI's API writes it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return 200, {}, json.dumps({"choices": [choice], "usage": {}}).encode()


def refuses(status, message="no", **headers):
    """An error as OpenAI's API writes it."""
    return status, headers, json.dumps({"error": {"message": message}}).encode()


class OpenAIServer:
    """Answers by ``behave(prompt, attempt)``: a triple of status, headers and body, or None to break the connection.

    Attributes
    ----------
    asked : list of str
        Prompts in the order they came.
    most : int
        Most requests that were under way at once.
    bodies, keys : list
        What was sent.
    """

    def __init__(self, behave, models=("teacher",), listing=None, delay=0.0):
        self.behave, self.models, self.listing, self.delay = behave, models, listing, delay
        self.asked, self.bodies, self.keys = [], [], []
        self.most = self._now = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _reply(self, reply):
                if reply is None:
                    self.close_connection = True
                    return
                status, headers, body = reply
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **headers}.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                outer.keys.append(self.headers.get("Authorization"))
                served = json.dumps({"data": [{"id": name} for name in outer.models]}).encode()
                self._reply(outer.listing or (200, {}, served))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body["messages"][-1]["content"]
                with outer._lock:
                    outer.bodies.append(body)
                    outer.keys.append(self.headers.get("Authorization"))
                    outer.asked.append(prompt)
                    attempt = outer.asked.count(prompt)
                    outer._now += 1
                    outer.most = max(outer.most, outer._now)
                time.sleep(outer.delay)
                reply = outer.behave(prompt, attempt)
                with outer._lock:
                    outer._now -= 1
                self._reply(reply)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a client that gave up
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Take no further connection."""
        self._server.shutdown()
        self._server.server_close()
