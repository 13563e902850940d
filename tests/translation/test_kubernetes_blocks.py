"""Every Kubernetes object of the older guides, translated: told what was wrong, and taken by its schemas."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as some
from translation.kubernetes_blocks import BLOCKS, GPTQ, INGRESS, LLAMA_CPP, SCALED, SERVER, TENSORRT_LLM

import workbench as wb
from workbench.datafiles import read_rows
from workbench.engines.vllm.schema import bundled, check
from workbench.exports.checks import check as read_by
from workbench.exports.file import File
from workbench.exports.servers import server
from workbench.translation.object_rules import WAITING
from workbench.translation.result import STATUSES

CURRENT = bundled()[-1]


def manifest(text):
    (whole,) = [part for part in wb.translate(text, CURRENT).parts if part.form == "manifest"]
    return whole


def refused(text, programs=False):
    """What Kubernetes' schemas, our look at how objects agree, and kubectl say against it."""
    said = read_by(File("m.yaml", "kubernetes", text, version=""), programs=programs)
    return [check.detail for check in said if check.outcome == "fail"]


def relations(text):
    """What no schema asks of objects that serve a model; written without a look at the translator's rules."""
    for one in yaml.safe_load_all(text):
        template = one.get("spec", {}).get("template")
        if template is None:
            if one["kind"] == "HorizontalPodAutoscaler":
                assert all(metric["type"] == "Pods" for metric in one["spec"]["metrics"])
            continue
        if "selector" in one["spec"]:
            assert one["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        pod = template["spec"]
        if one["kind"] == "Job":
            assert pod["restartPolicy"] in ("Never", "OnFailure")
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            words, mounts = container.get("args", []), container.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} <= volumes
            if "--tensor-parallel-size" in words:
                ranks = int(words[words.index("--tensor-parallel-size") + 1])
                assert container["resources"]["limits"]["nvidia.com/gpu"] >= ranks
                assert ranks == 1 or "/dev/shm" in [mount["mountPath"] for mount in mounts]
            if "livenessProbe" in container:
                waits = container["startupProbe"]
                assert waits["periodSeconds"] * waits["failureThreshold"] >= 600
                assert waits["httpGet"] == container["livenessProbe"]["httpGet"]
            if "llama.cpp" in container["image"]:
                assert not any(word.startswith("--") and "=" in word for word in words)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.claim)
def test_a_block_is_told_and_mended(block):
    whole = manifest(block.text)
    told = {change.given: change.status for change in whole.changes}
    assert told.items() >= block.said.items()
    for change in whole.changes:
        assert change.text
        assert change.source
        assert change.given.split(".")[0] in block.text[change.start : change.end] or not change.value
        assert whole.line <= change.line <= block.text.count("\n") + 1
    for text in block.holds:
        assert text in whole.text
    for text in block.lacks:
        assert text not in whole.text
    assert refused(whole.text) == []
    relations(whole.text)


def test_all_of_them_are_taken_by_kubectl():
    """In one file, so that the program starts once; without a cluster it reads pods alone."""
    texts = [manifest(block.text).text for block in BLOCKS if "Ingress" not in block.text and "HPA" not in block.claim]
    pods = [text for text in texts if "containers:" in text and "HorizontalPodAutoscaler" not in text]
    said = [
        check
        for text in pods[:3]
        for check in read_by(File("m.yaml", "kubernetes", text), programs=True)
        if check.reader == "kubectl"
    ]
    assert said
    assert not [check.detail for check in said if check.outcome == "fail"]


def test_what_is_mended_was_refused_or_told():
    """Where a check of Kubernetes can see the fault, it does; the rest no schema sees."""
    assert any("selector" in why or "template" in why for why in refused(LLAMA_CPP))
    with pytest.raises(AssertionError):
        relations(SERVER)
    with pytest.raises(KeyError):
        relations(TENSORRT_LLM)
    with pytest.raises(AssertionError):
        relations(SCALED)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.claim)
def test_translating_what_was_translated_mends_nothing(block):
    once = manifest(block.text)
    again = manifest(once.text)
    assert yaml.safe_load_all(once.text)
    assert list(yaml.safe_load_all(again.text)) == list(yaml.safe_load_all(once.text))
    assert {change.status for change in again.changes} <= {"kept"}


