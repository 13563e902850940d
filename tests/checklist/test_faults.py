"""Every fault fails exactly the checks it should, with its evidence; a good endpoint fails none."""

from __future__ import annotations

import json
import time

import pytest
from checklist.endpoint import KEY, OTHER, Endpoint, Grafana, Prometheus
from checklist.files import PANELS, manifests, quantised, written

from workbench.checklist import checks, readiness, start
from workbench.errors import InvalidInput

GUIDE = {
    "model": {"task_need", "base_model", "quantisation_scheme", "quantisation_loss", "finetuning"},
    "performance": {"ttft", "tps", "concurrency", "memory_headroom", "long_contexts"},
    "service": {"engine", "api", "scaling", "queue", "probes"},
    "security": {"input_filter", "output_filter", "rate_limit", "authentication", "privacy"},
    "monitoring": {"latency", "throughput", "gpu", "errors", "cost", "quality"},
    "kpis": {"ttft", "tps", "qps", "p99", "availability", "gpu_utilisation"},
    "alerts": {"gpu_oom", "latency", "errors", "down"},
}
LOAD = {"performance.ttft", "performance.tps", "performance.concurrency", "kpis.ttft", "kpis.tps", "kpis.qps"}
#: What depends on a rate that a busy machine may not reach says nothing of the fault.
FIGURES = {"ttft": 0.5, "tps": 20, "qps": 3, "scaling_gain": 0.05, "flood_requests": 130, "concurrency": 4}
NEEDS = {
    "task": "chat", "context_lengths": [4096], "isl": 1000, "osl": 200, "concurrency": 16,
    "cost_metric": "llm_usd_per_million_tokens", "quality_metric": "feedback_thumbs_up_share",
    "examples": [{"prompt": "Which colours?", "expected": "green"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def prometheus():
    with Prometheus() as running:
        yield running


@pytest.fixture(scope="module")
def grafana():
    with Grafana(*PANELS) as running:
        yield running


@pytest.fixture
def evidence(tmp_path, prometheus, grafana):
    """All that a careful owner points to."""
    log = tmp_path / "endpoint.log"
    log.write_text("started\n")
    return {
        "api_key": KEY, "other_key": OTHER, "model": "good-model", "needs": NEEDS, "log": log,
        "folder": quantised(tmp_path / "model"), "manifests": [written(tmp_path / "all.yaml", manifests())],
        "prometheus": prometheus.url, "grafana": grafana.url, "grafana_key": Grafana.TOKEN,
    }  # fmt: skip


def test_the_whole_list_is_there():
    found = checks()
    assert {name for stage, ids in GUIDE.items() for name in (f"{stage}.{id}" for id in ids)} == set(found)
    assert sum(len(ids) for stage, ids in GUIDE.items() if stage not in ("kpis", "alerts")) == 26
    for name, check in found.items():
        assert check.name == name
        assert check.title
        assert check.item.endswith(".")
        assert check.prove.endswith(".")


def test_a_good_endpoint_passes_everything(evidence):
    with Endpoint(log=evidence["log"]) as good:
        report = readiness(good.url, changes=FIGURES, **evidence)
    open_ones = {a.name: (a.status, a.finding.said) for a in report.answers if a.status != "pass"}
    assert not open_ones
    assert report.ready
    assert "every item was checked" in report.summary
    for answer in report.answers:
        assert answer.finding.evidence
        assert not answer.finding.mend
    assert report.asked < 400


FAULTS = {
    "nobody asks for a key": ({"auth": False}, {"security.authentication"}, "let in"),
    "a side door is open": ({"open_door": True}, {"security.authentication"}, "/invocations"),
    "no health": ({"health": False}, {"service.probes"}, "HTTP 404"),
    "errors": ({"status": 500}, {"service.api", *LOAD}, "HTTP 500"),
    "generation hangs": ({"hangs": "generation"}, {"service.api", *LOAD}, "no answer within 0.6 s"),
    "answers without an end": ({"huge": True}, {"service.api", *LOAD}, "the rest was not read"),
    "slow first token": ({"first_token": 0.25}, {"performance.ttft", "kpis.ttft"}, "at most 100 ms is asked"),
    "another model": ({"model": "impostor"}, {"model.base_model"}, "not good-model"),
    "any name is answered": ({"any_model": True}, {"model.base_model"}, "does not exist"),
    "a stream of rubbish": ({"garbage": True}, {"service.api", "performance.long_contexts", *LOAD}, "no JSON"),
    "a log that tells": ({"leaks_log": True}, {"security.privacy"}, "found 1 times"),
    "injections work": ({"leaks_system": True}, {"security.input_filter"}, "came back"),
    "a stranger's data come out": ({"leaks_data": True}, {"security.output_filter"}, "came back whole"),
    "no limit": ({"limit": None}, {"security.rate_limit"}, "none was refused"),
    "one limit for all": ({"one_limit": True}, {"security.rate_limit"}, "HTTP 429"),
    "a burst breaks it": ({"most_at_once": 9}, {"service.queue"}, "HTTP 503"),
    "requests are thrown out": ({"preempts": True}, {"performance.memory_headroom"}, "thrown out"),
    "the cache is full": ({"kv_usage": 1.0}, {"performance.memory_headroom"}, "at most 90 %"),
    "too long is an error": ({"breaks_when_too_long": True}, {"performance.long_contexts"}, "HTTP 500"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_what_it_should(fault, evidence):
    behaviour, expected, words = FAULTS[fault]
    hangs = "hangs" in behaviour
    if "leaks_log" not in behaviour:
        del evidence["log"]  # nobody waits for it to be written
    with Endpoint(log=evidence.get("log"), **behaviour) as faulty:
        figures = FIGURES | ({"ttft": 0.1} if "first_token" in behaviour else {})
        report = readiness(faulty.url, changes=figures, timeout=0.6 if hangs else 5.0, **evidence)
    said = {a.name: a.finding.said for a in report.answers if a.status == "fail"}
    assert set(said) == expected, said
    assert not report.ready
    evidence_of = [e for name in expected for e in report.answer(name).finding.evidence if e.status == "fail"]
    assert any(words in f"{e.asked} {e.answered}" for e in evidence_of), evidence_of
    assert all(e.mend for e in evidence_of)


def test_an_endpoint_that_hangs_ends_in_a_fail_not_in_a_hang(evidence):
    begin = time.monotonic()
    with Endpoint(hangs="all") as silent:
        report = readiness(silent.url, timeout=0.5, **evidence)
        assert len(silent.asked) < 6  # it is left in peace once it gave no answer
    assert time.monotonic() - begin < 10
    assert report.names("fail") == {"service.api", "service.probes", "kpis.availability", *LOAD}
    assert "no answer within 0.5 s" in report.answer("service.api").finding.said


@pytest.mark.parametrize(("waits", "status"), [(True, "fail"), (False, "pass")])
def test_streams_that_wait_for_each_other_are_told(waits, status):
    with Endpoint(one_stream=waits, gap=0.01) as endpoint:
        report = readiness(endpoint.url, api_key=KEY, changes=FIGURES | {"scaling_gain": 1.5}, checks=["performance"])
    found = report.answer("performance.concurrency")
    assert found.status == status, found


def test_nobody_there():
    report = readiness("http://127.0.0.1:9", checks=["service", "authentication"], timeout=2)
    assert {"service.api", "service.probes"} == report.names("fail")
    assert "connection failed" in report.answer("service.api").finding.said
    assert report.answer("security.authentication").status == "not checked"


def test_without_evidence_nothing_passes_on_trust():
    """A bare good endpoint and nothing else: what cannot be proved is grey, and says how to prove it."""
    with Endpoint() as good:
        report = readiness(good.url, api_key=KEY, changes=FIGURES)
    grey = {
        *(f"model.{id}" for id in GUIDE["model"]),
        "service.scaling", "service.probes", "security.privacy", "kpis.availability", "kpis.gpu_utilisation",
        *(name for name in checks() if name.startswith(("monitoring.", "alerts."))),
    }  # fmt: skip
    assert report.names("not checked") == grey
    assert all(report.answer(name).finding.mend for name in grey)
    assert not report.names("fail")
    assert report.ready
    assert f"{len(grey)} could not be checked" in report.summary
    # Whose limit it is needs a second key; a 99th percentile needs more requests than these.
    assert report.names("warn") == {"security.rate_limit", "kpis.p99"}


def test_strictly_what_is_not_checked_stands_in_the_way():
    with Endpoint() as good:
        lax, strict = (
            readiness(good.url, api_key=KEY, checks=["service.probes", "service.api"], strict=s) for s in (False, True)
        )
    assert lax.ready
    assert not strict.ready


def test_a_wrong_key_of_our_own_is_a_failure_and_the_rest_is_not_blamed():
    with Endpoint() as good:
        report = readiness(good.url, api_key="nonsense", checks=["security", "service.api"])
    assert report.names("fail") == {"security.authentication", "service.api"}
    assert report.answer("security.input_filter").status == "not checked"


def test_keys_never_appear(evidence, tmp_path):
    with Endpoint(log=evidence["log"], echoes_key=True) as echo:
        evidence["prometheus"] = evidence["prometheus"].replace("http://", "http://somebody:hush-hush@")
        report = readiness(echo.url, changes=FIGURES, checks=["security", "service", "monitoring"], **evidence)
        with pytest.raises(InvalidInput, match="leave name and password out") as refused:
            readiness("http://somebody:hush-hush@127.0.0.1:1", api_key=KEY)
    texts = [report.save(tmp_path / f"report.{kind}").read_text() for kind in ("html", "md", "json")]
    texts += [str(report), repr(report), str(refused.value)]
    for secret in (KEY, OTHER, Grafana.TOKEN, "hush-hush", "somebody"):
        assert not any(secret in text for text in texts)
    assert "•••" in texts[2]


def test_what_an_endpoint_says_is_text_in_every_report(tmp_path):
    with Endpoint(html=True, model="<script>alert('m')</script>|x`") as hostile:
        report = readiness(hostile.url, api_key=KEY, checks=["service.api", "model.base_model"])
    page = report.to_html()
    assert "alert(1)" in page  # it is shown
    assert "<script" not in page
    assert "<img" not in page
    markdown = report.to_markdown()
    assert "<img" not in markdown
    assert "<script>" not in markdown
    assert "[link](" not in markdown
    assert json.loads(report.save(tmp_path / "r.json").read_text())["checks"]


def test_a_stream_that_somebody_buffers_is_seen():
    with Endpoint(buffers=True) as buffered:
        report = readiness(buffered.url, api_key=KEY, checks="performance.ttft")
    assert report.answer("performance.ttft").status == "warn"
    assert "buffers" in report.answer("performance.ttft").finding.said


def test_it_can_be_cancelled_and_tells_how_far_it_is():
    seen = []
    with Endpoint(hangs="generation") as slow:
        run = start(slow.url, api_key=KEY, timeout=20)
        run.observe(lambda r: seen.append(r.progress.fraction))
        while not run.answers:
            time.sleep(0.05)
        run.cancel()
        report = run.wait(5)
    assert report.summary == "Not done: it was cancelled"
    assert not report.ready
    assert len(report.answers) == 36
    assert seen
    assert all(0 <= fraction <= 1 for fraction in seen)


def test_all_of_it_has_an_end():
    with Endpoint(hangs="generation") as slow:
        report = readiness(slow.url, api_key=KEY, timeout=20, longest=1.0)
    assert report.seconds < 5
    assert not report.ready
    assert any("1 s for all checks were over" in a.finding.said for a in report.answers)
