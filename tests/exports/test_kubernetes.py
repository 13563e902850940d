"""Kubernetes objects: what is in them comes from the plan, Kubernetes' own readers take them, mistakes are seen."""

from __future__ import annotations

import argparse
import base64
import copy
import math
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

import workbench as wb
from workbench.cli import quantize as quantize_verb
from workbench.exports import export
from workbench.exports.bundle import Bundle
from workbench.exports.checks import _kubernetes_agree, kubernetes
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.wishes import Wishes
from workbench.quantizers import methods

MODEL = "Qwen/Qwen3-8B"
KUBECTL = shutil.which("kubectl")
HOSTILE = ["a$(touch x)b", "a$$(b)$", "${HOME}", 'a"b', "a'b", "a{{ .Values }}b", "a: b", "a#b", "模型", "a\\b", "%{x}"]


def documents(made: Bundle, path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text_of(made, path)))


def text_of(made: Bundle, path: str) -> str:
    return next(file.text for file in made.files if file.path == path)


def kind(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in found if one["kind"] == name)


def server(made: Bundle, path: str = "kubernetes/server.yaml") -> dict[str, Any]:
    pod = kind(documents(made, path), "Deployment")["spec"]["template"]["spec"]
    return pod["containers"][0]


def expanded(text: str, values: dict[str, str]) -> str:
    """As Kubernetes does it: k8s.io/kubernetes/third_party/forked/golang/expansion/expand.go, told in its own words.

    From left to right: two dollars are one; a dollar and a bracket are a name as far as the next closing one, and stay
    as they are if the name is unknown; any other dollar stays.
    """
    return re.sub(
        r"\$\$|\$\(([^)]*)\)",
        lambda found: "$" if found[0] == "$$" else values.get(found[1], found[0]),
        text,
    )


@pytest.fixture(scope="module")
def plan() -> wb.Plan:
    return wb.plan(MODEL, "L40S", tensor_parallel_size=2, max_model_len=8192)


def test_figures_are_the_plans(plan: wb.Plan) -> None:
    subject, made = Subject(plan), export(plan, ["kubernetes-deployment"])
    container = server(made)
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert limits["nvidia.com/gpu"] == requests["nvidia.com/gpu"] == "2"
    assert limits["memory"] == requests["memory"] == f"{subject.host_memory}Gi"
    assert int(requests["cpu"]) == 4  # an API server, an engine core, two workers
    assert "cpu" not in limits
    startup = container["startupProbe"]
    waited = startup["periodSeconds"] * startup["failureThreshold"]
    assert subject.first_start_seconds <= waited < subject.first_start_seconds + startup["periodSeconds"]
    assert plan.loading is not None
    assert waited > plan.loading.seconds["SATA SSD"].high + plan.loading.seconds["object store"].high
    pod = kind(documents(made, "kubernetes/server.yaml"), "Deployment")["spec"]["template"]["spec"]
    shared = next(volume for volume in pod["volumes"] if volume["name"] == "shared-memory")["emptyDir"]
    assert shared == {"medium": "Memory", "sizeLimit": f"{subject.shared_memory}Gi"}
    claim = kind(documents(made, "kubernetes/server.yaml"), "PersistentVolumeClaim")["spec"]
    assert int(claim["resources"]["requests"]["storage"][:-2]) * 2**30 > plan.loading.disk.high
    assert claim["accessModes"] == ["ReadWriteMany"]
    values = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]
    assert values["matchExpressions"][0]["values"] == ["NVIDIA-L40S"]


def test_a_slower_storage_and_a_larger_model_are_waited_for() -> None:
    small = wb.plan(MODEL, "H100 SXM", max_model_len=8192)
    large = wb.plan("meta-llama/Llama-3.3-70B-Instruct", "H100 SXM", tensor_parallel_size=4, max_model_len=8192)

    def tries(plan: wb.Plan, **wishes: Any) -> int:
        return server(export(plan, ["kubernetes-deployment"], **wishes))["startupProbe"]["failureThreshold"]

    assert tries(large) > 2 * tries(small)
    assert tries(large, model_path="/m", storage="network file system") > tries(large, model_path="/m")


def test_llama_cpp_on_a_processor_asks_for_no_card() -> None:
    plan = wb.plan(MODEL, "cpu", engine="llama.cpp", quantization="q4_k_m", max_model_len=8192)
    made = export(plan, ["kubernetes"])
    container = server(made)
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert plan.memory is not None
    assert int(container["resources"]["limits"]["memory"][:-2]) * 2**30 > plan.memory.weights.value
    pod = kind(documents(made, "kubernetes/server.yaml"), "Deployment")["spec"]["template"]["spec"]
    assert "affinity" not in pod
    assert "tolerations" not in pod
    assert pod["securityContext"]["runAsUser"] == 1000
    assert not any(check.outcome == "fail" for found in made.checks().values() for check in found)


