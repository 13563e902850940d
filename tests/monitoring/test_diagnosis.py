"""What is said of numbers: each limit by a case of its own, and what must hold of all of them."""

from __future__ import annotations

import doctest
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.deployment import FIELDS, Deployment
from workbench.monitoring import Diagnosis, Evidence, diagnose, diagnosis, engine, rules
from workbench.monitoring.window import Known
from workbench.quantities import GIB

#: An 8B model on an L40S that answers all that comes.
WELL = Evidence(
    running_least=6, running_most=11, running=8, waiting_least=0, waiting_most=1, waiting=0.1, kv_usage=0.35,
    preemptions=0.0, prompt_tokens=900.0, cached_tokens=200.0, generation_tokens=400.0, step_tokens=30.0, ttft=0.2,
    queue=0.002, prefix_caching=True, max_num_seqs=256, on_cpu=False, card="L40S", utilization=0.85,
    card_free=3.4 * GIB, temperature=66.0, thermal=0.0, power_cap=0.0, power_brake=0.0, power=280.0, power_limit=350.0,
    power_default=350.0, ridge=419.0, cpu=0.1, processors=32, engine_cores=1.3, engine_busiest=0.98,
    memory_available=200 * GIB, memory_total=256 * GIB,
)  # fmt: skip


def kinds(found: Diagnosis) -> list[str]:
    return [finding.kind for finding in found.findings if finding.limits]


@pytest.mark.parametrize("module", [rules, diagnosis, engine])
def test_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


# ---- cases


def test_a_healthy_engine_is_called_so_although_its_card_is_93_percent_full() -> None:
    """A check for 85 % of memory in use warns on every vLLM: it takes 92 % when it starts."""
    found = diagnose(replace(WELL, card_free=0.07 * 48 * GIB))
    assert (found.verdict, found.findings) == ("healthy", ())


@pytest.mark.parametrize(
    ("kind", "about", "changes", "setting"),
    [
        ("preemption", "memory", {"preemptions": 0.4, "kv_usage": 0.99}, "--gpu-memory-utilization"),
        ("kv_cache", "memory", {"kv_usage": 0.97, "waiting_least": 4, "waiting_most": 9}, "--kv-cache-dtype fp8"),
        ("card_full", "memory", {"card_free": 0.1 * GIB}, "--gpu-memory-utilization"),
        ("memory", "memory", {"memory_available": 2 * GIB}, None),
        ("thermal", "throughput", {"thermal": 0.6, "temperature": 89.0}, "cooling"),
        ("power_brake", "throughput", {"power_brake": 0.5}, "power supply"),
        ("power", "throughput", {"power_cap": 0.9, "power_limit": 200.0}, "nvidia-smi -pl"),
        ("host", "throughput", {"utilization": 0.4}, "--api-server-count"),
        ("max_num_seqs", "throughput", {"running_least": 256, "running_most": 256, "waiting_least": 3},
         "--max-num-seqs"),
        ("max_num_seqs", "throughput", {"max_num_seqs": None, "running_least": 11, "waiting_least": 3},
         "--max-num-seqs"),
        ("prefix_cache", "throughput", {"prefix_caching": False, "cached_tokens": None}, "--enable-prefix-caching"),
        ("prefill", "throughput", {"utilization": 0.99, "step_tokens": 1900.0, "waiting_least": 2},
         "--max-num-batched-tokens"),
        ("compute", "throughput", {"utilization": 0.99, "step_tokens": 600.0, "prompt_tokens": 9.0, "waiting_least": 2},
         "an FP8 checkpoint"),
        ("bandwidth", "throughput", {"utilization": 0.99, "waiting_least": 2}, "--speculative-config"),
        ("processor", "throughput", {"on_cpu": True, "cpu": 0.99, "engine_cores": 31.0, "waiting_least": 2},
         "a GPU, or more cores"),
        ("other_programs", "throughput", {"on_cpu": True, "cpu": 0.99, "engine_cores": 2.0}, "other programs"),
        ("queue", "latency", {"queue": 1.4, "ttft": 1.6, "waiting_most": 5}, "--data-parallel-size"),
        ("waiting", "throughput", {"waiting_least": 2}, "--data-parallel-size"),
    ],
)  # fmt: skip
def test_each_limit_is_named_with_its_numbers_and_what_to_change(
    kind: str, about: str, changes: dict[str, object], setting: str | None
) -> None:
    found = diagnose(replace(WELL, **changes))  # type: ignore[arg-type]
    assert found.verdict == "limited"
    assert kinds(found) == [kind]
    finding = found.findings[0]
    assert (finding.about, found.text) == (about, finding.text)
    assert finding.evidence
    assert setting is None or setting in [change.setting for change in finding.changes]
    assert finding.text in str(found)
    assert all(value in str(found) for _, value in finding.evidence)


