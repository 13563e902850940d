"""Environments are really built, by real processes that are really killed; small local packages keep it quick."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from waiting import until

from workbench import environments
from workbench.environments import build, pip_log, recipe
from workbench.errors import MissingPart, UnknownName, WorkbenchError
from workbench.processes import Supervised
from workbench.progress import Progress

# What a separate process runs: build environment `small` of the recipes in argv[1].
BUILDER = """
import sys
from pathlib import Path
from workbench import environments
from workbench.environments import recipe
recipe.folder = lambda: Path(sys.argv[1])
environments.ensure("small", lambda p: print(p.detail, flush=True))
print("done", environments.get("small").python, flush=True)
"""


def wheel(folder: Path, name: str, version: str = "1.0", code: str = "") -> Path:
    """Write a wheel of one module by hand."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code or f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return file


def slow_source(folder: Path, name: str, seconds: float) -> Path:
    """A source package whose set-up takes its time, with no need of a network."""
    project = folder / name
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (project / "backend.py").write_text(
        "import pathlib, time, shutil\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        f"    pathlib.Path({str(folder)!r}, 'begun').touch()\n"
        f"    time.sleep(0 if pathlib.Path({str(folder)!r}, 'hurry').exists() else {seconds})\n"
        f"    shutil.copy({str(wheel(folder, name))!r}, folder)\n"
        f"    return {name + '-1.0-py3-none-any.whl'!r}\n"
    )
    return project


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Recipes and cache of the test's own, and pip without a network."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    monkeypatch.setattr(recipe, "folder", lambda: folder)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return folder


def write(folder: Path, packages: list[str], *, more: str = "", after: str = "") -> None:
    names = ", ".join(json.dumps(str(package)) for package in packages)
    step = f"[[steps]]\npackages = [{names}]\n"
    (folder / "small.toml").write_text(f'purpose = "is small"\n{more}\n{step}\n{after}')


def left() -> list[str]:
    """What lies among the environments, locks aside."""
    folder = environments.cache_root() / "environments"
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock")) if folder.exists() else []


def test_build_in_steps_with_removal_and_declared_metadata(place, tmp_path):
    for name in ("first", "second", "third"):
        wheel(tmp_path, name)
    (place / "small.txt").write_text("# comment\nfirst==1.0  # why\nsecond==1.0\n")
    (place / "small.constraints.txt").write_text("third==1.0\n")
    (place / "small.toml").write_text(
        'purpose = "is small"\nnote = "a note"\nimports = ["first", "third"]\n'
        '[[steps]]\nrequirements = "small.txt"\n[[steps]]\npackages = ["third"]\noptions = ["--no-deps"]\n'
        '[after]\nremove = ["second"]\nmetadata = { name = "another", version = "2.0+cpu" }\n'
        '[variables]\nSMALL = "yes"\n'
    )
    before = environments.get("small")
    assert (before.built, before.size_bytes(), before.versions()) == (False, 0, {})
    assert before.requirements == ("first==1.0", "second==1.0", "third")
    assert (before.purpose, before.note, before.unsuited) == ("is small", "a note", "")

    seen: list[Progress] = []
    built = environments.ensure("small", seen.append)
    assert built.built
    assert seen[-1] == Progress(1.0, "environment small is ready")
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    code = (
        "import first, third, importlib.metadata as m, importlib.util as u, os;"
        "print(first.version, m.version('another'), u.find_spec('second'), os.environ['SMALL'], os.environ['X'])"
    )
    ask = [str(built.python), "-c", code]
    answer = subprocess.run(ask, env=built.environ({"X": "1"}), capture_output=True, text=True, check=True)
    assert answer.stdout == "1.0 2.0+cpu None yes 1\n"
    versions = built.versions()
    assert {n: versions[n] for n in ("first", "third", "another")} == {
        "first": "1.0",
        "third": "1.0",
        "another": "2.0+cpu",
    }
    assert "second" not in versions
    assert built.size_bytes() > 1e6
    assert not (built.path / "tmp").exists()
    assert "step 2 of 2" in built.log.read_text()

    ran = []
    assert environments.ensure("small", ran.append) == built
    assert ran == []  # nothing to do
    assert "first==1.0" in environments.constraints("small")

    # Another pin is another environment; the old one is found and can be removed.
    wheel(tmp_path, "first", "1.1")
    (place / "small.txt").write_text("first==1.1\n")
    assert not environments.get("small").built
    [old] = environments.outdated()
    assert (old.path, old.name, old.size_bytes) == (built.path, "small", built.size_bytes())
    with subprocess.Popen([str(built.python), "-c", "import time; time.sleep(60)"]) as running:
        with pytest.raises(WorkbenchError, match=f"in use by process {running.pid}"):
            environments.remove(old.path)
        running.kill()
    environments.remove(old.path)
    assert left() == []
    with pytest.raises(MissingPart, match="there is no environment"):
        environments.remove("small")


