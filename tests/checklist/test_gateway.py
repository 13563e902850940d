"""Behind a real nginx: the same checks at the address where users come in, good and badly configured."""

from __future__ import annotations

import pytest
from checklist.endpoint import KEY, OTHER, Endpoint
from checklist.files import manifests, written
from checklist.gateway import gateway
from checklist.test_faults import FIGURES, NEEDS

import workbench as wb
from workbench.checklist import readiness

STAGES = ["security", "service", "performance", "kpis.qps"]


def judge(url, log, tmp_path, **more):
    given = {"api_key": KEY, "other_key": OTHER, "needs": NEEDS, "log": log, "changes": FIGURES, "checks": STAGES}
    return readiness(url, manifests=[written(tmp_path / "all.yaml", manifests())], **(given | more))


def test_a_good_gateway_passes(tmp_path):
    with Endpoint(limit=None) as model, gateway(model.url, tmp_path / "nginx") as (url, log):
        report = judge(url, log, tmp_path)
    assert {a.name: a.finding.said for a in report.answers if a.status != "pass"} == {}
    limit = report.answer("security.rate_limit").finding
    assert any("Retry-After" in piece.asked for piece in limit.evidence)
    assert "/invocations" not in model.asked  # the gateway does not pass it on


BAD = {
    "no limit": ({"limit": False}, {"security.rate_limit"}),
    "one limit for all": ({"keyed_by": "$server_name"}, {"security.rate_limit"}),
    "bodies in the log": ({"logged": "$request_body"}, {"security.privacy"}),
    "keys in the log": ({"logged": "$http_authorization"}, {"security.privacy"}),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_gateway_fails(fault, tmp_path):
    settings, expected = BAD[fault]
    with Endpoint(limit=None) as model, gateway(model.url, tmp_path / "nginx", **settings) as (url, log):
        report = judge(url, log, tmp_path, checks=["security", "service.queue"])
    assert report.names("fail") == expected, str(report)
    for secret in (KEY, OTHER):
        assert secret not in report.to_html()


def test_the_model_behind_the_gateway_is_gone(tmp_path):
    with Endpoint(limit=None) as model:
        address = model.url
    with gateway(address, tmp_path / "nginx") as (url, log):
        report = judge(url, log, tmp_path, checks=["service", "kpis.availability"])
    assert report.names("fail") == {"service.api", "service.probes", "kpis.availability"}
    assert "HTTP 502" in report.answer("service.probes").finding.said


@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.timeout(1200)
def test_a_real_vllm_with_a_key_behind_a_real_gateway(tmp_path):
    """What a real engine does: its key, its metrics, its refusals, its streams."""
    arguments = ("--api-key", KEY, OTHER)
    settings = {"gpu": "cpu", "max_model_len": 512, "max_num_seqs": 16, "enforce_eager": True}
    # Speed is not judged: two shared cores may do anything, and batching gains them nothing.
    figures = FIGURES | {"ttft": 10, "tps": 1, "qps": 0.1, "scaling_gain": 0.01, "long_ttft": 30}
    with wb.serve("builtin", arguments=arguments, **settings) as server:
        server.wait_ready(600)
        with gateway(server.url, tmp_path / "nginx", rate=2, burst=90) as (url, log):
            needs = NEEDS | {"context_lengths": [256], "isl": 128, "osl": 64, "task": "completion", "examples": []}
            report = judge(url, log, tmp_path, needs=needs, checks=None, timeout=60, changes=figures)
            bare = readiness(
                server.url, api_key=KEY, checks=["security.authentication", "security.rate_limit"], timeout=60
            )
    said = str(report)
    assert report.names("fail") == set(), said
    for name in ("performance", "service", "security.authentication", "security.rate_limit", "security.privacy"):
        found = {a.name: a.status for a in report.answers if a.name.startswith(name)}
        assert set(found.values()) == {"pass"}, said
    assert "vLLM" in report.answer("service.engine").finding.said
    # Without the gateway nothing limits it, and its own key leaves doors open.
    assert bare.names("fail") == {"security.rate_limit", "security.authentication"}
    assert "/invocations" in bare.answer("security.authentication").finding.said
    assert report.model