def test_a_full_card_is_no_reason_to_shrink_the_cache() -> None:
    """Lowering gpu_memory_utilization when memory is short takes from the cache; it is right only outside of it."""
    short = diagnose(replace(WELL, preemptions=1.0, card_free=3 * GIB)).findings[0]
    (advice,) = (change for change in short.changes if change.setting == "--gpu-memory-utilization")
    assert advice.text.startswith("higher: 3.00 GiB")
    full = diagnose(replace(WELL, preemptions=1.0, card_free=0.9 * GIB)).findings[0]
    assert "--gpu-memory-utilization" not in [change.setting for change in full.changes]
    outside = diagnose(replace(WELL, card_free=0.1 * GIB)).findings[0]
    assert outside.changes[0].text.startswith("a little lower")


def test_a_long_wait_is_not_answered_with_a_smaller_batch() -> None:
    found = diagnose(replace(WELL, queue=3.0, ttft=3.2, waiting_most=5)).findings[0]
    (advice,) = (change for change in found.changes if change.setting == "--max-num-seqs")
    assert advice.text.startswith("not lower")


def test_what_a_busy_card_does_is_said_without_calling_it_a_limit() -> None:
    found = diagnose(replace(WELL, utilization=0.99))
    assert found.verdict == "healthy"
    assert [(f.kind, f.limits, f.about) for f in found.findings] == [("bandwidth", False, "latency")]
    capped = diagnose(replace(WELL, power_cap=1.0))
    assert capped.verdict == "healthy"
    assert [f.kind for f in capped.findings] == ["power"]


def test_a_spinning_process_with_a_busy_card_is_no_limit() -> None:
    assert diagnose(replace(WELL, engine_busiest=1.0, utilization=0.97, step_tokens=None)).findings == ()


def test_idle_and_not_known() -> None:
    nothing = dict.fromkeys(("running_least", "running_most", "running", "waiting_least", "waiting_most"), 0.0)
    assert diagnose(replace(WELL, **nothing, utilization=0.0, prefix_caching=False)).verdict == "idle"  # type: ignore[arg-type]
    found = diagnose(Evidence(), "nobody answers")
    assert (found.verdict, found.text) == ("not known", "nobody answers")
    # The machine may be in trouble although the engine tells nothing.
    assert diagnose(Evidence(thermal=1.0, temperature=92.0)).verdict == "limited"


def test_flags_are_those_of_today() -> None:
    """Every flag that is recommended is a field of a Deployment, whose names vLLM's own parser checks."""
    more = {"--api-server-count"}
    found = [
        change.setting.split()[0]
        for evidence in (
            replace(WELL, preemptions=1.0), replace(WELL, kv_usage=1.0, waiting_least=5),
            replace(WELL, utilization=0.1), replace(WELL, waiting_least=2, utilization=1.0),
            replace(WELL, step_tokens=900, utilization=1.0),
            replace(WELL, prefix_caching=False, cached_tokens=0.0), replace(WELL, on_cpu=True, preemptions=1.0),
            replace(WELL, running_least=256, waiting_least=1), replace(WELL, queue=1.0, ttft=1.0, waiting_most=2),
        )
        for finding in diagnose(evidence).findings
        for change in finding.changes
    ]  # fmt: skip
    flags = {word for word in found if word.startswith("--")}
    assert len(flags) >= 8
    assert {flag.removeprefix("--").replace("-", "_") for flag in flags - more} <= set(FIELDS)


