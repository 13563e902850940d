"""How the house is built: who may import whom, what the wheel carries, what is committed."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import workbench as wb

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "workbench"

#: From the ground up: a room imports only rooms above it in this list. A module that stands on another floor than
#: the rest of its room has a line of its own.
CORE = [
    "errors",
    "datafiles",
    "quantities",
    "hardware",
    "cpu",
    "kv_formats",
    "architecture",
    "formats",
    "architecture.catalog",  # its table of models shows each checkpoint's scheme
    "deployment",
    "engines",
    "headers",
    "division",
    "choices",
    "memory",
    "performance",
    "simulation",
    "cost",
    "planner",
    "evidence",
    "translation",
]
ABOVE_THE_CORE = [
    "calibration",
    "processor",
    "machine",
    "progress",
    "worker",
    "hub",
    "keeper",
    "processes",
    "engines.vllm.metrics",  # reads Prometheus text with Prometheus's own parser
    "environments",
    "engines.vllm.collecting",  # asks a release of vLLM in an environment
    "jobs",
    "cluster",
    "quality",
    "theory",
    "builtin",
    "quantizers",
    "serving",
    "monitoring",
    "distillation",
    "benchmark",
    "trials",
    "benchmark.experiment",  # makes what it serves by the words of the methods that are tried
    "comparison",
    "checklist",
    "adaptation",
    "exports",
    "demo",
    "audit",
    "ui",
    "cli",
]
FLOORS = [*CORE, *ABOVE_THE_CORE]
#: Imported by nobody.
ROOFS = {"ui", "cli"}
#: What the planning core never touches, not even inside a function.
NOT_IN_CORE = {
    "torch", "transformers", "tokenizers", "vllm", "safetensors", "huggingface_hub",
    "ipywidgets", "anywidget", "plotly", "IPython", "voila", "notebook", "jupyter_client",
    "socket", "ssl", "http", "httpx", "requests", "aiohttp", "subprocess", "psutil", "pynvml",
}  # fmt: skip


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent != PACKAGE or not path.stem.startswith("__")]


def name_of(path: Path) -> str:
    """``workbench/memory/vllm.py`` -> ``memory.vllm``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Full names a file imports, their lines, and whether at its top level; annotations' imports do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno, id(node) in top


@cache
def floor(module: str) -> int | None:
    """Position of a module in FLOORS, by its longest prefix there."""
    parts = module.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((FLOORS.index(prefix) for prefix in prefixes if prefix in FLOORS), None)


def core_modules() -> list[Path]:
    return [path for path in modules() if (level := floor(name_of(path))) is not None and level < len(CORE)]


# ---------------------------------------------------------------------------------------------- floors


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    here = name_of(path)
    own = floor(here)
    assert own is not None, f"workbench.{here} has no floor yet: add its room to FLOORS"
    for imported, line, _ in imports(path):
        if not imported.startswith("workbench."):
            continue
        target = imported.removeprefix("workbench.")
        room = target.split(".")[0]
        if room == "__version__" or room == here.split(".")[0]:
            continue
        assert room not in ROOFS, f"{path.name}:{line}: nobody imports {room}"
        level = floor(target)
        assert level is not None, f"workbench.{target} has no floor yet: add its room to FLOORS"
        assert level < own, f"{path.name}:{line}: {here} must not import {target}"


@pytest.mark.parametrize("path", [path for path in modules() if floor(name_of(path)) < len(CORE)], ids=name_of)
def test_the_planning_core_is_free_of_engines_pages_and_network(path: Path) -> None:
    for imported, line, at_top in imports(path):
        root = imported.split(".")[0]
        assert root not in NOT_IN_CORE, f"{path.name}:{line} imports {root}"
        assert not imported.startswith("urllib.request"), f"{path.name}:{line} opens a network connection"
        assert root != "pandas" or not at_top, f"{path.name}:{line}: pandas is imported late"
        assert root in {"numpy", "pandas", "platformdirs", "workbench", "yaml"} or root in sys.stdlib_module_names, (
            f"{path.name}:{line}: the core uses the standard library, NumPy and pandas, not {root}"
        )


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_importing_the_workbench_is_light() -> None:
    heavy = loaded_by("import workbench") & {
        *(
            "torch",
            "transformers",
            "plotly",
            "ipywidgets",
            "anywidget",
            "pandas",
            "numpy",
            "httpx",
            "IPython",
            "voila",
        )
    }
    assert not heavy