def test_failures_say_why_and_leave_nothing(place, tmp_path, monkeypatch):
    write(place, ["absent==1.0"])
    with pytest.raises(MissingPart, match=r"pip finds no absent==1\.0 for this Python") as caught:
        environments.ensure("small")
    assert str(environments.get("small").log) in str(caught.value)
    assert left() == []

    broken = wheel(tmp_path, "broken", code="import nothing_of_that_name\n")
    write(place, [broken], more='imports = ["broken"]')
    with pytest.raises(MissingPart, match="No module named 'nothing_of_that_name'"):
        environments.ensure("small")
    assert left() == []

    (place / "pinned.txt").write_text("broken==1.0 --hash=sha256:" + "0" * 64 + "\n")
    (place / "small.toml").write_text(
        'purpose = "x"\n[[steps]]\nrequirements = "pinned.txt"\noptions = ["--no-deps", "--require-hashes"]\n'
    )
    with pytest.raises(MissingPart, match="not the one that was pinned"):
        environments.ensure("small")
    assert left() == []


def test_a_wrong_build_of_torch_is_refused(place, tmp_path):
    fake = wheel(
        tmp_path, "torch", "9.0", "__version__ = '9.0'\nclass version:\n    cuda = '13.0'\n"
    )  # a CUDA build where none is wanted
    write(place, [fake], more='torch = "cpu"\nimports = ["torch"]')
    with pytest.raises(MissingPart, match="CUDA build where a CPU build was wanted"):
        environments.ensure("small")
    # Where the version is pinned, pip stops before it downloads that build at all.
    (place / "small.constraints.txt").write_text("torch==9.0\n")
    write(place, ["torch"], more='torch = "cpu"\nimports = ["torch"]')
    if sys.platform == "linux":
        with pytest.raises(MissingPart, match=r"no CPU build of torch"):
            environments.ensure("small")
    assert left() == []


def test_full_disk_is_seen_before(place, monkeypatch):
    write(place, ["absent"], more='disk_gb = { "" = 1e9 }')
    with pytest.raises(MissingPart, match=r"needs 1000000000 GB in .* GB are free: make room, or set WORKBENCH"):
        environments.ensure("small")
    assert left() == []


def test_cancel_leaves_nothing(place, tmp_path):
    write(place, [slow_source(tmp_path, "slow", 600)])
    cancel = threading.Event()

    def watch(progress: Progress) -> None:
        if (tmp_path / "begun").exists():
            cancel.set()

    with pytest.raises(environments.BuildCancelled):
        environments.ensure("small", watch, cancel)
    assert left() == []
    assert build.users(environments.get("small").path) == []


def test_build_variables_reach_whatever_is_compiled_and_decide_what_it_is(place, tmp_path):
    write(place, [slow_source(tmp_path, "compiled", 0)])
    plain = environments.get("small").path
    backend = tmp_path / "compiled" / "backend.py"
    backend.write_text(
        "import os\n"
        + backend.read_text().replace(
            "    shutil", "    assert os.environ['CMAKE_ARGS'] == '-DX=ON -DY=OFF'\n    shutil"
        )
    )
    with pytest.raises(MissingPart):
        environments.ensure("small")
    write(place, [tmp_path / "compiled"], after='[build]\nCMAKE_ARGS = "-DX=ON -DY=OFF"\n')
    built = environments.ensure("small")
    assert built.path != plain  # another way to compile is another environment


