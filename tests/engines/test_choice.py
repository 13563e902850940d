"""The choice of an engine: each wins where it is made for, each is ruled out where it cannot, always with a reason."""

from __future__ import annotations

import csv
import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.datafiles import data_path
from workbench.engines.asked import PLACES, PLATFORMS, EngineNeeds
from workbench.engines.choice import choose_engine
from workbench.engines.facts import FACTS, TITLES, engine_facts, fact, loads, runs_from
from workbench.engines.registry import REGISTRY, engine
from workbench.errors import InvalidInput, UnknownName
from workbench.formats import SCHEMES, obstacle, scheme

#: A need for which each engine is the first.
WINS = {
    "vllm": [
        {"on": "H100 SXM", "concurrency": 64},
        {"on": "Instinct MI300X"},
        {"lora": 8},
        {"on": "gaudi"},
        {"nodes": 2, "gpus": 16},
        {"on": "cpu", "concurrency": 32},
    ],
    "sglang": [
        {"on": "H100 SXM", "shared_prefixes": True},
        {"quantization": "q4_k_m", "concurrency": 32},
        {"on": "tpu"},
    ],
    "tensorrt-llm": [{"on": "B200 SXM", "tune": True}],
    "tgi": [{"already": "tgi", "new_models": False}],
    "llama.cpp": [
        {"on": "cpu", "concurrency": 1},
        {"quantization": "q4_k_m", "concurrency": 1},
        {"on": "phone", "place": "app", "concurrency": 1},
    ],
    "ollama": [
        {"on": "apple", "place": "desktop", "concurrency": 1},
        {"on": "RTX 4090", "place": "desktop", "concurrency": 1, "windows": True},
    ],
    "mlc": [{"on": "browser", "place": "app", "concurrency": 1}],
}
#: A need that rules each engine out, and a word of the reason.
RULED_OUT = {
    "vllm": [({"windows": True}, "WSL"), ({"on": "browser"}, "web page"), ({"on": "V100 SXM2 16GB"}, "7.5")],
    "sglang": [({"on": "gaudi"}, "Gaudi"), ({"on": "phone"}, "phone"), ({"quantization": "torchao_int4"}, "torchao")],
    "tensorrt-llm": [
        ({"on": "Instinct MI300X"}, "NVIDIA"),
        ({"on": "T4"}, "8.0"),
        ({"quantization": "q4_k_m"}, "GGUF"),
    ],
    "tgi": [({}, "December 2025"), ({"on": "apple", "new_models": False}, "Apple"), ({"nodes": 2}, "one machine")],
    "llama.cpp": [({"quantization": "awq"}, "AWQ"), ({"on": "tpu"}, "backend")],
    "ollama": [({"nodes": 2}, "one machine"), ({"quantization": "fp8"}, "FP8"), ({"place": "app"}, "beside the app")],
    "mlc": [({"on": "cpu"}, "GPUs only"), ({"quantization": "gptq"}, "GPTQ"), ({"nodes": 2}, "machines")],
}


@pytest.mark.parametrize(("wanted", "need"), [(name, need) for name, needs in WINS.items() for need in needs])
def test_each_engine_wins_where_it_is_made_for(wanted, need):
    first = choose_engine(**need)[0]
    assert first.engine == wanted
    assert first.suits


@pytest.mark.parametrize(
    ("name", "need", "word"), [(name, *case) for name, cases in RULED_OUT.items() for case in cases]
)
def test_each_engine_is_ruled_out_with_the_reason(name, need, word):
    verdict = next(one for one in choose_engine(**need) if one.engine == name)
    assert not verdict.suits
    assert any(word in reason.text for reason in verdict.out)


def test_every_engine_has_a_case_of_both():
    assert set(WINS) == set(RULED_OUT) == set(TITLES)


def test_an_engine_without_a_future_is_never_recommended_for_something_new():
    """C003-044: guides count TGI among the three usual engines."""
    for on, place in itertools.product(PLATFORMS, PLACES):
        found = {one.engine: one for one in choose_engine(on=on, place=place)}
        assert not found["tgi"].suits


def test_more_than_one_request_at_a_time_moves_a_cpu_from_llama_cpp_to_vllm():
    few, many = (choose_engine(on="cpu", concurrency=n)[0].engine for n in (1, 32))
    assert (few, many) == ("llama.cpp", "vllm")