def test_a_plan_loads_neither_pages_nor_engines() -> None:
    loaded = loaded_by("import workbench as wb; wb.plan('meta-llama/Llama-3.1-8B-Instruct', gpu='L40S')")
    assert "workbench" in loaded
    assert not loaded & (NOT_IN_CORE - {"socket", "ssl", "http", "subprocess", "pandas"})


@pytest.mark.parametrize("name", wb.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(wb, name)
    assert value.__doc__, f"workbench.{name} has no docstring"


@pytest.mark.parametrize("path", core_modules(), ids=name_of)
def test_examples_in_docstrings_hold(path: Path) -> None:
    module = importlib.import_module(f"workbench.{name_of(path)}")
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=flags).failed == 0


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_every_file_says_its_subject(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{path} has no module docstring"


# ---------------------------------------------------------------------------------------------- what is shipped


def test_the_wheel_carries_data_notebooks_and_pages(tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            str(tmp_path),
            str(ROOT),
        ],
        check=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("llm_workbench-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("data", "notebooks"):
        expected = {path for path in committed() if path.parts[0] == folder}
        assert expected
        missing = {path.as_posix() for path in expected if f"workbench/{path.as_posix()}" not in names}
        assert not missing
    shipped = {path.as_posix() for path in committed() if path.parts[0] == "workbench"}
    assert shipped <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "binder/")) or "__pycache__" in name]


@cache
def committed() -> tuple[Path, ...]:
    """Files that are committed, relative to the top."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    found = (Path(name) for name in listed.decode().split("\0") if name)
    return tuple(path for path in found if (ROOT / path).is_file())


def texts() -> Iterator[tuple[Path, str]]:
    for path in committed():
        try:
            yield path, (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            assert path.suffix in {".png", ".ico", ".woff2"}, f"{path} is neither text nor a picture"


def test_nothing_committed_names_a_path_of_somebodys_machine() -> None:
    folders = "|".join(("work", "root", "Users", r"home/(?!user\b|jovyan\b|you\b)\w+"))
    pattern = re.compile(rf"(?<![\w./~}}])/(?:{folders})/\w")
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found


def test_nothing_committed_is_large() -> None:
    limit = {".png": 600_000, ".csv": 400_000, ".ipynb": 150_000}
    for path in committed():
        size = (ROOT / path).stat().st_size
        assert size <= limit.get(path.suffix, 200_000), f"{path} has {size} bytes"


def test_notebooks_are_committed_without_leftovers() -> None:
    books = [path for path in committed() if path.suffix == ".ipynb"]
    assert books
    for path in books:
        book = json.loads((ROOT / path).read_text(encoding="utf-8"))
        assert "widgets" not in book["metadata"], f"{path} holds widget state"
        for cell in book["cells"]:
            for output in cell.get("outputs", []):
                assert output["output_type"] != "error", f"{path} holds a traceback"
                for kind in output.get("data", {}):
                    assert kind in {"text/plain", "text/markdown", "text/html"}, f"{path} holds a {kind} output"


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text) == 11358


# ---------------------------------------------------------------------------------------------- documents


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*)\s*:(?!=)", makefile, re.MULTILINE))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "binder/README.md", ".ci/run"])
def test_documents_name_make_targets_that_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"^\s*make ([a-z][\w-]*)|`make ([a-z][\w-]*)", text, re.MULTILINE))
    assert {one or other for one, other in named} <= make_targets()


def test_the_makefile_has_what_people_expect() -> None:
    assert {"help", "setup", "lab", "app", "demo", "test", "soak", "lint", "bench"} <= make_targets()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "binder/README.md"])
def test_documents_link_to_files_that_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
        assert (ROOT / name).parent.joinpath(link).exists(), f"{name} links to {link}"
    for path in re.findall(r"`((?:workbench|data|tests|notebooks|binder)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), f"{name} names {path}"


def test_the_architecture_page_names_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {name_of(path).split(".")[0] for path in modules()}
    missing = {room for room in rooms if not re.search(rf"\b{room}\b", text)}
    assert not missing
