"""The exported nginx and HAProxy: their own readers take them, and started before an endpoint they do what they say."""

from __future__ import annotations

import json
import os
import queue
import shutil
import ssl
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from checklist.endpoint import KEY, Endpoint
from exports.fronts import front, installed
from exports.random_plans import plans

import workbench as wb
from workbench.checklist import readiness
from workbench.errors import InvalidInput
from workbench.exports import export
from workbench.exports.checks import check
from workbench.exports.file import File
from workbench.exports.registry import targets
from workbench.exports.subject import Subject

PROXIES = ("nginx", "haproxy")
ASK = {"model": "good-model", "max_tokens": 4, "messages": [{"role": "user", "content": "a very private word"}]}


@pytest.fixture(scope="module")
def plan() -> wb.Plan:
    return wb.plan("Qwen/Qwen3-8B", "L40S", max_model_len=8192)


def needs(kind: str) -> None:
    if not installed(kind):
        pytest.skip(f"{kind} is not installed here (Debian: nginx-light, haproxy)")


def auth(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("kind", PROXIES)
def test_the_program_itself_takes_20_random_plans(kind: str) -> None:
    needs(kind)
    for number, plan in enumerate(plans(20, seed=7)):
        made = export(plan, [kind], replicas=1 + number % 5, requests_per_s=(0.5, 3, 250.0)[number % 3])
        for file in made.files:
            found = check(file, programs=True)
            assert not [one for one in found if one.outcome == "fail"], (file.path, found)
            if file.kind == kind:
                assert [one.outcome for one in found] == ["pass", "pass"] or os.geteuid() != 0, found


@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.parametrize("rate", [1e6, 1000 / 7, 1.0, 1 / 3, 0.05])
def test_every_rate_is_written_or_refused(kind: str, rate: float, plan: wb.Plan) -> None:
    needs(kind)
    made = export(plan, [kind], requests_per_s=rate)
    file = next(file for file in made.files if file.kind == kind)
    assert not [one for one in check(file, programs=True) if one.outcome == "fail"]


def test_what_cannot_be_expressed_is_refused_by_name(plan: wb.Plan) -> None:
    for kind, rate in (("nginx", 0.001), ("nginx", 2.5 / 60), ("haproxy", 0.0001)):
        with pytest.raises(InvalidInput, match="requests_per_s"):
            export(plan, [kind], requests_per_s=rate)
    for kind in PROXIES:
        with pytest.raises(InvalidInput, match="port is 80"):
            export(plan, [kind], port=80)
        with pytest.raises(InvalidInput, match="ports"):
            export(plan, [kind], port=65000, replicas=1000)


FAULTS = {
    "nginx": [("least_conn", "last_conn"), ("keepalive 64;", "keepalive 64"),
              ("proxy_buffering off", "proxy_buffering")],
    "haproxy": [("default_backend engine", "default_backend engin"), ("timeout server", "timeout sever"),
                ("frontend clients", "front clients"), ("{\"error\": {\"message\": \"there", "'{\"error\": {\"there")],
}  # fmt: skip


@pytest.mark.parametrize("kind", PROXIES)
def test_our_own_readers_see_faults(kind: str, plan: wb.Plan) -> None:
    made = next(file for file in export(plan, [kind]).files if file.kind == kind)
    for right, wrong in FAULTS[kind]:
        assert right in made.text
        broken = File(made.path, kind, made.text.replace(right, wrong))
        assert [one.outcome for one in check(broken)] == ["fail"], wrong


@pytest.mark.parametrize("kind", PROXIES)
def test_keys_limit_and_routes(kind: str, plan: wb.Plan, tmp_path: Path) -> None:
    needs(kind)
    with Endpoint(limit=None) as model, front(kind, plan, model.url, tmp_path, KEY, requests_per_s=2) as proxy:
        alice, bob = auth(proxy.keys["alice"]), auth(proxy.keys["bob"])
        with httpx.Client(base_url=proxy.url, timeout=10) as http:
            assert http.get("/v1/models", headers=alice).json()["data"][0]["id"] == "good-model"
            assert http.get("/health").status_code == 200
            model.asked.clear()
            # The engine's own key opens nothing from outside, nor does half of a client's.
            for headers in ({}, auth("sk-made-up"), auth(KEY), auth(proxy.keys["alice"][:-1]),
                            {"Authorization": proxy.keys["alice"]}, {"Authorization": "Basic YTpi"}):  # fmt: skip
                refused = http.post("/v1/chat/completions", json=ASK, headers=headers)
                assert refused.status_code == 401, headers
                assert refused.headers["WWW-Authenticate"] == "Bearer"
                assert "key" in refused.json()["error"]["message"]
            for path in ("/metrics", "/invocations", "/v1/load_lora_adapter", "/v1/%6coad_lora_adapter", "/",
                         "/v1/..%2fmetrics", "/v1//load_lora_adapter"):  # fmt: skip
                assert http.post(path, json={}, headers=alice).status_code == 404, path
            assert model.asked == []
            # 16 at once are what the plan answers together; two a second come back.
            assert http.post("/v1/chat/completions", json=ASK, headers=alice).json()["usage"]["completion_tokens"] == 4
            codes = [http.get("/v1/models", headers=alice).status_code for _ in range(40)]
            assert set(codes) == {200, 429}
            assert 14 <= codes.count(200) <= 24, codes
            slower = http.get("/v1/models", headers=alice)
            assert slower.status_code == 429
            assert int(slower.headers["Retry-After"]) == 1
            assert http.get("/v1/models", headers=bob).status_code == 200  # a limit of one's own
            body = b"x" * (2 * 2**20 + 1)
            assert http.post("/v1/chat/completions", content=body, headers=bob).status_code == 413
    log = proxy.log.read_text()
    told = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"alice", "bob"} < {row["client"] for row in told}  # and those without a name
    assert any(row["path"] == "/v1/chat/completions" and row["status"] == 200 for row in told)
    assert not any(secret in log for secret in (*proxy.keys.values(), KEY, "private"))


