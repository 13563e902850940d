"""What is given and what is read from files: thresholds, needs, manifests, rules, the record of a quantisation."""

from __future__ import annotations

import csv
import doctest
import importlib
import json
import pkgutil
from pathlib import Path

import pytest
from checklist.endpoint import KEY, Endpoint, Prometheus
from checklist.files import ALERTS, manifests, probe, quantised, written

from workbench import checklist
from workbench.checklist import readiness, start, thresholds
from workbench.checklist.asking import Reply
from workbench.checklist.markdown import plain
from workbench.checklist.rules import in_files
from workbench.checklist.subject import read_manifests, subject
from workbench.datafiles import data_path
from workbench.errors import InvalidInput, UnknownName


@pytest.fixture(scope="module")
def good():
    with Endpoint() as running:
        yield running.url


def status(url, name, **given):
    answer = readiness(url, api_key=KEY, checks=name, **given).answer(name)
    return answer.status, answer.finding.said


def test_examples_in_docstrings_hold():
    for module in pkgutil.walk_packages(checklist.__path__, f"{checklist.__name__}."):
        assert doctest.testmod(importlib.import_module(module.name)).failed == 0, module.name


# ------------------------------------------------------------------------------------------------ figures


def test_both_profiles_have_the_guides_targets():
    chat, batch = thresholds("chat"), thresholds("batch")
    targets = {name: (chat.value(name), batch.value(name)) for name in ("ttft", "tps", "qps", "p99", "availability")}
    assert targets == {
        "ttft": (0.5, 2), "tps": (30, 1000), "qps": (10, 100), "p99": (3, 30), "availability": (0.999, 0.995),
    }  # fmt: skip
    assert (chat.value("gpu_utilisation"), batch.value("gpu_utilisation")) == (0.7, 0.85)
    assert all(row.source and row.doc for row in chat.values())


def test_every_figure_decides_something():
    with data_path("readiness.csv").open(encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(line for line in file if not line.startswith("#"))]
    folder = Path(checklist.__file__).parent
    texts = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    assert [name for name in names if f'"{name}"' not in texts] == []


def test_figures_are_changed_by_file_and_then_by_argument(tmp_path):
    file = tmp_path / "figures.yaml"
    file.write_text("ttft: 1.5\ntps: 12\n")
    changed = thresholds("chat", {"tps": "15"}, file)
    assert (changed.value("ttft"), changed.value("tps"), changed.value("qps")) == (1.5, 15, 10)


@pytest.mark.parametrize(
    ("profile", "changes", "says"),
    [
        ("nightly", {}, "did you mean|one of chat, batch"),
        ("chat", {"tfft": 1}, "ttft"),
        ("chat", {"ttft": -1}, "above 0"),
        ("chat", {"ttft": "fast"}, "a number is needed"),
        ("chat", {"ttft": True}, "above 0"),
        ("chat", {"ttft": float("nan")}, "above 0"),
    ],
)
def test_figures_that_cannot_be(profile, changes, says):
    with pytest.raises(InvalidInput, match=says):
        thresholds(profile, changes)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, "pass"), (0.51, "warn"), (1.0, "warn"), (1.01, "fail"), (float("nan"), "fail")]
)
def test_a_figure_is_judged_at_its_edges(value, expected):
    assert thresholds()["ttft"].judge("asked", value, "mend").status == expected


@pytest.mark.parametrize(("value", "expected"), [(30, "pass"), (29, "warn"), (24, "warn"), (23.9, "fail"), (0, "fail")])
def test_more_is_better_too(value, expected):
    assert thresholds()["tps"].judge("asked", value, "mend").status == expected


# ------------------------------------------------------------------------------------------------ what is given


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"url": "localhost"}, "http://host:port"),
        ({"url": "http://x:99999"}, "http://host:port"),
        ({"url": "ftp://x"}, "http://host:port"),
        ({"url": "http://x?key=1"}, "http://host:port"),
        ({"api_key": "ä"}, "API key"),
        ({"api_key": "a\nb"}, "API key"),
        ({"api_key": "same", "other_key": "same"}, "second user"),
        ({"folder": "nowhere"}, "no model folder"),
        ({"log": "nowhere"}, "no log"),
        ({"manifests": "nowhere.yaml"}, "no manifests"),
        ({"prometheus": "9090"}, "Prometheus"),
        ({"needs": {"isl": "long"}}, "isl of the needs"),
        ({"needs": {"isl": -5}}, "above 0"),
        ({"needs": {"length": 5}}, "they may name"),
        ({"needs": {"examples": [{"prompt": "x"}]}}, "expected"),
        ({"needs": {"context_lengths": [4096, "8K"]}}, "whole numbers"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(given, says):
    with pytest.raises(InvalidInput, match=says):
        subject(**({"url": "http://127.0.0.1:1"} | given))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "no YAML"),
        ("{{- if .Values.x }}\nkind: Deployment\n{{- end }}", "template"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("\x00\x01", "no YAML"),
    ],
)
def test_files_that_are_no_manifests(text, says, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=says):
        read_manifests(file)


