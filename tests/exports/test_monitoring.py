"""The exported monitoring: Prometheus takes it, wakes somebody for a fault and nobody for a healthy engine."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from browser import free_port
from checklist.endpoint import KEY, Endpoint
from evidence import startup_logs
from exports.random_plans import plans
from standin_engine import Numbers, StandInEngine

import workbench as wb
from workbench.checklist import readiness
from workbench.checklist.rules import metrics_in
from workbench.deployment import ENGINES
from workbench.errors import InvalidInput
from workbench.exports import export
from workbench.exports.checks import check
from workbench.exports.checks._programs import find
from workbench.exports.file import File
from workbench.exports.servers import server
from workbench.exports.subject import Subject
from workbench.exports.targets.monitoring import _watch

WATCHED = [name for name in ENGINES if server(name).metrics]
NAME = "qwen3-8b"


def planned(engine: str = "vllm") -> wb.Plan:
    return wb.plan("Qwen/Qwen3-8B", "L40S", max_model_len=8192, engine=engine)


@pytest.fixture(scope="module")
def plan() -> wb.Plan:
    return planned()


def needs(program: str) -> str:
    found = find(program)
    if found is None:
        pytest.skip(f"{program} is not installed here (Debian: prometheus)")
    return found


def test_prometheus_own_reader_takes_20_random_plans() -> None:
    needs("promtool")
    seen = 0
    for number, plan in enumerate(plans(24, seed=11)):
        try:
            made = export(plan, ["prometheus", "grafana", "logs"], replicas=1 + number % 3)
        except InvalidInput:  # an engine without metrics
            continue
        for path, found in made.checks(programs=True).items():
            assert not [one for one in found if one.outcome == "fail"], (path, found)
            if path.startswith("prometheus/"):
                assert {one.outcome for one in found} == {"pass"}, (path, found)
                seen += 1
    assert seen >= 40


@pytest.mark.parametrize("engine", WATCHED)
def test_the_configuration_with_its_rules_and_key(engine: str, tmp_path: Path) -> None:
    """Whole, as it lies in the bundle: promtool follows it to the rules and to the key."""
    promtool = needs("promtool")
    export(planned(engine), ["prometheus"], tmp_path / "out")
    home = tmp_path / "out" / "prometheus"
    if server(engine).metrics_key:
        assert subprocess.run([promtool, "check", "config", home / "prometheus.yml"], capture_output=True).returncode
        (home / "keys").mkdir()
        (home / "keys" / "engine").write_text("secret")
    ran = subprocess.run([promtool, "check", "config", home / "prometheus.yml"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "rules found" in ran.stdout


# --- promtool's own unit tests of the rules ---------------------------------------------------------------------------

#: When the rules are asked: after more than the longest window and hold, half an hour each.
MINUTES = 66


def healthy(subject: Subject) -> dict[str, str]:
    """Series of an engine that does as planned, a sample a minute, in promtool's notation."""
    series, speed = subject.server.series, subject.speed
    assert speed is not None
    found = {"up": "1"}
    found |= {name: "3" for name in [series.running] if name}
    found |= {name: "0" for name in [series.waiting] if name}
    found |= {name: "0.3" for name in [series.kv_cache_usage] if name}
    found |= {name: "0+0" for name in [series.preemptions] if name}
    found |= {name: "0+600" for name in [series.prompt_tokens, series.generation_tokens] if name}
    found |= {name: "0+60" for name in [series.successes, series.requests] if name}
    found |= {name: "0+0" for name in [series.failures] if name}
    for name, time_ in ((series.ttft, speed.ttft), (series.itl, speed.tpot)):
        if name:
            found |= times(name, 60, 60 * time_.high * 0.99, {f"{time_.high:g}": 60})
    return found


def times(name: str, count: float, total: float, bounds: dict[str, float]) -> dict[str, str]:
    """A histogram that grows so every minute."""
    buckets = {f'{name}_bucket{{le="{bound}"}}': f"0+{many:g}" for bound, many in (bounds | {"+Inf": count}).items()}
    return {**buckets, f"{name}_count": f"0+{count:g}", f"{name}_sum": f"0+{total:.6g}"}