def test_two_builders_at_once_build_once(place, tmp_path):
    write(place, [slow_source(tmp_path, "slow", 2)])
    builders = [
        subprocess.Popen([sys.executable, "-c", BUILDER, str(place)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told: list[Progress] = []
    environments.ensure("small", told.append)  # and a third, in this process
    outputs = [builder.communicate()[0].splitlines() for builder in builders]
    python = environments.get("small").python
    assert [output[-1] for output in outputs] == [f"done {python}"] * 2
    # Whoever waited saw what the builder did.
    assert any("slow" in word for output in [*outputs, [p.detail for p in told]] for word in output[:-1])
    assert environments.get("small").log.read_text().count("creating the environment") == 1
    assert all(len(output) > 2 for output in outputs)


def test_killed_builder_leaves_nothing_that_looks_built(place, tmp_path):
    write(place, [slow_source(tmp_path, "slow", 600)])
    builder = subprocess.Popen([sys.executable, "-c", BUILDER, str(place)], stdout=subprocess.DEVNULL)
    until(lambda: (tmp_path / "begun").exists())
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    assert not environments.get("small").built
    assert left() == [environments.get("small").path.name]  # rubbish, but nobody takes it for an environment
    (tmp_path / "hurry").touch()
    assert environments.ensure("small").built  # and the next build clears it, and is whole
    until(lambda: environments.outdated() == [])


def test_own_python_and_own_wheel(place, tmp_path, monkeypatch):
    write(place, ["absent==1.0"], more='wheel_variable = "WORKBENCH_SMALL_WHEEL"\nimports = ["mine"]')
    monkeypatch.setenv("WORKBENCH_SMALL_WHEEL", str(wheel(tmp_path, "mine")))
    built = environments.ensure("small")
    assert "WORKBENCH_SMALL_WHEEL names" in built.note
    assert built.versions()["mine"] == "1.0"
    assert "mine @ file:" in (built.path / build.FREEZE).read_text()

    monkeypatch.setenv("WORKBENCH_SMALL_PYTHON", sys.executable)
    own = environments.ensure("small")
    assert (own.own, own.python, own.built, own.size_bytes()) == (True, Path(sys.executable), True, 0)
    assert "pytest" in own.versions()
    monkeypatch.setenv("WORKBENCH_SMALL_PYTHON", str(tmp_path / "nowhere"))
    with pytest.raises(MissingPart, match="WORKBENCH_SMALL_PYTHON names"):
        environments.ensure("small")


def test_unknown_and_unsuited(place, monkeypatch):
    write(place, ["x"])
    with pytest.raises(UnknownName, match="unknown environment 'smal'; did you mean 'small'"):
        environments.get("smal")
    write(place, ["x"], more='platforms = ["plan9"]')
    assert environments.get("small").unsuited == "needs plan9"
    with pytest.raises(MissingPart, match="cannot be built here: it needs plan9"):
        environments.ensure("small")


def test_environ_keeps_another_pythons_settings_out(place, monkeypatch):
    write(place, ["x"], after='[variables]\nMINE = "recipe"\nOTHER = "recipe"\n')
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("OTHER", "user")
    environment = environments.get("small")
    environ = environment.environ({"ADDED": "1"})
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "MPLBACKEND"} & set(environ)
    assert (environ["MINE"], environ["OTHER"], environ["ADDED"]) == ("recipe", "user", "1")
    assert environ["PATH"].split(os.pathsep)[0] == str(environment.python.parent)


def test_what_pip_says_becomes_progress(tmp_path):
    log = tmp_path / "log"
    watch = pip_log.BuildWatch("x", log, tmp_path, expected=4)
    assert watch.read().detail == "starting"
    log.write_text(
        "[workbench] step 1 of 1\nCollecting torch==2.13.0 (from -r x.txt (line 1))\n"
        "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (190.1 MB)\n"
    )
    assert watch.read().detail == "downloading torch 2.13.0 (190.1 MB)"
    with log.open("a") as file:
        file.write("Processing /some/where/numpy-2.4.6-cp311-cp311-linux_x86_64.whl (from x)\nCollec")
    assert watch.read() == Progress(0.05 + 0.5 * 2 / 4, "building x", "finding numpy")
    with log.open("a") as file:
        file.write("ting a-b\nInstalling collected packages: a-b, numpy, torch\n")
    for name in ("numpy-2.4.6", "torch-2.13.0"):
        (tmp_path / "lib" / "python3.11" / "site-packages" / f"{name}.dist-info").mkdir(parents=True)
    assert watch.read() == Progress(0.6 + 0.3 * 2 / 4, "building x", "installing, 2 of 4 packages")


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        ),
        ("NewConnectionError('<...>: Failed to establish a new connection')", "cannot be reached"),
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", "no CPU build of torch"),
        (
            "CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage\nERROR: Failed building wheel for x",
            "a compiler for C and C++ is missing: apt install g++",
        ),
        ("Error: Command '[...]' returned 1; ensurepip is not available", "apt install python3-venv"),
        ("fine\nImportError: libcudart.so.13: cannot open\n", "ImportError: libcudart.so.13: cannot open"),
        ("", "it ended without a word"),
    ],
)
def test_why_a_build_failed(log, words):
    assert words in pip_log.reason(log)