@pytest.mark.parametrize("kind", PROXIES)
def test_the_readiness_list_is_content(kind: str, plan: wb.Plan, tmp_path: Path) -> None:
    needs(kind)
    with Endpoint(limit=None) as model, front(kind, plan, model.url, tmp_path, KEY) as proxy:
        report = readiness(
            proxy.url, api_key=proxy.keys["alice"], other_key=proxy.keys["bob"], log=proxy.log, metrics=model.url,
            checks=["security", "service.queue", "service.api"], changes={"flood_requests": 130},
        )  # fmt: skip
    assert {a.name: a.finding.said for a in report.answers if a.status != "pass"} == {}
    assert "/invocations" not in model.asked


@pytest.mark.parametrize("kind", PROXIES)
def test_tokens_come_one_by_one(kind: str, plan: wb.Plan, tmp_path: Path) -> None:
    """The engine writes its second token only once the client has told that it has the first."""
    needs(kind)
    goes_on: queue.Queue[bool] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number in range(20):
                line = f"data: {number}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
                goes_on.get(timeout=10)
            self.wfile.write(b"0\r\n\r\n")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with front(kind, plan, f"http://127.0.0.1:{server.server_port}", tmp_path, KEY) as proxy:
            alice, seen = auth(proxy.keys["alice"]), []
            with httpx.stream("POST", f"{proxy.url}/v1/completions", json=ASK, headers=alice, timeout=5) as answer:
                for line in answer.iter_lines():
                    if line:
                        seen.append(line)
                        goes_on.put(True)
    finally:
        server.shutdown()
        server.server_close()
    assert seen == [f"data: {number}" for number in range(20)]


@pytest.mark.parametrize("engine", ["vllm", "tensorrt-llm"])
@pytest.mark.parametrize("kind", PROXIES)
def test_a_clients_key_ends_at_the_proxy(kind: str, engine: str, tmp_path: Path) -> None:
    """The engine gets its own key, or none if it asks for none, and a number for each request."""
    needs(kind)
    got: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            got.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()

    plan = wb.plan("Qwen/Qwen3-8B", "L40S", max_model_len=8192, engine=engine)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with front(kind, plan, f"http://127.0.0.1:{server.server_port}", tmp_path, KEY) as proxy:
            for key in proxy.keys.values():
                httpx.get(f"{proxy.url}/v1/models", headers=auth(key))
    finally:
        server.shutdown()
        server.server_close()
    asked = [{name.lower(): value for name, value in one.items()} for one in got]
    asked = [one for one in asked if "x-request-id" in one]  # the others ask for its health
    assert [one.get("authorization") for one in asked] == [f"Bearer {KEY}" if engine == "vllm" else None] * 2
    assert len({one["x-request-id"] for one in asked}) == 2


