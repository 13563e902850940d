"""The exported proxies and Prometheus around a real vLLM: its names, routes and keys are those that were written."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import yaml
from exports.fronts import front
from exports.test_monitoring import prometheus, until

import workbench as wb
from workbench.checklist.rules import metrics_in
from workbench.exports import export
from workbench.exports.subject import Subject

KEY = "engine-key-1147"
SETTINGS = {"gpu": "cpu", "max_model_len": 512, "max_num_seqs": 16, "enforce_eager": True}


@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.timeout(1200)
def test_around_a_real_vllm(tmp_path: Path) -> None:
    plan = wb.plan("builtin", **SETTINGS)
    with wb.serve("builtin", arguments=("--api-key", KEY), **SETTINGS) as server:
        server.wait_ready(600)
        port = int(server.url.rpartition(":")[2])
        for kind in ("nginx", "haproxy"):
            with front(kind, plan, server.url, tmp_path / kind, KEY, requests_per_s=4) as proxy:
                _asked(proxy.url, proxy.keys, Subject(plan).at_once)
        made = export(plan, ["prometheus"], tmp_path / "out", port=port)
        rules = next(yaml.safe_load(file.text) for file in made.files if file.kind == "prometheus-rules")
        names = {name for group in rules["groups"] for rule in group["rules"] for name in metrics_in(rule["expr"])}
        assert len(names) >= 10
        with prometheus(tmp_path / "out" / "prometheus", tmp_path / "data") as http:

            def value(expression: str) -> float | None:
                found = http.get("/api/v1/query", params={"query": expression}).json()["data"]["result"]
                return float(found[0]["value"][1]) if found else None

            until(lambda: value("up") == 1, 60)
            assert {name for name in names if value(f"count({name})") is None} == set()
            # Classes of status, as the rule has them; refusals of our own making are among them.
            assert value('count(http_requests_total{status="2xx"})') is not None
            assert value('count(http_requests_total{status=~"[0-9]+"})') is None


def _asked(url: str, keys: dict[str, str], at_once: int) -> None:
    with httpx.Client(base_url=url, timeout=120) as http:
        alice = {"Authorization": f"Bearer {keys['alice']}"}
        model = http.get("/v1/models", headers=alice).json()["data"][0]["id"]
        body = {"model": model, "prompt": "The list", "max_tokens": 24, "stream": True, "ignore_eos": True}
        assert http.get("/health").status_code == 200
        for headers in ({}, {"Authorization": f"Bearer {KEY}"}):
            assert http.post("/v1/completions", json=body, headers=headers).status_code == 401
        for path in ("/metrics", "/tokenize", "/invocations", "/v1/load_lora_adapter"):
            assert http.post(path, json=body, headers=alice).status_code == 404
        with http.stream("POST", "/v1/completions", json=body, headers=alice) as answer:
            pieces = [chunk for chunk in answer.iter_raw() if chunk.strip()]
        lines = b"".join(pieces).decode().split("\n\n")
        words = [json.loads(line[6:])["choices"] for line in lines if line.startswith("data: {")]
        assert len(words) >= 20
        assert len(pieces) >= 10, "the tokens came together"
        codes = [http.get("/v1/models", headers=alice).status_code for _ in range(at_once + 60)]
        assert set(codes) == {200, 429}
