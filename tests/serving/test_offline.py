"""Batch generation with ``LLM.generate``, as a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import InvalidInput
from workbench.jobs import JobFailed
from workbench.planner import Plan
from workbench.serving import offline


@pytest.mark.environment
def test_a_batch_is_answered_in_order(model: Path) -> None:
    prompts = ["def main(", "The list is", "import "]
    seen: list[float] = []
    sampling = {"max_tokens": 6, "temperature": 0, "ignore_eos": True}
    fields = {"max_model_len": 1000, "kv_cache_memory_bytes": 2**28 + 1, "enforce_eager": True}
    job = offline("builtin", prompts, sampling=sampling, **fields)
    job.observe(lambda job: seen.append(job.progress.fraction or 0.0))
    answers = job.wait(600)
    assert [answer["prompt"] for answer in answers] == prompts
    assert [answer["completion_tokens"] for answer in answers] == [6, 6, 6]
    assert all(answer["text"] and answer["prompt_tokens"] > 0 for answer in answers)
    assert {answer["finish_reason"] for answer in answers} == {"length"}
    assert "CPU KV cache size: 128,000 tokens" in job.log()  # 1024 blocks of 128; 8 a request
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.environment
def test_a_sampling_parameter_that_vllm_does_not_know(plan: Plan) -> None:
    job = offline(plan, "x", sampling={"temprature": 0})
    with pytest.raises(JobFailed, match="temprature"):
        job.wait(600)


def test_prompts_that_cannot_be_a_batch(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="at least one prompt"):
        offline("builtin", [])
    with pytest.raises(InvalidInput, match="all texts or all chats"):
        offline("builtin", ["x", [{"role": "user", "content": "x"}]])
    with pytest.raises(InvalidInput, match="there is no folder"):
        offline(tmp_path / "none", ["x"])