@pytest.mark.parametrize("kind", PROXIES)
def test_an_engine_without_a_route_for_its_health(kind: str, plan: wb.Plan) -> None:
    subject = Subject(plan)
    subject.__dict__["server"] = replace(subject.server, health="")
    file = next(file for file in targets()[kind].files(subject) if file.kind == kind)
    assert not [one for one in check(file, programs=True) if one.outcome == "fail"]


@pytest.mark.parametrize("kind", PROXIES)
def test_no_engine_answers(kind: str, plan: wb.Plan, tmp_path: Path) -> None:
    needs(kind)
    with Endpoint(limit=None) as model:
        address = model.url
    with front(kind, plan, address, tmp_path, KEY) as proxy:
        said = httpx.get(f"{proxy.url}/v1/models", headers=auth(proxy.keys["alice"]), timeout=30)
    assert said.status_code == 503
    assert "Retry-After" in said.headers
    assert "no engine answers" in said.json()["error"]["message"]


@pytest.mark.parametrize("kind", PROXIES)
def test_a_replica_that_is_down_is_passed_over(kind: str, plan: wb.Plan, tmp_path: Path) -> None:
    """The second of two, at the next port, does not run."""
    needs(kind)
    with Endpoint(limit=None) as model, front(kind, plan, model.url, tmp_path, KEY, replicas=2) as proxy:
        alice = auth(proxy.keys["alice"])
        codes = [httpx.post(f"{proxy.url}/v1/chat/completions", json=ASK, headers=alice).status_code for _ in range(8)]
    assert set(codes) == {200}, codes


@pytest.mark.parametrize("kind", PROXIES)
def test_tls_as_the_comments_say(kind: str, plan: wb.Plan, tmp_path: Path) -> None:
    needs(kind)
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not installed here")
    tls = tmp_path / "tls"
    tls.mkdir()
    names = ["-keyout", str(tls / "privkey.pem"), "-out", str(tls / "fullchain.pem"), "-subj", "/CN=llm.example.com"]
    words = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *names]
    subprocess.run([*words, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    both = (tls / "fullchain.pem").read_text() + (tls / "privkey.pem").read_text()
    (tls / "tls.pem").write_text(both)
    trusted = ssl.create_default_context(cafile=str(tls / "fullchain.pem"))
    with Endpoint(limit=None) as model, front(kind, plan, model.url, tmp_path / "x", KEY, certificate=tls) as proxy:
        assert proxy.url.startswith("https")
        said = httpx.get(f"{proxy.url}/v1/models", headers=auth(proxy.keys["alice"]), verify=trusted)
    assert said.status_code == 200


@pytest.mark.parametrize("kind", PROXIES)
def test_keys_are_made_apart_and_their_names_are_plain(kind: str, plan: wb.Plan, tmp_path: Path) -> None:
    export(plan, [kind], tmp_path / "out")
    script, file = tmp_path / "out" / kind / "new-key.sh", tmp_path / "keys" / "clients.map"
    keys = {subprocess.run([script, "a", file], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(keys) == 2
    assert file.stat().st_mode & 0o077 == 0
    for name in ("", "a b", 'a";}', "A", "$(id)"):
        assert subprocess.run([script, name, file], capture_output=True).returncode != 0, name
    assert len(file.read_text().splitlines()) == 2


def test_hostile_names_do_not_enter(plan: wb.Plan) -> None:
    path = "/srv/a;}b $host `id` %[env(HOME)] # x"
    for kind in PROXIES:
        made = export(plan, [kind], model_path=path)
        assert not any("/srv" in file.text for file in made.files if file.path.startswith(kind))
