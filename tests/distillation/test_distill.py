"""Distilling for real: a teacher over HTTP, a student that is trained, and what is refused before either."""

import json
import threading

import pytest
from openai_server import OpenAIServer, says
from tiny_checkpoints import llama_config, llama_shapes, write, write_sparse

import workbench as wb
from workbench import builtin
from workbench.cli import main
from workbench.errors import InvalidInput, MissingPart, UnsupportedModel, WorkbenchError
from workbench.jobs import JobCancelled, JobFailed
from workbench.quantizers.source import read

ANSWERS = {"max_tokens": 64, "max_length": 128, "learning_rate": 5e-4}


def answer(prompt, _):
    """In a manner that the student has never seen."""
    words = prompt.removeprefix("What does ").removesuffix(" do?")
    return says(f"Dear reader: {words} is a part of Python, and its manual tells what it is for. Yours, the teacher.")


@pytest.fixture
def student(tmp_path):
    folder = write(tmp_path / "model", llama_config(), llama_shapes())
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    return folder


# ---------------------------------------------------------------------------------------------- refused at once


@pytest.mark.parametrize(
    ("options", "says_"),
    [
        ({"epochs": 0}, "epochs is 0; a whole number of at least 1"),
        ({"batch_size": True}, "batch_size is True"),
        ({"limit": 1}, "limit is 1; a whole number of at least 2"),
        ({"held_out": 1.0}, "held_out is 1.0; a number above 0 and below 1"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"timeout": "x"}, "timeout is 'x'; a number above 0 is needed"),
        ({"temperature": 3}, "temperature is 3; a number from 0 to 2"),
        ({"teacher": "nowhere"}, "write http://host:port"),
        ({"teacher": 3}, "give a teacher"),
        ({"teacher": "http://me:secret@host"}, "give it as api_key"),
        ({"api_key": "a b\n"}, "characters that no key has"),
        ({"prompts": ["one"]}, "at least two different prompts"),
        ({"prompts": "none.txt"}, "there is no file"),
        ({"answers": "out/answers.jsonl"}, "lies inside the result"),
        ({"student": "./nowhere"}, "there is no folder"),
        ({"student": "acme/no-such-model"}, "is not on this machine; allow it to be downloaded"),
        ({"out": "."}, "exists; choose another folder"),
        ({"out": "model/inside"}, "lies inside the student's own folder"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_starts(student, tmp_path, monkeypatch, options, says_):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    given = {"teacher": "http://127.0.0.1:9", "prompts": ["a", "b"], "student": student, "out": "out", **options}
    with pytest.raises(WorkbenchError, match=says_):
        wb.distill(given.pop("teacher"), **given)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_student_that_cannot_be_trained_is_refused(tmp_path, student):
    config = llama_config(quantization_config={"quant_method": "awq"})
    cases = [
        (write(tmp_path / "awq", config, llama_shapes()), UnsupportedModel, r"quantised \(awq\) and cannot be fine-tu"),
        (write(tmp_path / "base", llama_config(), llama_shapes()), InvalidInput, "has no chat template"),
        (write(tmp_path / "code", llama_config(auto_map={"A": "b.C"}), llama_shapes()), UnsupportedModel, "auto_map"),
    ]
    for folder, kind, says_ in cases:
        with pytest.raises(kind, match=says_):
            wb.distill("http://127.0.0.1:9", ["a", "b"], folder, tmp_path / "out")


def test_a_student_too_large_for_this_machine_is_refused(tmp_path):
    sizes = {"hidden": 16384, "intermediate": 65536, "layers": 40, "vocabulary": 1024}
    folder = write_sparse(tmp_path / "large", llama_config(**sizes), llama_shapes(**sizes))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    from workbench import machine

    if machine.describe(tmp_path).gpus:
        pytest.skip("this machine has a GPU, and memory is asked of the host alone where there is none")
    with pytest.raises(MissingPart, match=r"training large needs about .* of memory, .* are free"):
        wb.distill("http://127.0.0.1:9", ["a", "b"], folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "says_"),
    [
        (["nowhere"], "write http://host:port"),
        (["http://127.0.0.1:9", "--api-key-env", "NO_SUCH_KEY"], "the environment variable NO_SUCH_KEY is empty"),
        (["http://127.0.0.1:9", "--prompts", "none.txt"], "there is no file"),
        (["http://127.0.0.1:9", "--epochs", "0"], "epochs is 0"),
    ],
)
def test_bad_words_are_one_line_and_status_2(words, says_, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    assert main(["distill", *words]) == 2
    error = capsys.readouterr().err
    assert says_ in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------- for real


@pytest.mark.environment
@pytest.mark.timeout(1200)
def test_a_student_learns_from_answers_that_are_asked_once(tmp_path, capsys, monkeypatch):
    source, out = builtin.ensure(), tmp_path / "student"
    seen = []
    with OpenAIServer(answer) as server:
        job = wb.distill(server.url, None, "builtin", out, limit=24, epochs=1, api_key="secret", **ANSWERS)
        job.observe(lambda j: seen.append(j.progress))
        result = job.wait(600)
        assert len(server.asked) == 24
        assert (result["answered"], result["trained_on"], result["held_out"]) == (24, 22, 2)
        assert result["steps"] == 6
        assert result["loss_after"] < result["loss_before"] - 0.3
        assert {"asking the teacher", "training", "measuring the student"} <= {p.stage for p in seen}
        assert any(p.seconds_left is not None for p in seen if p.stage == "training")
        fractions = [p.fraction for p in seen if p.fraction is not None]
        assert fractions == sorted(fractions)

        made, before = read(out), read(source)
        assert {(t.name, t.dtype, t.shape) for t in made.tensors} == {
            (t.name, t.dtype, t.shape) for t in before.tensors
        }
        assert (out / "model.safetensors").read_bytes() != (source / "model.safetensors").read_bytes()
        for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
            assert (out / name).read_bytes() == (source / name).read_bytes()
        assert sorted(p.name for p in tmp_path.iterdir()) == ["student", "student-answers.jsonl"]
        provenance = json.loads((out / "workbench.json").read_text())
        assert provenance["request"]["teacher"] == server.url
        assert provenance["environment"]["versions"]["transformers"]
        written = [*out.iterdir(), *job.folder.iterdir(), tmp_path / "student-answers.jsonl"]
        assert not [p for p in written if b"secret" in p.read_bytes()]

        # Once more on the command line, from a folder that was distilled: nothing is asked again.
        monkeypatch.chdir(tmp_path)
        words = ["--student", "student", "--out", "twice", "--answers", "student-answers.jsonl", "--max-length", "128"]
        more = ["--limit", "24", "--max-tokens", "64", "--epochs", "1", "--learning-rate", "5e-4", "--json"]
        assert main(["distill", server.url, *words, *more]) == 0
        twice = json.loads(capsys.readouterr().out)
        assert len(server.asked) == 24
        assert twice["kept"] == 24
        assert twice["loss_before"] == pytest.approx(result["loss_after"])


@pytest.mark.environment
@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_cancelled_job_leaves_the_answers_and_nothing_else(tmp_path):
    builtin.ensure()
    training = threading.Event()
    with OpenAIServer(answer) as server:
        job = wb.distill(server.url, None, "builtin", tmp_path / "student", limit=24, epochs=1000, **ANSWERS)
        job.observe(lambda j: training.set() if j.progress.detail.startswith("step") else None)
        assert training.wait(600)
        job.cancel()
        with pytest.raises(JobCancelled):
            job.wait(60)
    assert [p.name for p in tmp_path.iterdir()] == ["student-answers.jsonl"]
    assert len((tmp_path / "student-answers.jsonl").read_text().splitlines()) == 24


@pytest.mark.environment
@pytest.mark.timeout(1200)
def test_a_teacher_that_fails_leaves_no_student(tmp_path):
    builtin.ensure()
    with OpenAIServer(lambda *_: says("")) as server:
        job = wb.distill(server.url, ["a", "b"], "builtin", tmp_path / "student")
        with pytest.raises(JobFailed, match="gave 0 usable answers to 2 prompts"):
            job.wait(600)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.environment
@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_the_built_in_model_served_by_vllm_teaches_another_family(tmp_path):
    student = builtin.ensure(family="qwen2")
    with wb.serve("builtin", enforce_eager=True, max_model_len=512, kv_cache_memory_bytes=2**28) as server:
        job = wb.distill(
            server, None, student, tmp_path / "out", limit=40, epochs=1, max_tokens=48, max_length=128,
            learning_rate=5e-4, temperature=0.7,
        )  # fmt: skip
        result = job.wait(2400)
    assert result["answered"] >= 36
    assert result["loss_after"] < result["loss_before"]
    with wb.serve(tmp_path / "out", enforce_eager=True, max_model_len=512, kv_cache_memory_bytes=2**28, wait=True) as s:
        assert s.generate([{"role": "user", "content": "What does textwrap.wrap do?"}], max_tokens=8).text