def test_what_a_deployment_says_of_its_batch() -> None:
    assert Known.of(Deployment(gpu="L40S", max_num_seqs=40, data_parallel_size=2)) == Known(80, False)
    assert Known.of(Deployment(gpu="cpu")) == Known(128, True)
    assert Known.of(Deployment(gpu="H100 SXM")).max_num_seqs == 1024
    assert Known.of(Deployment(gpu="cpu", engine="llama.cpp")) == Known(None, True)
    assert Known.of(Deployment(gpu="a card of my own")) == Known(None, False)


# ---- properties

SHARES = {"kv_usage", "utilization", "thermal", "power_cap", "power_brake", "cpu"}


def number(name: str) -> st.SearchStrategy[float | None]:
    most = 1.0 if name in SHARES else 1e12
    return st.none() | st.floats(0, most, allow_nan=False)


@st.composite
def any_evidence(draw: st.DrawFn) -> Evidence:
    values: dict[str, object] = {}
    for field in fields(Evidence):
        if field.name in ("prefix_caching", "on_cpu"):
            values[field.name] = draw(st.none() | st.booleans())
        elif field.name in ("max_num_seqs", "processors"):
            values[field.name] = draw(st.none() | st.integers(1, 4096))
        elif field.name != "card":
            values[field.name] = draw(number(field.name))
    for what in ("running", "waiting"):
        names = (f"{what}_least", what, f"{what}_most")
        counts = draw(st.none() | st.lists(st.integers(0, 5000), min_size=3, max_size=3).map(sorted))
        values |= dict(zip(names, counts or [None, None, None], strict=True))
    return Evidence(**values)  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(any_evidence())
def test_whatever_the_numbers_a_verdict_follows_from_its_findings(seen: Evidence) -> None:
    found = diagnose(seen)
    limits = kinds(found)
    assert (found.verdict == "limited") == bool(limits)
    assert len({f.kind for f in found.findings}) == len(found.findings)
    order = [finding.limits for finding in found.findings]
    assert order == sorted(order, reverse=True), "what limits stands first"
    if found.verdict in ("healthy", "idle"):
        assert seen.running_most is not None
        assert not seen.waiting_least
        assert not seen.preemptions
    if found.verdict == "idle":
        assert seen.running_most == 0
    for finding in found.findings:
        assert finding.text.endswith(".")
        assert finding.evidence
        assert all("None" not in value and "nan" not in value for _, value in finding.evidence)
    assert "None" not in str(found)


@settings(max_examples=80, deadline=None)
@given(any_evidence())
def test_without_numbers_of_requests_nothing_is_said_of_requests(seen: Evidence) -> None:
    blind = replace(
        seen, running_least=None, running=None, running_most=None, waiting_least=None, waiting=None, waiting_most=None,
        kv_usage=None, preemptions=None, queue=None, step_tokens=None, prompt_tokens=None,
    )  # fmt: skip
    found = diagnose(blind)
    assert found.verdict in ("limited", "not known")
    assert set(kinds(found)) <= {"card_full", "memory", "thermal", "power", "power_brake"}


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100), st.integers(0, 100))
def test_a_fuller_cache_or_a_longer_queue_never_clears_a_full_cache(a: float, b: float, w: int, v: int) -> None:
    if rules.cache_holds_back(min(a, b), min(w, v)):
        assert rules.cache_holds_back(max(a, b), max(w, v))


@given(st.floats(1e12, 5e15), st.floats(1e11, 1e13), st.floats(0.3, 4))
def test_the_ridge_is_where_reading_and_computing_take_as_long(flops: float, bandwidth: float, width: float) -> None:
    tokens, weights = rules.ridge_tokens(flops, bandwidth, width), 8e9
    assert math.isclose(2 * weights * tokens / flops, weights * width / bandwidth, rel_tol=1e-9)
