"""Dockerfiles and Compose files: read back by what reads them, hostile names and mistakes included."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

import workbench as wb
from workbench.deployment import ENGINES
from workbench.errors import InvalidInput
from workbench.exports import export
from workbench.exports.bundle import Bundle
from workbench.exports.checks import compose, dockerfile
from workbench.exports.file import File
from workbench.exports.subject import Subject
from workbench.exports.wishes import Wishes

MODEL = "Qwen/Qwen3-8B"
COMPOSE = shutil.which("docker-compose", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}")
HOSTILE = ["a$(touch x)b", "a$$b$", "${HOME}", 'a"b', "a'b", "a{{ .Values }}b", "a: b", "a#b", "模型", "a\\b", "%{x}"]


def text_of(made: Bundle, path: str) -> str:
    return next(file.text for file in made.files if file.path == path)


def instructions(text: str) -> dict[str, str]:
    parsed = DockerfileParser(fileobj=io.BytesIO(text.encode())).structure
    return {one["instruction"]: one["value"] for one in parsed}


def service(made: Bundle) -> dict[str, Any]:
    return yaml.safe_load(text_of(made, "docker/compose/compose.yaml"))["services"]["server"]


@pytest.fixture(scope="module")
def plan() -> wb.Plan:
    return wb.plan(MODEL, "L40S", tensor_parallel_size=2, max_model_len=8192)


def test_compose_reserves_what_was_planned(plan: wb.Plan) -> None:
    subject, made = Subject(plan), service(export(plan, ["compose"]))
    reserved = made["deploy"]["resources"]["reservations"]
    assert reserved["devices"] == [{"driver": "nvidia", "count": 2, "capabilities": ["gpu"]}]
    assert reserved["memory"] == f"{subject.host_memory}gb"
    assert made["shm_size"] == f"{subject.shared_memory}gb"
    assert made["healthcheck"]["start_period"] == f"{subject.first_start_seconds}s"
    assert made["environment"]["VLLM_API_KEY"].startswith("${VLLM_API_KEY:?")
    assert made["ports"] == ["127.0.0.1:8000:8000"]


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed here")
@pytest.mark.parametrize("name", HOSTILE)
def test_docker_compose_reads_back_the_path_that_was_given(plan: wb.Plan, tmp_path: Path, name: str) -> None:
    made = export(plan, ["compose"], model_path=f"/srv/{name}", out=tmp_path / "made")
    assert {check.outcome for check in compose.ask(made.by_target["compose"][0])} == {"pass"}
    ran = subprocess.run(
        [COMPOSE or "", "--file", tmp_path / "made/docker/compose/compose.yaml", "config", "--format", "json"],
        env={"VLLM_API_KEY": "the $key", "HOME": "/home/nobody"},
        capture_output=True,
        text=True,
        check=True,
    )
    # It prints what could be read again, so each dollar doubled.
    read = json.loads(ran.stdout.replace("$$", "$"))["services"]["server"]
    assert read["command"] == Subject(plan, Wishes(model_path=f"/srv/{name}")).arguments
    (bound,) = read["volumes"]
    assert (bound["source"], bound["target"]) == (f"/srv/{name}", f"/models/{name}")
    assert read["environment"]["VLLM_API_KEY"] == "the $key"


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "transformers"])
def test_every_engine_in_a_container(engine: str) -> None:
    plan = wb.plan(MODEL, "L40S", engine=engine, max_model_len=8192)
    made = export(plan, ["compose", "dockerfile"])
    for path, found in made.checks(programs=True).items():
        assert not [check for check in found if check.outcome == "fail"], path
    subject = Subject(plan)
    read = instructions(text_of(made, "docker/image/Dockerfile"))
    assert read["FROM"] == subject.image
    started = json.loads(read["CMD"])
    if subject.server.key_words:  # a shell puts the key behind the words
        assert started[:2] == ["sh", "-c"]
        shown = subprocess.run(
            ["sh", "-c", started[2].replace("exec ", "printf '%s\\n' ", 1)],
            env={subject.key: "a b"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert shown.stdout.splitlines() == [*subject.arguments, *subject.server.key_words, "a b"]
        assert service(made)["command"][-1].startswith(f"${{{subject.key}:?")
    else:
        assert started == subject.arguments
    assert f"--start-period={subject.first_start_seconds}s" in read["HEALTHCHECK"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_dockerfile_starts_what_was_planned(plan: wb.Plan, name: str) -> None:
    made = export(plan, ["dockerfile"], model_path=f"/srv/{name}")
    read = instructions(text_of(made, "docker/image/Dockerfile"))
    assert json.loads(read["CMD"]) == Subject(plan, Wishes(model_path=f"/srv/{name}")).arguments
    assert read["USER"] == "2000:0"
    assert {check.outcome for check in dockerfile.check(made.by_target["dockerfile"][0])} == {"pass"}


def test_root_only_where_the_image_was_made_for_no_other_user() -> None:
    old = wb.plan(MODEL, "L40S", max_model_len=8192, engine_version="0.19.0")
    assert "USER" not in instructions(text_of(export(old, ["dockerfile"]), "docker/image/Dockerfile"))
    new = wb.plan(MODEL, "L40S", max_model_len=8192)
    named = export(new, ["dockerfile"], image="example.com/own:1")
    assert "USER" not in instructions(text_of(named, "docker/image/Dockerfile"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("image:", "imagee:"), "imagee"),
        (("10s", "soon"), "soon"),
        (("count: 2", "count: two"), "two"),
        (("${VLLM_API_KEY:?put it into the environment}", "sk-1"), "written down"),
        (("services:", "services: ["), ""),
    ],
)
def test_mistakes_in_compose_are_seen(plan: wb.Plan, change: tuple[str, str], said: str) -> None:
    text = text_of(export(plan, ["compose"]), "docker/compose/compose.yaml")
    assert change[0] in text
    found = compose.check(File("compose.yaml", "compose", text.replace(*change)))
    assert [check for check in found if check.outcome == "fail" and said in check.detail]


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed here")
def test_docker_compose_sees_a_dollar_that_is_not_doubled(plan: wb.Plan) -> None:
    text = text_of(export(plan, ["compose"], model_path="/srv/${x"), "docker/compose/compose.yaml")
    assert compose.ask(File("compose.yaml", "compose", text))[0].outcome == "pass"
    assert compose.ask(File("compose.yaml", "compose", text.replace("$$", "$")))[0].outcome == "fail"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("FROM vllm/vllm-openai:v0.32.0", "FROM vllm/vllm-openai"), "with a tag"),
        (("FROM vllm/vllm-openai:v0.32.0", "FROM vllm/vllm-openai:latest"), "with a tag"),
        (("FROM ", "FORM "), "FORM"),
        (('ENV VLLM_NO_USAGE_STATS="1"', "ENV VLLM_API_KEY=1"), "part of the image"),
        (('CMD ["Qwen', "CMD [Qwen"), "not a list"),
    ],
)
def test_mistakes_in_a_dockerfile_are_seen(plan: wb.Plan, change: tuple[str, str], said: str) -> None:
    text = text_of(export(plan, ["dockerfile"]), "docker/image/Dockerfile")
    assert change[0] in text
    (check,) = dockerfile.check(File("Dockerfile", "dockerfile", text.replace(*change)))
    assert check.outcome == "fail"
    assert said in check.detail


@pytest.mark.parametrize("image", ["a b", "a/B:1", "a:1\u00e9", "a$(x):1", "a:1;b", "-x:1", "a/b@sha256:1"])
def test_what_is_no_image_is_refused(plan: wb.Plan, image: str) -> None:
    for target in ("docker-run", "dockerfile", "compose", "kubernetes-deployment"):
        with pytest.raises(InvalidInput, match="image"):
            export(plan, [target], image=image)


def test_what_a_container_cannot_be_given(plan: wb.Plan) -> None:
    two = wb.plan("deepseek-ai/DeepSeek-V3", "H100 SXM", tensor_parallel_size=16, max_model_len=8192)
    part = wb.plan(MODEL, "H100 SXM 3g.40gb", max_model_len=4096)
    for target in ("docker-run", "dockerfile", "compose"):
        with pytest.raises(InvalidInput, match="machine_gpus"):
            export(two, [target])
    for target in ("docker-run", "compose"):
        with pytest.raises(InvalidInput, match="UUID"):
            export(part, [target])
    with pytest.raises(InvalidInput, match="home folder"):
        export(plan, ["compose"], model_path="~/m")


def test_build_runs_in_its_own_folder(plan: wb.Plan, tmp_path: Path) -> None:
    export(plan, ["dockerfile"], out=tmp_path / "made")
    shim = tmp_path / "bin" / "docker"
    shim.parent.mkdir()
    shim.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    shim.chmod(0o755)
    script = tmp_path / "made/docker/image/build.sh"
    environment = {"PATH": f"{shim.parent}:{os.environ['PATH']}"}
    ran = subprocess.run([script], env=environment, cwd="/", capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["build", "--tag", "qwen3-8b:0.32.0", str(script.parent)]
