"""What is started for a plan, without starting it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import workbench as wb
from workbench import environments
from workbench.errors import InvalidInput
from workbench.serving.start import resolve

MODEL = "Qwen/Qwen3-8B"


@pytest.fixture(autouse=True)
def a_machine_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "for_serving", lambda: SimpleNamespace(name="vllm"))


@pytest.mark.parametrize(
    ("engine", "scheme", "words"),
    [("vllm", "fp8", ["--quantization", "fp8"]), ("transformers", "nf4", ["--quantization", "bnb-4bit"])],
)
def test_a_model_of_the_hub_is_quantised_while_it_loads_as_planned(engine: str, scheme: str, words: list[str]) -> None:
    plan = wb.plan(MODEL, "L40S", engine=engine, quantization=scheme, max_model_len=8192)
    command = list(resolve(plan, None, (), {})[1].command)
    assert command == plan.words
    assert command[command.index(words[0]) + 1] == words[1]
    plain = wb.plan(MODEL, "L40S", engine=engine, max_model_len=8192)
    assert "--quantization" not in resolve(plain, None, (), {})[1].command


def test_another_checkpoint_says_itself_what_it_is() -> None:
    plan = wb.plan(MODEL, "L40S", quantization="fp8", max_model_len=8192)
    assert "--quantization" not in resolve(plan, "somebody/Qwen3-8B-FP8", (), {})[1].command


def test_what_transformers_cannot_do_while_loading_is_refused() -> None:
    plan = wb.plan(MODEL, "L40S", engine="transformers", quantization="fp8", max_model_len=8192)
    with pytest.raises(InvalidInput, match="cannot turn floats into fp8"):
        resolve(plan, None, (), {})