def test_a_folder_of_manifests_and_a_list_are_read_whole(tmp_path):
    (tmp_path / "deep").mkdir()
    written(tmp_path / "deep" / "one.yml", [{"kind": "List", "items": manifests()[:2]}])
    (tmp_path / "two.json").write_text(json.dumps({"kind": "Service"}))
    (tmp_path / "notes.txt").write_text("no manifest")
    assert [one["kind"] for one in read_manifests(tmp_path)] == ["Deployment", "ScaledObject", "Service"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no YAML file"):
        read_manifests(tmp_path / "empty")


def test_hostile_yaml_does_not_grow(tmp_path):
    bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    file = tmp_path / "bomb.yaml"
    file.write_text("kind: Deployment\nmetadata: {name: x}\n" + "\n".join(bomb))
    assert read_manifests(file)[0]["kind"] == "Deployment"


def test_unknown_checks_and_times_are_refused():
    with pytest.raises(UnknownName, match=r"service\.probes"):
        start("http://127.0.0.1:1", checks="service.probe")
    with pytest.raises(InvalidInput, match="timeout"):
        start("http://127.0.0.1:1", timeout=0)


def test_the_folder_of_a_checkpoint(good, tmp_path):
    name = "model.quantisation_loss"
    assert status(good, name, folder=quantised(tmp_path / "a"))[0] == "pass"
    assert status(good, name, folder=quantised(tmp_path / "b", after=8.3))[0] == "warn"
    lost, said = status(good, name, folder=quantised(tmp_path / "c", after=12.0, agreement=0.5))
    assert lost == "fail"
    assert "+50.00%" in said
    assert status(good, name, folder=quantised(tmp_path / "d", after=None))[0] == "fail"
    elsewhere = status(good, name, folder=quantised(tmp_path / "e", text="built-in, held out"))
    assert elsewhere[0] == "warn"
    assert "not the text of your task" in elsewhere[1]
    assert status(good, name, folder=quantised(tmp_path / "f", text="built-in, held out", model="builtin"))[0] == "pass"
    plain_folder = quantised(tmp_path / "g")
    (plain_folder / "workbench.json").unlink()
    assert status(good, name, folder=plain_folder)[0] == "not checked"  # quantised, and nobody measured
    config = json.loads((plain_folder / "config.json").read_text())
    (plain_folder / "config.json").write_text(
        json.dumps({k: v for k, v in config.items() if k != "quantization_config"})
    )
    assert status(good, name, folder=plain_folder) == ("pass", "not quantised (bfloat16): nothing was lost")
    (plain_folder / "workbench.json").write_text('{"result": ')
    assert status(good, name, folder=plain_folder)[0] == "not checked"


def test_examples_of_the_task_are_asked(good):
    right, wrong = ({"prompt": "Colours?", "expected": word} for word in ("GREEN", "mauve"))
    name = "model.finetuning"
    assert status(good, name, needs={"examples": [right]})[0] == "pass"
    assert status(good, name, needs={"examples": [right, wrong]}) == ("fail", "1 right, 80% are required")
    assert status(good, name, needs={"examples": [right, wrong], "required_share": 0.5})[0] == "pass"


def test_the_needs_must_fit_what_is_served(good):
    needs = {"task": "rag", "isl": 39_000, "osl": 2_000}
    assert status(good, "model.task_need", needs=needs)[0] == "fail"
    assert status(good, "model.task_need", needs=needs | {"isl": 1000})[0] == "pass"
    assert status(good, "model.task_need", needs={"task": "rag"})[0] == "not checked"


# ------------------------------------------------------------------------------------------------ manifests


def deployment(**container):
    """A Deployment whose container differs."""
    (first, *_) = manifests()
    inner = first["spec"]["template"]["spec"]["containers"][0]
    spec = {k: v for k, v in (inner | container).items() if v is not None}
    return {"metadata": {"name": "vllm"}, "spec": {"template": {"spec": {"containers": [spec]}}}}


def scaler(kind="HorizontalPodAutoscaler", **spec):
    return {"kind": kind, "metadata": {"name": "vllm"}, "spec": {"scaleTargetRef": {"name": "vllm"}, **spec}}


def metric(name, value):
    return {"type": "Pods", "pods": {"metric": {"name": name}, "target": {"averageValue": value}}}


CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 70}}}
SLOW = {"metadata": {"name": "i", "annotations": {"nginx.ingress.kubernetes.io/proxy-buffering": "on"}},
        "spec": {"ingressClassName": "nginx", "tls": [1]}}  # fmt: skip