def _slow(field: str, factor: float) -> Callable[[Subject], dict[str, str | None]]:
    def made(subject: Subject) -> dict[str, str | None]:
        name = getattr(subject.server.series, field)
        assert subject.speed is not None
        high = (subject.speed.ttft if field == "ttft" else subject.speed.tpot).high
        return {f"{name}_sum": f"0+{60 * high * factor:.6g}"} if name else {}

    return made


def _tail(subject: Subject) -> dict[str, str | None]:
    name, speed = subject.server.series.ttft, subject.speed
    if not name or speed is None or speed.ttft_p95 is None:
        return {}
    late = 4 * speed.ttft_p95.high
    few = {f"{speed.ttft.high * 0.5:g}": 54.0, f"{late:g}": 54.0, f"{3 * late:g}": 60.0}
    gone = {f'{name}_bucket{{le="{speed.ttft.high:g}"}}': None}
    return {**gone, **times(name, 60, 60 * speed.ttft.high * 0.5, few)}


def _set(**values: str) -> Callable[[Subject], dict[str, str | None]]:
    """Series by the field that names them; nothing where the engine has none."""

    def made(subject: Subject) -> dict[str, str | None]:
        named = {getattr(subject.server.series, field): value for field, value in values.items()}
        return {name: value for name, value in named.items() if name}

    return made


FAULTS: dict[str, tuple[Callable[[Subject], dict[str, str | None]], set[str]]] = {
    "nothing": (lambda _: {}, set()),
    "almost slow": (_slow("ttft", 0.999), set()),
    "first tokens are slow": (_slow("ttft", 1.05), {"SlowFirstToken"}),
    "tokens are slow": (_slow("itl", 1.05), {"SlowTokens"}),
    "one in ten waits long": (_tail, {"SlowForSome"}),
    "a queue": (_set(waiting="2"), {"RequestsWait"}),
    "a queue that comes and goes": (_set(waiting="0 5 0 5"), set()),
    "a full cache": (_set(kv_cache_usage="0.97"), set()),
    "a full cache and a queue": (_set(kv_cache_usage="0.97", waiting="2"), {"KVCacheFull", "RequestsWait"}),
    "preempted": (_set(preemptions="0+6"), {"RequestsPreempted"}),
    "a little preempted": (_set(preemptions="0+2"), set()),
    "errors": (_set(failures="0+2"), {"RequestsFail"}),
    "few errors": (_set(failures="0+0.3"), set()),
    "it hangs": (_set(generation_tokens="500", successes="60"), {"EngineHangs"}),
    "nobody asks": (_set(running="0", generation_tokens="500", successes="60"), set()),
    "too many": (_set(running="40"), {"MoreThanPlanned"}),
    "all is down": (lambda _: {"up": "0"}, {"NoReplicaAnswers", "ReplicaDown"}),
    "nothing is collected": (lambda _: {"up": None}, {"NoReplicaAnswers"}),
}


