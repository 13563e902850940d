"""Plans that outgrow a machine: divided alike, each part told the same, the others told what one machine holds."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import workbench as wb
from workbench.datafiles import read_rows
from workbench.errors import InvalidInput
from workbench.exports import export
from workbench.exports.bundle import Bundle
from workbench.exports.checks import check, kubernetes
from workbench.exports.file import File
from workbench.exports.subject import Subject

LARGE = "deepseek-ai/DeepSeek-V3"
HOSTILE = ["/srv/a$(touch x)b", "/srv/a'b`c`", '/srv/a"{{ b }}', "/srv/模型 #"]


def documents(made: Bundle, path: str) -> dict[str, dict[str, Any]]:
    text = next(file.text for file in made.files if file.path == path)
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def plan() -> wb.Plan:
    return wb.plan(LARGE, "H100 SXM", tensor_parallel_size=8, pipeline_parallel_size=2, max_model_len=8192)


@pytest.mark.parametrize(
    ("fields", "wishes", "named"),
    [
        ({"tensor_parallel_size": 8}, {}, "machine_gpus"),
        ({"tensor_parallel_size": 2, "data_parallel_size": 8}, {}, "data_parallel_size"),
        ({"tensor_parallel_size": 8, "pipeline_parallel_size": 2}, {"machine_gpus": 6}, "machine_gpus"),
    ],
)
def test_what_cannot_be_divided(fields: dict[str, int], wishes: dict[str, int], named: str) -> None:
    plan = wb.plan("Qwen/Qwen3-30B-A3B", "H100 SXM", max_model_len=8192, **fields)
    for target in ("ray", "leaderworkerset", "kuberay"):
        with pytest.raises(InvalidInput, match=named):
            export(plan, [target], **wishes)


def test_smaller_machines_can_be_said() -> None:
    plan = wb.plan("Qwen/Qwen3-8B", "L40S", tensor_parallel_size=4, max_model_len=8192)
    with pytest.raises(InvalidInput, match="machine_gpus is 8"):
        export(plan, ["leaderworkerset"])
    made = export(plan, ["leaderworkerset"], machine_gpus=2)
    spec = documents(made, "cluster/leaderworkerset/server.yaml")["LeaderWorkerSet"]["spec"]
    assert spec["leaderWorkerTemplate"]["size"] == 2
    with pytest.raises(InvalidInput, match="machine_gpus"):
        export(plan, ["leaderworkerset"], machine_gpus=0)


def test_a_group_of_pods_is_one_engine(plan: wb.Plan) -> None:
    made, subject = export(plan, ["leaderworkerset"], replicas=3), Subject(plan)
    found = documents(made, "cluster/leaderworkerset/server.yaml")
    spec = found["LeaderWorkerSet"]["spec"]
    assert (spec["replicas"], spec["leaderWorkerTemplate"]["size"]) == (3, 2)
    pods = [
        spec["leaderWorkerTemplate"][name]["spec"]["containers"][0] for name in ("leaderTemplate", "workerTemplate")
    ]
    leader, worker = pods
    joined = ["--nnodes", "2", "--node-rank", "$(LWS_WORKER_INDEX)", "--master-addr", "$(LWS_LEADER_ADDRESS)"]
    assert leader["args"] == [*subject.arguments, *joined]
    assert worker["args"] == [*leader["args"], "--headless"]
    assert worker["resources"] == leader["resources"]
    assert leader["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert 2 * int(leader["resources"]["limits"]["memory"][:-2]) >= subject.host_memory
    assert "startupProbe" in leader
    assert "startupProbe" not in worker  # nothing listens there
    # The Service's labels are the leader's alone, the policy's those of both.
    labels = [spec["leaderWorkerTemplate"][name]["metadata"]["labels"] for name in ("leaderTemplate", "workerTemplate")]
    chosen = found["Service"]["spec"]["selector"].items()
    assert [chosen <= one.items() for one in labels] == [True, False]
    both = found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    assert all(both <= one.items() for one in labels)


def test_releases_that_need_ray_for_several_machines_are_told() -> None:
    old = wb.plan(
        LARGE, "H100 SXM", tensor_parallel_size=8, pipeline_parallel_size=2, max_model_len=8192, engine_version="0.11.0"
    )
    with pytest.raises(InvalidInput, match="engine_version"):
        export(old, ["leaderworkerset"])


@pytest.mark.parametrize("version", [row["vllm"] for row in read_rows("engines/ray_llm.csv")])
def test_a_rayservice_runs_the_release_that_was_planned(version: str) -> None:
    plan = wb.plan(
        LARGE, "H100 SXM", tensor_parallel_size=8, pipeline_parallel_size=2, max_model_len=8192, engine_version=version
    )
    made = export(plan, ["kuberay"], replicas=2)
    spec = documents(made, "cluster/kuberay/rayservice.yaml")["RayService"]["spec"]
    row = next(row for row in read_rows("engines/ray_llm.csv") if row["vllm"] == version)
    group = spec["rayClusterConfig"]["workerGroupSpecs"][0]
    assert group["template"]["spec"]["containers"][0]["image"] == row["image"]
    assert spec["rayClusterConfig"]["rayVersion"] == row["ray"]
    assert group["replicas"] == 4  # two machines for each of two replicas
    (one,) = yaml.safe_load(spec["serveConfigV2"])["applications"][0]["args"]["llm_configs"]
    assert one["engine_kwargs"]["tensor_parallel_size"] == 8
    assert one["engine_kwargs"]["pipeline_parallel_size"] == 2
    assert one["model_loading_config"] == {"model_id": LARGE, "model_source": LARGE}
    head = spec["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    assert "nvidia.com/gpu" not in head["containers"][0]["resources"]["limits"]
    assert "affinity" not in head


def test_a_rayservice_for_a_release_that_no_ray_was_made_for(plan: wb.Plan) -> None:
    with pytest.raises(InvalidInput, match="engine_version"):
        export(plan, ["kuberay"])
    made = export(plan, ["kuberay"], image="example.com/ray-vllm:1")
    spec = documents(made, "cluster/kuberay/rayservice.yaml")["RayService"]["spec"]
    assert "rayVersion" not in spec["rayClusterConfig"]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths(path: str) -> None:
    plan = wb.plan(
        LARGE, "H100 SXM", tensor_parallel_size=8, pipeline_parallel_size=2, max_model_len=8192, engine_version="0.29.0"
    )
    made = export(plan, ["cluster"], model_path=path)
    assert not made.refused
    for name, found in made.checks(programs=True).items():
        assert not [check for check in found if check.outcome == "fail"], name
    text = documents(made, "cluster/kuberay/rayservice.yaml")["RayService"]["spec"]["serveConfigV2"]
    (one,) = yaml.safe_load(text)["applications"][0]["args"]["llm_configs"]
    assert one["model_loading_config"]["model_source"] == f"/models/{path.removeprefix('/srv/')}"


@pytest.mark.parametrize("path", [None, *HOSTILE])
def test_the_scripts_for_ray_in_a_real_shell(plan: wb.Plan, tmp_path: Path, path: str | None) -> None:
    """Ray and vLLM are stood in for: they write down how they were called. The second machine joins late."""
    export(plan, ["ray"], out=tmp_path / "made", model_path=path)
    bin = tmp_path / "bin"
    bin.mkdir()
    told = tmp_path / "told"
    programs = {
        "ray": f'echo "ray $*" >> {told}',
        "python3": f'echo x >> {tmp_path}/asked; [ "$(wc -l < {tmp_path}/asked)" -lt 3 ] && echo 8 || echo 16',
        "sleep": "exit 0",
        "vllm": f'printf "%s\\n" "$VLLM_HOST_IP" "$@" >> {told}',
    }
    for name, body in programs.items():
        (bin / name).write_text(f"#!/bin/sh\n{body}\n")
        (bin / name).chmod(0o755)
    environment = {"PATH": f"{bin}:{os.environ['PATH']}", "HEAD_ADDRESS": "10.0.0.1", "VLLM_API_KEY": "k"}
    folder = tmp_path / "made" / "cluster" / "ray"
    subprocess.run([folder / "head.sh"], env=environment, check=True)
    said = told.read_text(encoding="utf-8").splitlines()
    assert said[0] == "ray start --head --port 6379 --num-gpus 8 --node-ip-address 10.0.0.1"
    subject = Subject(plan, export(plan, ["ray"], model_path=path).subject.wishes)
    ray = ["--distributed-executor-backend", "ray", "--host", "0.0.0.0", "--port", "8000"]
    assert said[1:] == ["10.0.0.1", *subject.words[1:], *ray]
    told.unlink()
    subprocess.run([folder / "worker.sh"], env={**environment, "OWN_ADDRESS": "10.0.0.2"}, check=True)
    assert told.read_text() == (
        "ray start --address 10.0.0.1:6379 --node-ip-address 10.0.0.2 --num-gpus 8 --block\n"
    )  # fmt: skip
    refused = subprocess.run([folder / "worker.sh"], env=environment, capture_output=True, text=True, check=False)
    assert "OWN_ADDRESS" in refused.stderr
    (bin / "python3").write_text("#!/bin/sh\necho 8\n")
    never = subprocess.run([folder / "head.sh"], env=environment, capture_output=True, text=True, check=False)
    assert never.returncode == 1
    assert "fewer than 16 GPUs" in never.stderr


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("leaderworkerset", "cluster/leaderworkerset/server.yaml"),
        ("ray", "cluster/ray/head.sh"),
        ("kuberay", "cluster/kuberay/rayservice.yaml"),
        ("kubernetes-deployment", "kubernetes/server.yaml"),
        ("production-stack", "kubernetes/production-stack/values.yaml"),
        ("compose", "docker/compose/compose.yaml"),
        ("dockerfile", "docker/image/Dockerfile"),
    ],
)
def test_options_that_the_release_does_not_take_are_seen_wherever_they_stand(target: str, path: str) -> None:
    cards = {"pipeline_parallel_size": 2} if target in ("leaderworkerset", "ray", "kuberay") else {}
    plan = wb.plan(LARGE, "H200 SXM", tensor_parallel_size=8, max_model_len=8192, engine_version="0.29.0", **cards)
    file = next(file for file in export(plan, [target]).files if file.path == path)

    def said(text: str) -> set[str]:
        found = check(replace(file, text=text))
        return {one.outcome for one in found if one.reader.startswith("options of vLLM")}

    assert said(file.text) == {"pass"}
    # vLLM has no swap space since 0.18.
    assert said(file.text.replace("max-model-len", "swap-space").replace("max_model_len", "swap_space")) == {"fail"}


def test_pods_of_other_projects_are_read_by_kubernetes_own_schema(plan: wb.Plan) -> None:
    made = export(plan, ["leaderworkerset"])
    file = next(file for file in made.files if file.path.endswith("server.yaml"))
    assert {check.outcome for check in kubernetes.check(file)} == {"pass", "unchecked"}
    wrong = file.text.replace("mountPath: /dev/shm", "mountpath: /dev/shm")
    assert wrong != file.text
    found = kubernetes.check(File("a.yaml", "kubernetes", wrong))
    assert any(check.outcome == "fail" and check.reader.startswith("Kubernetes 1.") for check in found)
    wrong = file.text.replace("$(LWS_LEADER_ADDRESS)", "$(LEADER)")
    found = kubernetes.check(File("a.yaml", "kubernetes", wrong))
    assert any("$(LEADER)" in check.detail for check in found if check.outcome == "fail")