MANIFESTS = [
    ("service.probes", {}, "pass", ""),
    # A liveness probe from 60 s on, every 10 s, three times: killed after 90 s, while it still loads.
    ("service.probes", {"Deployment": deployment(startupProbe=None, livenessProbe=probe(10, 3, 60))}, "fail",
     "after 90 s"),
    ("service.probes", {"Deployment": deployment(startupProbe=None, livenessProbe=probe(10, 3, 600))}, "pass", ""),
    ("service.probes", {"Deployment": deployment(readinessProbe=None)}, "fail", "there is none"),
    ("service.probes", {"Deployment": deployment(livenessProbe=None)}, "warn", "there is none"),
    ("service.probes", {"Deployment": None}, "not checked", "no workload"),
    ("service.scaling", {}, "pass", ""),
    ("service.scaling", {"ScaledObject": None}, "fail", "1, at least 2"),
    ("service.scaling", {"ScaledObject": scaler(minReplicas=2, maxReplicas=8, metrics=[CPU])}, "fail",
     "keeps them flat"),
    ("service.scaling", {"ScaledObject": scaler(minReplicas=2, maxReplicas=8)}, "fail", "takes the CPU"),
    ("service.scaling", {"ScaledObject": scaler(minReplicas=2, maxReplicas=2, metrics=[metric("queue", 5)])}, "fail",
     "from 2 to 2"),
    ("service.scaling", {"ScaledObject": scaler(minReplicas=2, maxReplicas=8, metrics=[
        CPU, metric("http_requests_per_second", 1000)])}, "warn", "not the engine's own load"),
    ("service.scaling", {"ScaledObject": scaler(minReplicas=2, maxReplicas=8, metrics=[
        metric("vllm_num_requests_waiting", 5)])}, "pass", ""),
    ("service.scaling", {"ScaledObject": scaler("ScaledObject", maxReplicaCount=8, triggers=[{"q": "queue"}])}, "fail",
     "0, at least 2"),
    ("service.scaling", {"Ingress": SLOW}, "fail", "on"),
    ("service.scaling", {"Ingress": {"metadata": {"name": "i"}, "spec": {"ingressClassName": "alb"}}}, "not checked",
     "alb"),
    ("service.scaling", {"Service": None}, "warn", "there is none"),
    ("service.scaling", {"Deployment": {"metadata": {"name": "vllm"}, "spec": {"template": "x"}}}, "not checked", ""),
    ("service.engine", {"Deployment": deployment(image="vllm/vllm-openai:latest")}, "warn", "whatever is newest"),
    ("service.engine", {"Deployment": deployment(image="vllm/vllm-openai@sha256:ab")}, "pass", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "expected", "says"), MANIFESTS)
def test_manifests(name, changes, expected, says, good, tmp_path):
    found, said = status(good, name, manifests=[written(tmp_path / "m.yaml", manifests(**changes))])
    assert (found, says in said) == (expected, True), said


# ------------------------------------------------------------------------------------------------ rules

RULES = [
    ("alerts.latency", "histogram_quantile(0.99, rate(vllm:e2e_request_latency_seconds_bucket[5m])) > 3", "pass"),
    ("alerts.latency", "histogram_quantile(0.99, rate(vllm:e2e_request_latency_seconds_bucket[5m])) > 10", "warn"),
    ("alerts.latency", "vllm:avg_time_to_first_token_seconds > 3", "fail"),  # a guide's, which never existed
    ("alerts.latency", "histogram_quantile(0.99, rate(vllm:latencies_seconds_bucket[5m])) > 3", "fail"),
    ("alerts.latency", "vllm:num_requests_running > 3", "fail"),
    ("alerts.gpu_oom", "vllm:gpu_cache_usage_perc > 0.9", "fail"),  # renamed with V1
    ("alerts.gpu_oom", "DCGM_FI_DEV_FB_FREE < 500", "pass"),
    ("alerts.errors", 'sum(rate(nginx_ingress_controller_requests{status=~"5.."}[5m])) > 0.01', "pass"),
    ("alerts.errors", 'sum(rate(http_requests_total{status="200"}[5m])) > 0.01', "fail"),
    ("alerts.down", 'absent(up{job="vllm"})', "pass"),
    ("alerts.down", "up > 3", "fail"),
]