def written(series: dict[str, str], instance: str) -> list[dict[str, str]]:
    """As promtool reads them."""
    found = []
    for name, values in series.items():
        steps = values.split()
        many = f"{values}x{MINUTES}" if len(steps) == 1 else " ".join(steps * (MINUTES // len(steps)))
        plain, _, labels = name.partition("{")
        text = f'{plain}{{job="{NAME}",instance="{instance}"' + (f",{labels}" if labels else "}")
        found.append({"series": text.replace('=~"/v1/.*"', '="/v1/x"').replace('=~"5.."', '="500"')
                      .replace('err!="validation"', 'err="overloaded"'), "values": many})  # fmt: skip
    return found


def case(series: dict[str, str], fires: set[str], name: str = "") -> dict[str, object]:
    """One of promtool's tests: under these series these alerts fire in the end, and no others."""
    firing = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(fires)]
    asked = {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": f"{MINUTES - 1}m"}
    return {
        "name": name, "interval": "1m", "input_series": written(series, "a:1"),
        "promql_expr_test": [{**asked, "exp_samples": firing}],
    }  # fmt: skip


def agrees(home: Path, cases: list[dict[str, object]]) -> None:
    """Let promtool try the rules of a folder."""
    (home / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": cases}))
    ran = subprocess.run([needs("promtool"), "test", "rules", home / "test.yml"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("engine", WATCHED)
def test_alerts_fire_for_their_fault_and_for_no_other(engine: str, tmp_path: Path) -> None:
    plan = planned(engine)
    export(plan, ["prometheus"], tmp_path / "out")
    subject = Subject(plan)
    known = {alert.name for alert in _watch.alerts(subject)}
    cases, expected_somewhere = [], set()
    for name, (fault, alerts) in FAULTS.items():
        changes = fault(subject)
        fires = alerts & known if changes or not alerts else set()
        expected_somewhere |= fires
        series = {k: v for k, v in {**healthy(subject), **changes}.items() if v is not None}
        cases.append(case(series, fires, name))
    assert expected_somewhere == known, "an alert that no test sees fire"
    agrees(tmp_path / "out" / "prometheus", cases)


def test_tokens_that_are_drafted_are_counted_one_by_one(tmp_path: Path) -> None:
    """An output of three tokens takes longer than a token was planned to: that is the plan, not a fault."""
    draft = {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}
    plan = wb.plan("Qwen/Qwen3-8B", "L40S", max_model_len=8192, speculative_config=draft)
    export(plan, ["prometheus"], tmp_path / "out")
    subject = Subject(plan)
    speed, itl = subject.speed, "vllm:inter_token_latency_seconds"
    assert speed is not None
    cases = []
    for share, fires in ((0.95, set()), (1.1, {"SlowTokens"})):
        outputs, tokens = 100, 300
        told = times(itl, outputs, tokens * speed.tpot.high * share, {"10": outputs})
        series = {**healthy(subject), **told, "vllm:generation_tokens_total": f"0+{tokens}"}
        cases.append(case(series, fires))
    agrees(tmp_path / "out" / "prometheus", cases)


def test_one_replica_of_two(tmp_path: Path) -> None:
    """It alone is told of, after its start may be over."""
    plan = planned()
    export(plan, ["prometheus"], tmp_path / "out", replicas=2)
    subject = Subject(plan)
    up = {f'up{{job="{NAME}",instance="{name}"}}': values for name, values in (("a:1", "1x60"), ("b:1", "1x9 0x50"))}
    firing = 'ALERTS{alertstate="firing"}'
    labels = f'{firing[:-1]},alertname="ReplicaDown",instance="b:1",job="{NAME}",severity="warning"}}'
    told = 10 + subject.start_seconds // 60
    tests = [{
        "interval": "1m", "input_series": [{"series": name, "values": values} for name, values in up.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": f"{told - 1}m", "exp_samples": []},
            {"expr": firing, "eval_time": f"{told + 1}m", "exp_samples": [{"labels": labels, "value": 1}]},
        ],
    }]  # fmt: skip
    agrees(tmp_path / "out" / "prometheus", tests)


# --- a real Prometheus ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def prometheus(home: Path, data: Path) -> Iterator[httpx.Client]:
    """Started with the exported files, made impatient: every interval, window and hold is of seconds."""
    program = needs("prometheus")
    port = free_port()
    config, rules = home / "prometheus.yml", home / "rules.yml"
    config.write_text(config.read_text().replace("15s", "500ms"))
    text = re.sub(r"\[\d+[smh]\]", "[4s]", rules.read_text())
    rules.write_text(re.sub(r"for: \d+[smh]", "for: 2s", text))
    words = ["--config.file", config, "--storage.tsdb.path", data, "--web.listen-address", f"127.0.0.1:{port}"]
    with (data.parent / "prometheus.log").open("w") as log:
        process = subprocess.Popen([program, *map(str, words)], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as http:
            until(lambda: _ready(http), 20)
            yield http
    finally:
        process.terminate()
        process.wait(20)


def _ready(http: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return http.get("/-/ready").status_code == 200
    return False


def until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def firing(http: httpx.Client) -> dict[str, dict[str, str]]:
    """Alerts that fire, with what they say."""
    alerts = http.get("/api/v1/alerts").json()["data"]["alerts"]
    return {one["labels"]["alertname"]: one["annotations"] for one in alerts if one["state"] == "firing"}


def test_a_real_prometheus(plan: wb.Plan, tmp_path: Path) -> None:
    with StandInEngine(Numbers()) as engine:
        made = export(plan, ["monitoring"], tmp_path / "out", port=engine.port)
        over, slow = threading.Event(), threading.Event()

        def work() -> None:
            while not over.wait(0.1):
                engine.numbers.work()
                if slow.is_set():
                    engine.numbers.ttft.observe(9.0)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        with prometheus(tmp_path / "out" / "prometheus", tmp_path / "data") as http:

            def ask(expression: str) -> list[dict[str, object]]:
                said = http.get("/api/v1/query", params={"query": expression}).json()
                assert said["status"] == "success", said
                found: list[dict[str, object]] = said["data"]["result"]
                return found

            until(lambda: bool(ask("llm:usd_per_million_output_tokens:rate1h")), 20)
            time.sleep(7)  # longer than windows and holds together
            assert firing(http) == {}
            rules = [rule for group in http.get("/api/v1/rules").json()["data"]["groups"] for rule in group["rules"]]
            assert len(rules) >= 10
            assert {rule["health"] for rule in rules} == {"ok"}
            # What is drawn is there.
            board = json.loads(next(file.text for file in made.files if file.kind == "grafana"))
            for panel in board["panels"]:
                for target in panel["targets"]:
                    found = ask(target["expr"].replace("$__rate_interval", "5s"))
                    elsewhere = ("DCGM", "e2e_request_latency", "http_requests")  # not of the stand-in
                    assert found or any(word in target["expr"] for word in elsewhere), target["expr"]
            slow.set()
            engine.numbers.waiting.set(4)
            until(lambda: {"SlowFirstToken", "SlowForSome", "RequestsWait"} == set(firing(http)), 30)
            assert f"127.0.0.1:{engine.port}" in firing(http)["RequestsWait"]["summary"]
            slow.clear()
            engine.numbers.waiting.set(0)
            until(lambda: firing(http) == {}, 30)
            over.set()
            engine.down()
            until(lambda: {"NoReplicaAnswers", "ReplicaDown"} == set(firing(http)), 30)
            assert firing(http)["NoReplicaAnswers"]["summary"] == f"{NAME}: no replica answers"
        worker.join(5)


def test_the_readiness_list_takes_them_for_alerts(plan: wb.Plan, tmp_path: Path) -> None:
    export(plan, ["monitoring"], tmp_path / "out")
    with Endpoint(limit=None) as model:
        report = readiness(model.url, api_key=KEY, manifests=[tmp_path / "out"], checks=["alerts", "monitoring"])
    assert report.names("pass") == {
        *(f"alerts.{name}" for name in ("down", "errors", "gpu_oom", "latency")),
        *(f"monitoring.{name}" for name in ("latency", "throughput", "gpu", "errors", "cost")),
    }, str(report)
    assert report.names("fail") == set()


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", WATCHED)
def test_nothing_is_asked_that_the_engine_does_not_tell(engine: str) -> None:
    series = server(engine).series
    own = {getattr(series, name).partition("{")[0] for name in series.__slots__} - {""}
    made = export(planned(engine), ["prometheus", "grafana"])
    rules = next(yaml.safe_load(file.text) for file in made.files if file.kind == "prometheus-rules")
    board = next(json.loads(file.text) for file in made.files if file.kind == "grafana")
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for expression in asked:
        for name in metrics_in(expression.replace("$__rate_interval", "5m")):
            plain = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name == "up" or plain in own or name in own or name.startswith("DCGM_FI_"), (name, expression)


def test_figures_are_the_plans(plan: wb.Plan) -> None:
    speed = plan.performance()
    assert speed is not None
    rules = {alert.name: alert for alert in _watch.alerts(Subject(plan))}
    assert rules["SlowFirstToken"].expr.endswith(f"> {speed.ttft.high:.4g}")
    assert rules["SlowTokens"].expr.endswith(f"> {speed.tpot.high:.4g}")
    assert rules["ReplicaDown"].hold == f"{Subject(plan).start_seconds}s"
    board = json.loads(next(file.text for file in export(plan, ["grafana"]).files if file.kind == "grafana"))
    drawn = {panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
             for panel in board["panels"]}  # fmt: skip
    assert drawn["Time to first token"] == speed.ttft.high
    assert drawn["Tokens a second"] == speed.output_tokens_per_s.value


@pytest.mark.parametrize("engine", WATCHED)
def test_the_operators_objects_say_the_same(engine: str) -> None:
    """The same rules, on the job that the operator makes of the Service: it is called like it."""
    plan = planned(engine)
    made = export(plan, ["prometheus", "prometheus-operator", "kubernetes-deployment"])
    rules = next(yaml.safe_load(file.text) for file in made.files if file.kind == "prometheus-rules")
    monitor, objects = yaml.safe_load_all(made.by_target["prometheus-operator"][0].text)
    assert objects["spec"] == rules
    services = [one for file in made.by_target["kubernetes-deployment"] if file.kind == "kubernetes"
                for one in yaml.safe_load_all(file.text) if one["kind"] == "Service"]  # fmt: skip
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [one for one in services if wanted <= one["metadata"]["labels"].items()]
    assert [one["metadata"]["name"] for one in found] == [NAME]
    assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in found[0]["spec"]["ports"]}
    assert ("authorization" in monitor["spec"]["endpoints"][0]) == server(engine).metrics_key


def test_hostile_names_do_not_enter(plan: wb.Plan) -> None:
    """PromQL, Go's templates, Grafana's variables and Vector's language would each take some of it for their own."""
    path = "/srv/a{{ $value }}\"} or up # ${datasource} \\1 '"
    for file in export(plan, ["monitoring"], model_path=path).files:
        assert file.path in ("README.md", "plan.json") or "/srv" not in file.text


def test_endless_times_are_refused() -> None:
    flood = wb.plan("Qwen/Qwen3-8B", "L40S", max_model_len=8192, workload=wb.Workload(request_rate=1000.0))
    for target in ("prometheus", "grafana"):
        with pytest.raises(InvalidInput, match="request_rate"):
            export(flood, [target])
    with pytest.raises(InvalidInput, match="name is dcgm-exporter"):
        export(planned(), ["prometheus"], name="dcgm-exporter")
    with pytest.raises(InvalidInput, match="no metrics"):
        export(planned("transformers"), ["prometheus"])


BROKEN = [
    ("prometheus", "prometheus.yml", "scrape_configs", "scrape_config"),
    ("prometheus", "prometheus.yml", "127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("prometheus", "prometheus.yml", "job_name: dcgm-exporter", f"job_name: {NAME}"),
    ("prometheus", "rules.yml", "for: 1m", "for: a minute"),
    ("prometheus", "rules.yml", "alert: NoReplicaAnswers", "alarm: NoReplicaAnswers"),
    ("prometheus", "rules.yml", "annotations:", "annotation:"),
    ("prometheus", "rules.yml", "absent(", "absent("[:-1]),
    ("prometheus", "rules.yml", f"name: {NAME}-cost", f"name: {NAME}-alerts"),
    ("grafana", "dashboard.json", '"gridPos"', '"gridPosition"'),
    ("grafana", "dashboard.json", '"schemaVersion": 42', '"schemaVersion": 4'),
    ("grafana", "dashboard.json", "histogram_quantile(", "histogram_quantil("),
    ("grafana", "dashboard.json", '"name": "datasource"', '"name": "source"'),
    ("logs", "vector-docker.yaml", "- engine_lines", "- engine_line"),
    ("logs", "vector-docker.yaml", "truncate(text", "trunkate(text"),
    ("logs", "vector-docker.yaml", "type: loki", "kind: loki"),
]


@pytest.mark.parametrize(("target", "name", "right", "wrong"), BROKEN)
def test_our_own_readers_see_faults(target: str, name: str, right: str, wrong: str, plan: wb.Plan) -> None:
    if target == "logs":
        pytest.importorskip("pyvrl", reason="VRL's compiler comes for Python below 3.13")
    file = next(file for file in export(plan, [target]).files if file.path.endswith(f"/{name}"))
    assert right in file.text
    assert "fail" not in {one.outcome for one in check(file)}
    assert "fail" in {one.outcome for one in check(File(file.path, file.kind, file.text.replace(right, wrong)))}


# --- logs -------------------------------------------------------------------------------------------------------------

KEPT = [
    "(EngineCore_DP0 pid=12) INFO 11-21 13:28:37 [loggers.py:123] Engine 000: Avg prompt throughput: 10.0 tokens/s",
    'INFO:     10.0.0.1:1234 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
    "\x1b[32mINFO\x1b[0m:     Application startup complete.",
    "ERROR 11-21 13:28:37 [core.py:40] EngineCore failed to start.",
    "srv  log_server_r: request: POST /v1/chat/completions 127.0.0.1 200",
    "main: server is listening on http://127.0.0.1:8080 - starting the main loop",
    "[2026-11-21 13:28:37] Prefill batch, #new-seq: 1, #new-token: 512, #cached-token: 0, token usage: 0.00",
    "[2026-11-21 13:28:37 TP0] INFO: server is fired up",
    "2026-11-21T13:28:37.123456Z  INFO text_generation_router::server: router/src/server.rs:1: Connected",
    "[11/21/2026-13:28:37] [TRT-LLM] [I] PyTorchConfig",
]
LEFT_OUT = [
    "(APIServer pid=1) INFO 11-21 13:28:37 [logger.py:42] Received request chatcmpl-1: prompt: 'SECRETWORD', params: x",
    "DEBUG 11-21 13:28:37 [logger.py:42] Request x details: prompt: 'SECRETWORD', prompt_token_ids: [1]",
    "SECRETWORD",
    "ValueError: SECRETWORD is too long",
    '  {"role": "user", "content": "SECRETWORD"}',
    "ERROR 11-21 [x.py:1] 1 validation error: input_value={'messages': 'SECRETWORD'}",
    'srv  log_server_r: request:  {"messages":[{"role":"user","content":"SECRETWORD"}]}',
    "[2026-11-21 13:28:37] Receive: obj=GenerateReqInput(rid=None, text='SECRETWORD', input_ids=None",
    "INFO 11-21 [x.py:1] login of SECRETWORD@example.com with sk-SECRETWORD1 and Bearer SECRETWORD=",
    "INFO 11-21 [x.py:1] args: api_key='SECRETWORD', hf_token=SECRETWORD",
]


def test_logs_go_without_what_users_write(plan: wb.Plan) -> None:
    pyvrl = pytest.importorskip("pyvrl", reason="VRL's compiler comes for Python below 3.13")
    files = [yaml.safe_load(file.text) for file in export(plan, ["logs"]).files if file.kind == "vector"]
    program = pyvrl.Transform(files[0]["transforms"]["engine_lines"]["source"])

    def sent(line: str) -> dict[str, object] | None:
        try:
            found: dict[str, object] = program.remap(
                {"message": line, "timestamp": "t", "container_name": "c", "label": {"x": "SECRETWORD"}}
            )
        except ValueError:  # the program ended it
            return None
        return found

    for line in KEPT:
        event = sent(line)
        assert event is not None, line
        assert set(event) == {"timestamp", "deployment", "from", "level", "message"}
    for line in LEFT_OUT:
        assert "SECRETWORD" not in str(sent(line)), line
    # Of logs in the formats of vLLM's releases every line that has a level arrives.
    real = [line for text, _ in startup_logs.LOGS.values() for line in text.splitlines()]
    own = [line for line in real if re.match(r"(\(\S+ pid=\d+\) )?(INFO|WARNING|ERROR)\b", line)]
    assert len(own) > 50
    assert [line for line in own if sent(line) is None] == []


def test_the_proxys_log_goes_by_named_fields(plan: wb.Plan) -> None:
    pyvrl = pytest.importorskip("pyvrl", reason="VRL's compiler comes for Python below 3.13")
    file = next(file for file in export(plan, ["logs"]).files if file.path.endswith("docker.yaml"))
    program = pyvrl.Transform(yaml.safe_load(file.text)["transforms"]["proxy_lines"]["source"])
    line = json.dumps({"client": "alice", "path": "/v1/completions", "status": 200, "body": "SECRETWORD"})
    event = program.remap({"message": line, "timestamp": "t"})
    assert event["client"] == "alice"
    assert event["status"] == 200
    assert "SECRETWORD" not in str(event)
    with pytest.raises(ValueError):
        program.remap({"message": "SECRETWORD", "timestamp": "t"})