@pytest.mark.parametrize("version", bundled()[:: max(1, len(bundled()) // 4)])
def test_arguments_in_a_manifest_pass_the_release_they_are_for(version):
    parts = wb.translate(SERVER, version).parts
    (whole,) = [part for part in parts if part.form == "manifest"]
    container = yaml.safe_load(whole.text)["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"vllm/vllm-openai:v{version}"
    words = ["vllm", "serve", *container["args"]]
    assert [finding for finding in check(words, version) if finding.refused] == []


def test_the_container_and_its_manifest_say_the_same():
    for text in (LLAMA_CPP, GPTQ, TENSORRT_LLM):
        inside, whole = wb.translate(text).parts
        container = yaml.safe_load(whole.text)["spec"]["template"]["spec"]["containers"][0]
        assert yaml.safe_load(inside.text).items() <= container.items()


def test_what_fits_a_processor_and_two_cards_is_planned():
    inside = wb.translate(LLAMA_CPP).parts[0]
    assert inside.model == "meta-llama/Llama-2-7b-chat-hf"
    assert inside.deployment.gpu == "cpu"
    memory = inside.plan(max_model_len=2048).memory
    assert memory.weights.value == pytest.approx(4.08e9, rel=0.01)  # C001-018: within 16Gi with its cache
    assert 4096 * memory.kv_bytes_per_token == pytest.approx(2.1e9, rel=0.05)
    served = wb.translate(SERVER).parts[0]
    assert served.plan(gpu="L40S").fits
    seventy = wb.translate(SERVER.replace("Llama-3.1-8B", "Llama-3.1-70B-Instruct")).parts[0]
    assert not seventy.plan(gpu="L40S").fits


def test_an_autoscaler_of_something_else_is_left_alone():
    text = SCALED.replace("vllm-server", "front-end")
    assert manifest(text).changes == ()
    assert list(yaml.safe_load_all(manifest(text).text)) == list(yaml.safe_load_all(text))


def test_probes_that_wait_long_enough_are_left_alone():
    patient = SERVER + "        livenessProbe: {httpGet: {path: /health, port: 8000}, initialDelaySeconds: 900}\n"
    assert "startupProbe" not in manifest(patient).text
    assert "initialDelaySeconds: 900" in manifest(patient).text


def test_series_that_wait_are_called_as_the_exports_call_them():
    for engine, name in WAITING.items():
        assert server(engine).series.waiting.replace(":", "_") == name


def test_rows_are_whole():
    for row in read_rows("engines", "kubernetes_faults.csv"):
        assert row["status"] in STATUSES
        assert row["text"]
        assert row["source"].startswith(("https://", "github:"))


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Pod\nspec: 3\n",
        "apiVersion: apps/v1\nkind: Deployment\nspec: {selector: {matchLabels: 3}, template: []}\n",
        "apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: {containers: [3, {image: [x]}]}}}\n",
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec: {metrics: {a: b}, scaleTargetRef: vllm}\n",
        "apiVersion: v1\nkind: Ingress\nmetadata: {annotations: [a]}\nspec: {rules: [3]}\n",
        "apiVersion: &a v1\nkind: Pod\nmetadata: &m {name: x, self: *a}\nspec: *m\n",
    ],
)
def test_objects_that_are_none_are_left_as_they_are(text):
    whole = manifest(text)
    assert whole.changes == () or whole.text
    assert list(yaml.safe_load_all(whole.text))


def test_a_document_that_holds_itself_ends():
    text = "apiVersion: v1\nkind: Pod\nspec: &s\n  containers: []\n  again: *s\n"
    assert "again" in manifest(text).text


def test_a_path_of_an_ingress_that_ends_in_a_group_is_left_alone():
    text = INGRESS.replace("rewrite-target: /", "rewrite-target: /$2").replace("PATH", "/a(/|$)(.*)")
    assert "rewrite-target: /$2" in manifest(text).text


_PIECES = some.recursive(
    some.none() | some.booleans() | some.integers(-9, 9) | some.sampled_from(["/dev/shm", "cpu", "Job", "8Gi", ""]),
    lambda inner: some.lists(inner, max_size=3)
    | some.dictionaries(
        some.sampled_from(["spec", "template", "containers", "metadata", "labels", "selector", "matchLabels", "image",
                           "args", "resources", "limits", "memory", "nvidia.com/gpu", "livenessProbe", "volumes",
                           "volumeMounts", "metrics", "restartPolicy"]),
        inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(some.sampled_from(["Deployment", "Job", "Pod", "HorizontalPodAutoscaler", "Ingress"]), _PIECES)
def test_no_object_brings_it_down(kind, spec):
    text = yaml.safe_dump({"apiVersion": "v1", "kind": kind, "spec": spec})
    whole = manifest(text)
    assert yaml.safe_load(whole.text)["kind"] == kind