def test_a_slice_of_a_card_is_asked_for_by_its_own_name() -> None:
    plan = wb.plan(MODEL, "H100 SXM 3g.40gb", max_model_len=4096)
    limits = server(export(plan, ["kubernetes-deployment"]))["resources"]["limits"]
    assert limits["nvidia.com/mig-3g.40gb"] == "1"
    assert "nvidia.com/gpu" not in limits


@pytest.mark.parametrize("name", HOSTILE)
def test_kubernetes_reads_back_the_path_that_was_given(plan: wb.Plan, name: str) -> None:
    subject = Subject(plan, Wishes(model_path=f"/srv/{name}"))
    made = export(plan, ["kubernetes"], model_path=f"/srv/{name}")
    found = [expanded(word, {"VLLM_API_KEY": "secret"}) for word in server(made)["args"]]
    assert found == subject.arguments
    assert found[0] == f"/models/{name}"
    values = yaml.safe_load(text_of(made, "kubernetes/production-stack/values.yaml"))
    assert expanded(values["servingEngineSpec"]["modelSpec"][0]["modelURL"], {}) == f"/data/{name}"
    assert not any(check.outcome == "fail" for found in made.checks().values() for check in found)


@pytest.mark.parametrize("name", ["a$(touch x)b", "a$$b", "-x", "模型'"])
def test_servers_wait_for_a_model_that_is_to_be_copied(plan: wb.Plan, tmp_path: Path, name: str) -> None:
    made = export(plan, ["kubernetes-deployment"], model_path=f"/srv/{name}")
    pod = kind(documents(made, "kubernetes/server.yaml"), "Deployment")["spec"]["template"]["spec"]
    (first,) = pod["initContainers"]
    words = [expanded(word, {}) for word in first["command"]]
    assert words[-1] == f"/models/{name}"
    there = tmp_path / name
    there.touch()
    subprocess.run([*words[:-1], str(there)], check=True, timeout=9, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    there.unlink()
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([*words[:-1], str(there)], check=True, timeout=0.5, cwd=tmp_path)
    hub = documents(export(plan, ["kubernetes-deployment"]), "kubernetes/server.yaml")
    assert "initContainers" not in kind(hub, "Deployment")["spec"]["template"]["spec"]


def test_a_key_that_only_the_line_takes_is_put_there_by_kubernetes() -> None:
    plan = wb.plan(MODEL, "L40S", engine="sglang", max_model_len=8192)
    container = server(export(plan, ["kubernetes-deployment"]))
    assert [expanded(word, {"API_KEY": "the key"}) for word in container["args"][-2:]] == ["--api-key", "the key"]
    key = next(one for one in container["env"] if one["name"] == "API_KEY")
    assert key["valueFrom"]["secretKeyRef"]["name"] == "qwen3-8b-secrets"


def test_the_objects_of_a_bundle_agree_with_each_other(plan: wb.Plan) -> None:
    for model_path in (None, "/srv/m"):
        made = export(plan, ["kubernetes"], model_path=model_path)
        every = [d for f in made.files if f.kind == "kubernetes" for d in yaml.safe_load_all(f.text)]
        assert {"Deployment", "HorizontalPodAutoscaler", "Ingress", "ScaledObject"} <= {d["kind"] for d in every}
        assert _kubernetes_agree.disagreements(every) == []


def _set(*path: str | int, to: Any) -> Callable[[dict[str, dict[str, Any]]], None]:
    def change(found: dict[str, dict[str, Any]]) -> None:
        held: Any = found
        for step in path[:-1]:
            held = held[step]
        held[path[-1]] = to

    return change


_POD = ("Deployment", "spec", "template", "spec")
_ONE = (*_POD, "containers", 0)
MISTAKES = {
    "misspelt field": (_set(*_ONE, "livenesProbe", to={}), "Additional properties"),
    "text for a number": (_set(*_ONE, "ports", 0, "containerPort", to="8000"), "is not of type"),
    "an API that is gone": (
        _set("PodDisruptionBudget", "apiVersion", to="policy/v1beta1"),
        "has no PodDisruptionBudget",
    ),
    "selector": (_set("Deployment", "spec", "selector", "matchLabels", "app.kubernetes.io/name", to="b"), "selector"),
    "service": (_set("Service", "spec", "selector", to={"a": "b"}), "no pod has the labels"),
    "policy": (_set("NetworkPolicy", "spec", "podSelector", "matchLabels", to={"a": "b"}), "no pod has the labels"),
    "target port": (_set("Service", "spec", "ports", 0, "targetPort", to="web"), "port called web"),
    "probe's port": (_set(*_ONE, "readinessProbe", "httpGet", "port", to="web"), "port web"),
    "no volume": (_set(*_ONE, "volumeMounts", 0, "name", to="data"), "volume data is mounted"),
    "no claim": (_set(*_POD, "volumes", 0, "persistentVolumeClaim", "claimName", to="other"), "no claim other"),
    "more than the limit": (_set(*_ONE, "resources", "requests", "memory", to="900Gi"), "more memory is requested"),
    "a card without limit": (_set(*_ONE, "resources", "limits", to={"memory": "64Gi"}), "is no limit"),
    "no quantity": (_set(*_ONE, "resources", "limits", "memory", to="64 GB"), "is no quantity"),
    "all memory shared": (_set(*_POD, "volumes", 1, "emptyDir", "sizeLimit", to="900Gi"), "leave none"),
    "a single dollar": (_set(*_ONE, "args", 0, to="/models/a$(touch x)b"), "double its dollar"),
    "a secret": (_set(*_ONE, "env", 0, to={"name": "VLLM_API_KEY", "value": "sk-1"}), "looks like a secret"),
    "two namespaces": (_set("Service", "metadata", "namespace", to="other"), "several namespaces"),
    "a name": (_set("Service", "metadata", "name", to="Über"), "no DNS name"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen(plan: wb.Plan, mistake: str) -> None:
    change, said = MISTAKES[mistake]
    found = {d["kind"]: d for d in documents(export(plan, ["kubernetes-deployment"]), "kubernetes/server.yaml")}
    changed = copy.deepcopy(found)
    change(changed)
    assert changed != found
    checks = kubernetes.check(File("a.yaml", "kubernetes", yaml.safe_dump_all(changed.values())))
    failed = " ".join(check.detail for check in checks if check.outcome == "fail")
    assert said in failed


def test_what_is_no_kubernetes_at_all() -> None:
    for text in ("a: [", "- a\n", "kind: Pod\n", ""):
        found = kubernetes.check(File("a.yaml", "kubernetes", text))
        assert any(check.outcome == "fail" for check in found), text


def test_kinds_of_other_projects_are_never_called_checked(plan: wb.Plan) -> None:
    checks = export(plan, ["kubernetes-keda", "kubernetes-gateway"]).checks()
    for path in ("kubernetes/keda.yaml", "kubernetes/gateway.yaml"):
        assert [c.outcome for c in checks[path]] == ["unchecked", "pass"]
    (made,) = documents(export(plan, ["kubernetes-keda"]), "kubernetes/keda.yaml")
    for change in ({"maxReplicas": 3}, {"triggers": [{"type": "cpu", "metadata": {}}]}, {"minReplicaCount": 9}):
        text = yaml.safe_dump({**made, "spec": {**made["spec"], **change}})
        assert kubernetes.check(File("a.yaml", "kubernetes", text))[0].outcome == "fail", change


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tgi", "llama.cpp"])
def test_autoscalers_ask_for_series_that_the_engine_has(engine: str) -> None:
    plan = wb.plan(MODEL, "L40S", engine=engine, max_model_len=8192)
    made, series = export(plan, ["kubernetes-hpa", "kubernetes-keda"], most_replicas=7), Subject(plan).server.series
    known = [name for name in (series.waiting, series.kv_cache_usage) if name]
    spec = documents(made, "kubernetes/hpa.yaml")[0]["spec"]
    rules = yaml.safe_load(text_of(made, "kubernetes/prometheus-adapter.yaml"))["rules"]["custom"]
    assert [metric["pods"]["metric"]["name"] for metric in spec["metrics"]] == [rule["name"]["as"] for rule in rules]
    for rule, name in zip(rules, known, strict=True):
        assert re.fullmatch(rule["name"]["matches"], name)
        shown = rule["metricsQuery"].replace("<<.Series>>", name).replace("<<.LabelMatchers>>", 'pod="a"')
        promql_parser.parse(shown.replace("<<.GroupBy>>", "pod"))
        promql_parser.parse(rule["seriesQuery"])
    keda = documents(made, "kubernetes/keda.yaml")[0]["spec"]
    for trigger, name in zip(keda["triggers"], known, strict=True):
        promql_parser.parse(trigger["metadata"]["query"])
        assert name in trigger["metadata"]["query"]
    assert spec["maxReplicas"] == keda["maxReplicaCount"] == 7


def test_a_new_replica_is_given_time_to_start(plan: wb.Plan) -> None:
    slow = wb.plan("meta-llama/Llama-3.3-70B-Instruct", "H100 SXM", tensor_parallel_size=4, max_model_len=8192)
    for one in (plan, slow):
        up = documents(export(one, ["kubernetes-hpa"]), "kubernetes/hpa.yaml")[0]["spec"]["behavior"]["scaleUp"]
        assert up["policies"][0]["periodSeconds"] == min(1800, Subject(one).start_seconds)


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed here")
def test_kubectl_reads_the_objects_and_makes_the_secret(plan: wb.Plan, tmp_path: Path) -> None:
    made = export(plan, ["kubernetes"], out=tmp_path / "made", model_path="/srv/a$(x)b")
    for file in made.files:
        if file.kind == "kubernetes":
            assert {check.outcome for check in kubernetes.ask(file)} <= {"pass", "unchecked"}, file.path
    broken = File("a.yaml", "kubernetes", text_of(made, "kubernetes/server.yaml").replace("replicas: 1", "replicas: x"))
    assert kubernetes.ask(broken)[0].outcome == "fail"
    shim = tmp_path / "bin" / "kubectl"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {KUBECTL} "$@" --dry-run=client --output yaml\n')
    shim.chmod(0o755)
    value = "a b$c'\"`d`\\#"
    environment = {"PATH": f"{shim.parent}:{os.environ['PATH']}", "VLLM_API_KEY": value}
    script = tmp_path / "made" / "kubernetes" / "secret.sh"
    ran = subprocess.run([script], env=environment, capture_output=True, text=True, check=True)
    secret = yaml.safe_load(ran.stdout)
    assert secret["metadata"]["name"] == "qwen3-8b-secrets"
    assert base64.b64decode(secret["data"]["VLLM_API_KEY"]).decode() == value
    without = subprocess.run([script], env={"PATH": environment["PATH"]}, capture_output=True, text=True, check=False)
    assert without.returncode != 0
    assert "VLLM_API_KEY" in without.stderr


@pytest.mark.parametrize("name", ["a$(touch x)b", "-x y", "模型'`"])
def test_a_checkpoint_is_copied_into_the_volume(plan: wb.Plan, tmp_path: Path, name: str) -> None:
    """By a kubectl that runs in this machine's own folders what the pod would."""
    folder = tmp_path / "there" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (tmp_path / "volume").mkdir()
    export(plan, ["kubernetes-deployment"], out=tmp_path / "made", model_path=str(folder))
    shim = tmp_path / "bin" / "kubectl"
    shim.parent.mkdir()
    shim.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = exec ] || {{ echo "$@" >> {tmp_path}/told; exit; }}\n'
        'while [ "$1" != -- ]; do shift; done\n'
        f'shift; run=$(printf "%s" "$3" | sed "s#/models#{tmp_path}/volume#g"); exec sh -c "$run" "$4" "$5"\n'
    )
    shim.chmod(0o755)
    script = tmp_path / "made" / "kubernetes" / "fill.sh"
    subprocess.run([script], env={"PATH": f"{shim.parent}:{os.environ['PATH']}"}, cwd=tmp_path, check=True)
    assert (tmp_path / "volume" / name / "config.json").read_text() == "{}"
    told = (tmp_path / "told").read_text().splitlines()
    assert [line.split()[0] for line in told] == ["apply", "wait", "delete"]
    assert not list(tmp_path.rglob("x"))


_ELSEWHERE = {"mxfp4": "B200 SXM", "nvfp4": "B200 SXM", "nvfp4a16": "B200 SXM"}


@pytest.mark.parametrize("id", list(methods()))
def test_each_method_of_quantisation_has_its_job(id: str) -> None:
    method = methods()[id]
    engine = next(name for name in method.engines if name != "vllm-cpu")
    plan = wb.plan(
        "meta-llama/Llama-3.1-8B-Instruct",
        _ELSEWHERE.get(id, "H100 SXM"),
        engine=engine,
        quantization=method.scheme,
        max_model_len=8192,
    )
    made = export(plan, ["kubernetes-quantize"])
    (job,) = documents(made, f"kubernetes/quantize/{id}.yaml")
    assert not any(check.outcome == "fail" for found in made.checks().values() for check in found)
    container = job["spec"]["template"]["spec"]["containers"][0]
    words = [expanded(word, {}) for word in container["args"]]
    if words[:2] == ["sh", "-c"]:
        words = shlex.split(words[2])[: shlex.split(words[2]).index("&&")]
    parser = argparse.ArgumentParser()
    quantize_verb.add_arguments(parser)
    assert words[:2] == ["workbench", "quantize"]
    asked = parser.parse_args(words[2:])
    assert asked.method == [id]
    assert asked.download
    assert asked.out.startswith("/models/")
    method.check(quantize_verb.settings(asked.set))
    # What is quantised is held in 16 bit at the least.
    assert int(container["resources"]["limits"]["memory"][:-2]) * 2**30 > 2 * plan.model.parameters
    build = text_of(made, "kubernetes/quantize/Dockerfile")
    assert method.environment in build.splitlines()[-1].split()
    if asked.out == f"/models/{Path(Subject(plan).mounted).name}":
        size = kind(documents(export(plan, ["kubernetes-deployment"], image="a/b:1"), "kubernetes/server.yaml"),
                    "PersistentVolumeClaim")["spec"]["resources"]["requests"]["storage"]  # fmt: skip
        assert int(size[:-2]) > math.ceil(2 * plan.model.parameters / 2**30), "no room for the original"


def test_what_is_not_to_be_quantised_has_no_job(plan: wb.Plan) -> None:
    assert "quantization is not set" in export(plan).refused["kubernetes-quantize"]
    done = wb.plan("deepseek-ai/DeepSeek-V3", "H200 SXM", tensor_parallel_size=8, max_model_len=8192)
    assert "quantised already" in export(done).refused["kubernetes-quantize"]


def test_values_of_the_production_stack(plan: wb.Plan) -> None:
    other = wb.plan(MODEL, "L40S", max_model_len=8192, enable_prefix_caching=False)
    for one, caching in ((plan, True), (other, False)):
        made = export(one, ["production-stack"])
        model = yaml.safe_load(text_of(made, "kubernetes/production-stack/values.yaml"))["servingEngineSpec"][
            "modelSpec"
        ][0]
        settings = model["vllmConfig"]
        assert settings["enablePrefixCaching"] is caching
        # The chart's template puts these together; nothing is lost or said twice.
        flags = ["--enable-prefix-caching" if caching else "--no-enable-prefix-caching"]
        flags += ["--tensor-parallel-size", str(settings["tensorParallelSize"]), *settings["extraArgs"]]
        said = Subject(one).arguments[1:-4]
        assert set(said) <= set(flags)
        assert f"{model['repository']}:{model['tag']}" == Subject(one).image
    checks = export(plan, ["production-stack"]).checks()
    assert checks["kubernetes/production-stack/values.yaml"][0].outcome == "unchecked"
    text = text_of(export(plan, ["production-stack"]), "kubernetes/production-stack/values.yaml")
    for wrong in ("requestCpu", "shmsize"):
        right = {"requestCpu": "requestCPU", "shmsize": "shmSize"}[wrong]
        broken = File("values.yaml", "helm-values", text.replace(right, wrong))
        from workbench.exports.checks import helm_values

        assert helm_values.check(broken)[0].outcome == "fail"
    with pytest.raises(wb.errors.InvalidInput, match="digest"):
        export(plan, ["production-stack"], image=f"a/b@sha256:{64 * '0'}")


@pytest.mark.parametrize("engine", ["vllm", "llama.cpp", "sglang", "tgi"])
def test_the_readiness_list_finds_nothing_against_the_manifests(engine: str, tmp_path: Path) -> None:
    """The list was written before, and reads manifests in its own way."""
    plan = wb.plan(MODEL, "L40S", engine=engine, max_model_len=8192)
    targets = ["kubernetes-deployment", "kubernetes-hpa", "kubernetes-keda", "kubernetes-ingress"]
    export(plan, targets, out=tmp_path / "made", replicas=2)
    folder = tmp_path / "made" / "kubernetes"
    (folder / "prometheus-adapter.yaml").unlink()  # a chart's values
    report = wb.readiness("http://127.0.0.1:9", manifests=[folder], checks=["service.scaling", "service.probes"])
    for answer in report.answers:
        read = [piece for piece in answer.finding.evidence if not piece.asked.startswith("GET ")]
        assert len(read) > 2
        assert [piece for piece in read if piece.status != "pass"] == []