needs = st.fixed_dictionaries(
    {
        "on": st.sampled_from(PLATFORMS),
        "place": st.sampled_from(PLACES),
        "concurrency": st.integers(1, 500),
        "gpus": st.integers(1, 16),
        "nodes": st.integers(1, 4),
        "quantization": st.sampled_from([None, "awq", "fp8", "q4_k_m", "nvfp4", "nf4"]),
        "lora": st.integers(0, 4),
        "structured": st.booleans(),
        "shared_prefixes": st.booleans(),
        "new_models": st.booleans(),
        "tune": st.booleans(),
        "windows": st.booleans(),
        "already": st.sampled_from([None, *TITLES]),
    }
)


@given(needs)
@settings(deadline=None, max_examples=150)
def test_every_engine_is_judged_once_with_sources_and_in_order(asked):
    found = choose_engine(**asked)
    assert sorted(one.engine for one in found) == sorted(TITLES)
    assert [one.suits for one in found] == sorted((one.suits for one in found), reverse=True)
    able = [one.score for one in found if one.suits]
    assert able == sorted(able, reverse=True)
    for one in found:
        for reason in (*one.out, *one.why, *one.against):
            assert reason.text
            assert reason.source
        assert all(reason.weight > 0 for reason in one.why)
        assert all(reason.weight < 0 for reason in one.against)


@given(needs, st.sampled_from(["structured", "windows", "new_models"]))
@settings(deadline=None, max_examples=80)
def test_asking_for_more_never_lets_an_engine_in(asked, name):
    without, wanted = (
        {one.engine for one in choose_engine(**{**asked, name: value}) if one.suits} for value in (False, True)
    )
    assert wanted <= without


@pytest.mark.parametrize(
    ("need", "kind", "words"),
    [
        ({"on": "abacus"}, UnknownName, "abacus"),
        ({"place": "cellar"}, UnknownName, "server, desktop, app"),
        ({"concurrency": 0}, InvalidInput, "at least 1"),
        ({"gpus": True}, InvalidInput, "whole number"),
        ({"lora": -1}, InvalidInput, "at least 0"),
        ({"quantization": "q4"}, UnknownName, "q4"),
        ({"already": "grandma"}, UnknownName, "vllm"),
        ({"speed": "all"}, UnknownName, "speed"),
    ],
)
def test_what_cannot_be_asked_is_refused(need, kind, words):
    with pytest.raises(kind, match=words):
        choose_engine(**need)


def test_a_verdict_goes_into_json():
    fields = choose_engine(on="cpu")[0].to_dict()
    assert fields["suits"] is True
    assert fields["score"] == sum(reason["weight"] for reason in (*fields["why"], *fields["against"]))


# ---------------------------------------------------------------------------------------------- the table


def rows():
    lines = data_path("engines", "choice.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def test_every_cell_has_a_public_source_and_a_level():
    for row in rows():
        assert row["source"].startswith(("https://", "github:", "arXiv:")), row
        if row["fact"] not in ("for", "licence", "state", "capability", "cards"):
            assert row["level"] in ("yes", "partly", "no"), row
            assert row["note"], row


def test_every_engine_has_every_fact_once():
    named = [(row["engine"], row["fact"]) for row in rows()]
    assert len(named) == len(set(named))
    assert {(name, about) for name in TITLES for about in FACTS} <= set(named)


def test_the_facts_as_a_table():
    table = engine_facts()
    assert list(table.index) == list(TITLES.values())
    assert table.loc["TGI", "state"].startswith("archived: in maintenance since 11 December 2025")
    assert table.loc["llama.cpp", "licence"] == "MIT"


@pytest.mark.parametrize("name", [name for name in TITLES if name in REGISTRY])
def test_formats_and_capability_are_those_the_planner_has(name):
    """One truth: what the planner refuses the choice refuses too."""
    for one in SCHEMES.values():
        known = loads(name, one)
        assert (known.level == "yes") == (obstacle(one, name) is None)
    lowest = getattr(engine(name).release(None), "capability", None)
    if lowest is not None:
        assert ".".join(map(str, runs_from(name))) == str(lowest)


def test_a_plugin_is_half_a_yes():
    assert (loads("vllm", scheme("q4_k_m")).level, loads("vllm", scheme("aqlm")).level) == ("partly", "no")
    assert fact("vllm", "apple").level == "partly"


def test_needs_are_the_fields_of_the_function():
    assert {field.name for field in dataclasses.fields(EngineNeeds)} >= {"on", "place", "concurrency", "already"}
    assert EngineNeeds(on="Gaudi 3 (HL-325L)").platform == "gaudi"
    assert EngineNeeds(on="L40S").platform == "nvidia"