@pytest.mark.parametrize(("name", "expr", "expected"), RULES)
def test_an_alert_must_be_able_to_fire(name, expr, expected, good, tmp_path):
    """What an alert is called proves nothing; its expression does."""
    called = {"HighLatency, GPU OOM, errors, down": expr}
    files = [written(tmp_path / "r.yaml", manifests(alerts=called))]
    found, said = status(good, name, manifests=files)
    assert found == expected, said


def test_rules_of_plain_files_and_recorded_ones():
    groups = {
        "groups": [{"rules": [{"alert": "A", "expr": "up == 0"}, {"record": "b", "expr": "1"}, {"expr": "2"}, 7]}]
    }
    found = in_files([groups | {"_file": "r"}, {"groups": "x"}, {"kind": "PrometheusRule", "spec": None}])
    assert [(rule.name, rule.alerting) for rule in found] == [("A", True), ("b", False)]


def test_rules_of_a_running_prometheus(good):
    live = [{"name": name, "query": expr} for name, expr in ALERTS.items()]
    live[3]["health"] = "err"
    with Prometheus(live) as running:
        report = readiness(good, api_key=KEY, prometheus=running.url, checks="alerts")
    found = {answer.check.id: answer.status for answer in report.answers}
    assert found == {"gpu_oom": "pass", "latency": "pass", "errors": "pass", "down": "fail"}
    assert "cannot evaluate" in report.answer("alerts.down").finding.said


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("kpis.availability", [("probe_success", 0.9995)], "pass"),
        ("kpis.availability", [("probe_success", 0.99)], "fail"),
        ("kpis.availability", [("up\\[30d", 0.9999)], "pass"),
        ("kpis.availability", [], "not checked"),
        ("kpis.gpu_utilisation", [("DCGM", 35.0)], "warn"),
        ("kpis.gpu_utilisation", [("DCGM", 91.0)], "pass"),
        ("kpis.p99", [("histogram_quantile", 2.9)], "pass"),
        ("kpis.p99", [("histogram_quantile", 3.1)], "fail"),
        ("monitoring.latency", [], "fail"),
    ],
)
def test_what_prometheus_knows(name, values, expected, good):
    with Prometheus(values=values) as running:
        assert status(good, name, prometheus=running.url)[0] == expected


def test_metrics_may_be_read_behind_the_gateway(good):
    with Endpoint(shows_metrics=False) as gateway:
        name = "monitoring.latency"
        assert status(gateway.url, "service.queue", changes={"flood_requests": 24})[0] == "warn"
        hidden, seen = (readiness(gateway.url, api_key=KEY, checks=name, metrics=m) for m in (None, f"{good}/metrics"))
    (first,), (second,) = (
        [e for e in r.answer(name).finding.evidence if "/metrics" in e.asked] for r in (hidden, seen)
    )
    assert first.status == "not checked"
    assert "e2e_request_latency" in second.answered


def test_a_prometheus_that_is_not_there(good):
    found, said = status(good, "monitoring.throughput", prometheus="http://127.0.0.1:9")
    assert found == "fail"
    assert "connection failed" in said


# ------------------------------------------------------------------------------------------------ small things


def test_a_reply_says_what_came_back():
    assert Reply("GET /", None, error="no answer within 2 s").line == "no answer within 2 s"
    assert Reply("GET /", 200, text="a\n b", seconds=0.0123).line == "HTTP 200 after 12 ms: “a b”"
    assert len(Reply("GET /", 200, text="x" * 10_000).line) < 250
    for text in (
        '"a"',
        "[]",
        "{",
        "[" * 100_000,
        '{"choices": {}}',
        '{"choices": [3]}',
        '{"choices": [{"message": 3}]}',
    ):
        assert Reply("GET /", 200, text=text).answer == ""


def test_markdown_of_hostile_text():
    assert plain("a\x1b[31m\u202e\nb|c") == "a \\[31m b\\|c"


def test_a_batch_counts_all_requests_together(good):
    changes = {"tps": 5, "concurrency": 2}
    chat, batch = (readiness(good, api_key=KEY, checks="tps", profile=p, changes=changes) for p in ("chat", "batch"))
    (alone,), (together,) = (report.answer("kpis.tps").finding.evidence for report in (chat, batch))
    assert "the median of each" in alone.asked
    assert "all together" in together.asked
    assert batch.answer("performance.tps").status == chat.answer("performance.tps").status == "pass"
    assert batch.profile == "batch"
    assert batch.thresholds["ttft"] == 2
