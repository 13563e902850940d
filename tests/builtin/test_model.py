"""The built-in model, really trained (once a machine, then cached)."""

import json
from pathlib import Path

import pytest

import workbench as wb
from workbench import builtin, jobs
from workbench.errors import InvalidInput
from workbench.quantizers.source import read

pytestmark = [pytest.mark.environment, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def folder():
    return builtin.ensure()


@pytest.fixture(scope="module")
def made(folder):
    return json.loads((folder / "workbench.json").read_text())


def test_its_configuration_is_the_one_known_beforehand(folder):
    known = builtin.config()
    assert known.pop("model_id") == builtin.NAME
    assert known.pop("source")
    saved = json.loads((folder / "config.json").read_text())
    saved.pop("transformers_version")
    assert saved == known


def test_its_parameters_are_those_planned(folder, made):
    planned = wb.Model.from_config("builtin").parameters
    assert planned == made["result"]["parameters"] == read(folder).parameters
    assert wb.Model.from_config(folder).parameters == planned


def test_it_has_learnt_something(made):
    """Guessing evenly scores 10,240; guessing by frequency about 1,000."""
    result = made["result"]
    assert result["held_out"]["tokens"] > 20_000
    assert result["unigram_perplexity"] < 10_240 / 4
    assert result["held_out"]["perplexity"] < result["unigram_perplexity"] / 3


def test_the_folder_is_complete_and_readable_by_older_libraries(folder):
    names = {p.name for p in folder.iterdir()}
    assert {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "workbench.json",
    } <= names
    assert json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "<|assistant|>" in (folder / "chat_template.jinja").read_text()
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert len(tokenizer["model"]["vocab"]) == 10_240


def test_it_is_there_at_once_the_second_time(folder, monkeypatch):
    monkeypatch.setattr(jobs, "start", lambda *a, **k: pytest.fail("trained again"))
    assert builtin.ensure() == folder


def test_as_a_job_it_tells_the_same(folder, made):
    result = builtin.job().wait(600)
    assert result["folder"] == str(folder)
    assert result["held_out"] == made["result"]["held_out"]


def test_an_unknown_family_is_refused():
    with pytest.raises(InvalidInput, match="llama, qwen2"):
        builtin.folder("gpt5")


def test_the_same_seeds_give_the_same_weights():
    worker = Path(__file__).with_name("train_twice.py")
    request = {"config": builtin.config()}
    one, two = jobs.start("twice", worker, request, builtin.ENVIRONMENT, variables=builtin.SLEEP_WHILE_WAITING).wait(
        600
    )
    assert one == two


@pytest.mark.soak
def test_the_same_recipe_gives_the_same_files(folder, tmp_path):
    request = {"config": builtin.config(), "family": "llama", "steps": builtin.STEPS["llama"]}
    jobs.start("again", "workbench.builtin.train", request, builtin.ENVIRONMENT, tmp_path / "again").wait(1700)
    for file in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "again" / file).read_bytes() == (folder / file).read_bytes()
