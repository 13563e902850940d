"""Calibration data that need the environment's libraries: data sets, and conversations by a chat template."""

import re

import pytest

from workbench import jobs
from workbench.quality import tokens

pytestmark = [pytest.mark.environment, pytest.mark.timeout(900)]

#: Makes data sets and tokenizers, and tells of each attempt what was read or why not.
WORKER = r"""
from pathlib import Path
from workbench.errors import WorkbenchError
from workbench.quality.tokens import tokenizer
from workbench.quantizers import calibration
from workbench.quantizers.calibration import Conversation

BEGIN = "<s>"
TEMPLATES = {
    "plain": "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}",
    "strict": "{% for m in messages %}{% if m.role not in ('user', 'assistant') %}"
              "{{ raise_exception('only user and assistant') }}{% endif %}{{ m.content }}{% endfor %}",
    "deaf": "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
    "none": None,
}

def attempt(action):
    try:
        return action()
    except WorkbenchError as error:
        return f"{type(error).__name__}: {error}"

def models(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [BEGIN, "<unk>", "[", "]", "user", "assistant", "system", "hello", "there", "?"]
    made = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    for name, template in TEMPLATES.items():
        wrapped = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=BEGIN, unk_token="<unk>")
        wrapped.chat_template = template
        wrapped.save_pretrained(folder / name)

def talk(*turns):
    return Conversation(tuple({"role": r, "content": c} for r, c in turns), "a.jsonl line 7")

def work(request, worker):
    import datasets

    here = Path(request["folder"])
    models(here)
    table = datasets.Dataset.from_dict({
        "text": ["one", " ", "two"], "prompt": ["p1", "p2", "p3"], "number": [1, 2, 3],
        "messages": [[{"role": "user", "content": f"m{n}", "name": None}] for n in range(3)],
    })
    saved, split, rows = here / "saved", here / "split", here / "rows"
    table.save_to_disk(saved)
    datasets.DatasetDict({"a": table.select_columns("text"), "b": table.select_columns("number")}).save_to_disk(split)
    rows.mkdir()
    table.select_columns("text").to_json(rows / "data.jsonl")
    (here / "nothing").mkdir()
    read = {}
    for word in [str(saved), f"{saved}#prompt", f"{saved}#number", f"{saved}#none", f"{saved}:test", f"{split}:a",
                 str(split), f"{split}:b", str(rows), str(here / "nothing"), "owner/name"]:
        found = attempt(lambda: calibration.load(word, download=False, rows=3))
        read[word.removeprefix(str(here) + "/")] = found if isinstance(found, str) else [
            f if isinstance(f, str) else [dict(m) for m in f.messages] for f in found]
    first = calibration.load(str(rows), download=False, rows=1)
    reached = attempt(lambda: calibration.load("owner/name", download=True, rows=3))

    def ids(model, sample, chat=False):
        encode, decode = tokenizer(here / model)
        made = attempt(lambda: calibration.encoder(here / model, encode, chat=chat)(sample))
        return made if isinstance(made, str) else decode(made)

    return {"read": read, "first": first, "reached": reached, "said": {
        "text": ids("plain", "hello there"),
        "text as a turn": ids("plain", "hello there", chat=True),
        "conversation": ids("plain", talk(("user", " hello "), ("assistant", "there"))),
        "a system turn, plain": ids("plain", talk(("system", "hello"))),
        "a system turn, strict": ids("strict", talk(("system", "hello"), ("user", "there"))),
        "a system turn, deaf": ids("deaf", talk(("system", "hello"), ("user", "there"))),
        "a role of its own": ids("plain", talk(("gnome", "hello"))),
        "no template": ids("none", talk(("user", "hello"))),
        "text, no template": ids("none", "hello there"),
        "text as a turn, no template": ids("none", "hello there", chat=True),
    }}
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    worker = folder / "attempts.py"
    worker.write_text(WORKER)
    made = folder / "made"
    made.mkdir()
    job = jobs.start("read", worker, {"folder": str(made)}, "quantize", variables={"HF_HUB_OFFLINE": "1"})
    return job.wait(600) | {"folder": made}


def test_data_sets_in_folders(found):
    read = found["read"]
    assert read["saved"] == [[{"role": "user", "content": f"m{n}"}] for n in range(3)]
    assert read["saved#prompt"] == ["p1", "p2", "p3"]
    assert read["split:a"] == read["rows"] == ["one", "two"]
    assert found["first"] == ["one"]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("saved#number", "InvalidInput: .* row 1: 'number' is neither a text nor a list of messages"),
        ("saved#none", "InvalidInput: .* has no column 'none'; it has text, prompt, number, messages: add #column"),
        ("saved:test", "InvalidInput: .* has no split 'test'; it has train"),
        ("split", "InvalidInput: .* has no split train; it has a, b"),
        ("split:b", "InvalidInput: .* has no column messages or text; it has number"),
        ("nothing", "InvalidInput: .*nothing is no folder of a data set"),
        ("owner/name", r"MissingPart: the data set owner/name is not on this machine; allow .* \(download=True"),
    ],
)
def test_what_a_data_set_lacks_is_said(found, word, says):
    assert re.match(says, found["read"][word]), found["read"][word]


def test_a_hub_that_cannot_be_reached_is_said(found):
    assert found["reached"].startswith("MissingPart: the data set owner/name is not on this machine; is it spelt right")


def test_texts_and_conversations_as_the_model_reads_them(found):
    said = found["said"]
    assert said["text"] == "<s> hello there"
    assert said["text as a turn"] == "<s> [ user ] hello there"
    assert said["conversation"] == "<s> [ user ] hello [ assistant ] there"
    assert said["a system turn, plain"] == "<s> [ system ] hello"
    assert said["text, no template"] == "<s> hello there"


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("a system turn, strict", "a.jsonl line 7: the chat template refuses it: only user and assistant"),
        ("a system turn, deaf", "a.jsonl line 7: the chat template leaves out what 'system' says"),
        ("a role of its own", "a.jsonl line 7: the chat template knows no role 'gnome'"),
        ("no template", "none has no chat template"),
        ("text as a turn, no template", "none has no chat template"),
    ],
)
def test_what_a_template_does_not_know_is_said(found, case, says):
    assert says in found["said"][case]


def test_a_template_is_found_without_any_library(found):
    assert tokens.has_chat_template(found["folder"] / "plain")
    assert not tokens.has_chat_template(found["folder"] / "none")
    assert not tokens.has_chat_template(found["folder"] / "saved")
