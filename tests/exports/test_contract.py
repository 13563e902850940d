"""What holds of every target: it says for which engines it is, its files pass, hostile names are quoted or refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import shlex
import signal
import stat
import zipfile
from pathlib import Path

import pytest
from exports.random_plans import plans

import workbench as wb
from workbench import cli
from workbench.deployment import ENGINES
from workbench.errors import InvalidInput, UnknownName
from workbench.exports import export
from workbench.exports.registry import GROUPS, targets
from workbench.exports.servers import server

MODEL = "Qwen/Qwen3-8B"


@pytest.fixture(scope="module")
def plan() -> wb.Plan:
    return wb.plan(MODEL, "L40S", max_model_len=8192)


def test_every_target_says_of_every_engine_whether_it_can_be_written() -> None:
    for id, target in targets().items():
        assert set(target.without) <= set(ENGINES), id
        assert target.engines, id
        assert all(why.strip() for why in target.without.values()), id
        assert target.about.endswith("."), id
        assert target.source.startswith("https://"), id
        assert target.group in GROUPS, id


@pytest.mark.parametrize("seed", range(10))
def test_files_of_random_plans_pass_what_reads_them(seed: int) -> None:
    for plan in plans(20, seed):
        made = export(plan)
        for path, found in made.checks().items():
            assert found, path
            failed = [check for check in found if check.outcome == "fail"]
            assert not failed, (path, failed, plan.command)
        named = {file.path for files in made.by_target.values() for file in files}
        assert len(named) == sum(map(len, made.by_target.values())), "two targets write one path"
        assert not any(Path(path).is_absolute() or ".." in Path(path).parts for path in named)


HOSTILE = [
    'a"b',
    "a'b",
    "a$(touch x)b",
    "a`id`b",
    "a{{ .Values }}b",
    "a b",
    "a;b",
    "a\\b",
    "a#b",
    "a: b",
    "${HOME}",
    "a$$(b)$",
    "%{x}",
    "<<.X>>",
    "null",
    "-x",
    "模型",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_paths_are_quoted_in_every_file(plan: wb.Plan, name: str) -> None:
    path = f"/srv/{name}"
    made = export(plan, model_path=path)
    assert not any(check.outcome == "fail" for found in made.checks().values() for check in found)
    text = next(file.text for file in made.files if file.path == "vllm/serve.sh")
    line = text[text.index("exec ") :]
    assert path in shlex.split(line.replace("\\\n", ""))


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "", " ", "a\u202eb", "a\u2028b"])
def test_what_cannot_be_quoted_is_refused(plan: wb.Plan, name: str) -> None:
    with pytest.raises(InvalidInput, match="model_path"):
        export(plan, model_path=name)


@pytest.mark.parametrize(
    ("wish", "value"),
    [("name", "../x"), ("name", "A"), ("namespace", "a b"), ("host", "a/b"), ("host", "$(x)"), ("port", 0),
     ("port", True), ("replicas", 0), ("most_replicas", 0), ("requests_per_s", float("nan")), ("image", "a\nb")],
)  # fmt: skip
def test_wishes_that_cannot_be(plan: wb.Plan, wish: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=wish):
        export(plan, **{wish: value})
    with pytest.raises(UnknownName, match="replicas"):
        export(plan, replica=2)


def test_no_file_holds_a_secret(plan: wb.Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "VLLM_API_KEY", "LLAMA_API_KEY"):
        monkeypatch.setenv(name, "hf_this-is-the-secret")
    assert not any("this-is-the-secret" in file.text for file in export(plan).files)


def test_the_same_plan_gives_the_same_bytes(plan: wb.Plan, tmp_path: Path) -> None:
    again = wb.plan(MODEL, "L40S", max_model_len=8192)
    one, other = export(plan).zipped(), export(again).zipped()
    assert hashlib.sha256(one).digest() == hashlib.sha256(other).digest()
    with zipfile.ZipFile(io.BytesIO(one)) as archive:
        assert archive.testzip() is None
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert modes["qwen3-8b/vllm/serve.sh"] & stat.S_IXUSR
    assert not modes["qwen3-8b/README.md"] & stat.S_IXUSR
    assert wb.Plan.from_dict(json.loads(next(f.text for f in export(plan).files if f.path == "plan.json"))).fits


def test_writing(plan: wb.Plan, tmp_path: Path) -> None:
    made = export(plan, out=tmp_path / "folder")
    for file in made.files:
        path = tmp_path / "folder" / file.path
        assert path.read_text(encoding="utf-8") == file.text
        assert os.access(path, os.X_OK) == file.executable
    with pytest.raises(InvalidInput, match="empty folder"):
        export(plan, out=tmp_path / "folder")
    export(plan, out=tmp_path / "all.zip")
    assert zipfile.is_zipfile(tmp_path / "all.zip")
    with pytest.raises(InvalidInput, match="cannot be written"):
        export(plan, out=tmp_path / "none" / "all.zip")


@pytest.mark.parametrize("name", ["plan.zip", "folder"])
def test_a_full_disk_leaves_nothing(plan: wb.Plan, tmp_path: Path, name: str) -> None:
    """Really full, for this process: no file may grow beyond a few bytes."""
    made = export(plan)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(InvalidInput, match="cannot be written"):
            made.write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_does_not_fit_and_targets_that_are_not(plan: wb.Plan) -> None:
    with pytest.raises(InvalidInput, match="does not fit"):
        export(wb.plan("meta-llama/Llama-3.3-70B-Instruct", "L4"))
    with pytest.raises(UnknownName, match="vllm"):
        export(plan, ["vlm"])
    other = next(plans(1, engines=("sglang",)))
    with pytest.raises(InvalidInput, match="another engine"):
        export(other, ["vllm"])


def test_every_engine_has_a_server() -> None:
    for name in ENGINES:
        assert server(name).engine == name


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", MODEL, "--gpu", "L40S", "--max-model-len", "8192"]
    assert cli.main([*words, "--to", "vllm", "--out", str(tmp_path / "x.zip"), "--port", "9000"]) == 0
    assert "vllm/serve.sh" in capsys.readouterr().out
    assert cli.main([*words, "--to", "vllm", "--json", "--name", "mine"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["name"] == "mine"
    assert {check["outcome"] for file in made["files"] for check in file["checks"]} == {"pass"}
    assert cli.main(["export", "--targets"]) == 0
    assert "docker-run" in capsys.readouterr().out
    assert cli.main([*words, "--to", "nothing", "--json"]) == 2
    assert cli.main([*words]) == 2