def test_committed_recipes_are_whole():
    assert set(environments.names()) >= {"quantize", "vllm", "vllm-cpu", "llama-cpp", "ray"}
    for name in environments.names():
        read = recipe.read(name)
        assert read.purpose
        assert read.steps
        assert read.imports
        assert all("==" in line for line in read.constraints)
        assert set(read.disk_gb) == {"any": {"cpu", "cuda"}, "cpu": {"cpu"}, "cuda": {"cuda"}, "": {""}}[read.torch]
        assert name != "llama-cpp" or "-DGGML_NATIVE=OFF" in read.build["CMAKE_ARGS"]
        pinned = [line for step in read.steps for line in step.lines if "==" in line]
        assert pinned
        names = {line.partition("==")[0].lower() for line in read.constraints}
        assert not {n for n in names if n.startswith(("nvidia-", "triton"))}
    assert environments.for_serving().name in ("vllm", "vllm-cpu")
    note = environments.get("vllm-cpu").note
    assert "third party" in note or "WORKBENCH" in note


def normal(package: str) -> str:
    """A package's name as indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).casefold()


@pytest.mark.environment
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("quantize", "import torch, awq, llmcompressor, transformers; print(torch.__version__)"),
        ("vllm-cpu", "import torch; from importlib.metadata import version; print(version('vllm'))"),
        ("llama-cpp", "import llama_cpp, gguf; print(llama_cpp.__version__)"),
        ("ray", "import ray; print(ray.__version__)"),
    ],
)
def test_real_environments(name, code, tmp_path):
    environment = environments.ensure(name)
    with Supervised([str(environment.python), "-c", code], env=environment.environ(), log=tmp_path / "log") as process:
        assert process.wait(300) == 0
    words = (tmp_path / "log").read_text().split()
    told = {"quantize": "torch", "vllm-cpu": "vllm", "llama-cpp": "llama_cpp_python", "ray": "ray"}
    assert words[-1] == environment.versions()[told[name]]
    assert (1e8 if name in ("llama-cpp", "ray") else 1e9) < environment.size_bytes() < 20e9
    installed = {normal(package): version for package, version in environment.versions().items()}
    for pin in environment.requirements:
        package, _, version = pin.partition("==")
        if version and package not in recipe.read(name).remove:
            assert installed[normal(package.partition("[")[0])].partition("+")[0] == version


@pytest.mark.soak
@pytest.mark.environment
def test_cuda_environment_resolves(tmp_path):
    """It cannot run without a GPU, but pip must find every pinned package for it."""
    read = recipe.read("vllm")
    pins = tmp_path / "pins.txt"
    # On a machine whose pip would also find a CPU build: only the very version, without "+cpu".
    exact = ("torch=" + pin.removeprefix("torch") if pin.startswith("torch==") else pin for pin in read.constraints)
    pins.write_text("\n".join(exact))
    python = environments.ensure("quantize").python
    command = [str(python), "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-input"]
    report = ["--report", str(tmp_path / "report.json"), "--constraint", str(pins)]
    process = Supervised([*command, *report, *read.steps[0].arguments()], log=tmp_path / "log")
    assert process.wait(800) == 0, pip_log.reason((tmp_path / "log").read_text())
    found = json.loads((tmp_path / "report.json").read_text())["install"]
    versions = {item["metadata"]["name"]: item["metadata"]["version"] for item in found}
    assert "+cpu" not in versions["torch"]
    assert versions["vllm"] == read.steps[0].lines[0].partition("==")[2]
