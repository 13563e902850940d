"""What runs next: the measurement decides whether, the corrected plan decides what, and no gap while it changes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

import workbench as wb
from workbench.adaptation import Observed, adapt, replace_server
from workbench.adaptation import replace as replacing
from workbench.errors import InvalidInput, UnknownName, WorkbenchError

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
LOAD = wb.Workload(1024, 256, 32)


def seen(plan: wb.Plan, tpot: float = 1.0, ttft: float = 1.0, **more: float) -> Observed:
    """Measured times as multiples of the planned ones."""
    speed = plan.performance(LOAD)
    times = {"ttft": speed.ttft.value * ttft, "tpot": speed.tpot.value * tpot}
    return Observed(LOAD, **times, ttft_at=times["ttft"], tpot_at=times["tpot"], **more)


@pytest.fixture(scope="module")
def plan():
    return wb.plan(MODEL, "L40S", max_model_len=8192, kv_cache_dtype="auto")


def test_what_holds_stays(plan):
    tpot = plan.performance(LOAD).tpot.value
    step = adapt(plan, seen(plan), wb.ServiceLevel(tpot=1.2 * tpot))
    assert step.change == {}
    assert step.holds
    assert step.plan is plan
    assert "nothing to change" in str(step)


def test_what_is_too_slow_gets_lighter_and_the_correction_counts(plan):
    tpot = plan.performance(LOAD).tpot.value
    slo = wb.ServiceLevel(tpot=0.8 * tpot)
    step = adapt(plan, seen(plan), slo)
    assert step.change["quantization"] == "fp8"
    assert step.holds
    assert step.plan.performance(LOAD).tpot.value <= 0.8 * tpot
    assert "Quantise it first" in step.expected[-1]


def test_slower_than_planned_takes_more_cards():
    plan = wb.plan(MODEL, "H100 SXM", max_model_len=8192, kv_cache_dtype="auto")
    slo = wb.ServiceLevel(tpot=0.9 * plan.performance(LOAD).tpot.value)
    assert adapt(plan, seen(plan), slo).plan.deployment.gpus == 1
    slow = adapt(plan, seen(plan, tpot=1.8), slo)
    assert slow.corrections["tpot"] == pytest.approx(1.8)
    assert not slow.holds
    wider = adapt(plan, seen(plan, tpot=1.8), slo, gpus=4)
    assert wider.holds
    assert wider.plan.deployment.tensor_parallel_size > 1
    assert 1.8 * wider.plan.performance(LOAD).tpot.value <= slo.tpot


def test_a_floor_forbids_and_only_checkpoints_there_are_count(plan):
    slo = wb.ServiceLevel(tpot=0.8 * plan.performance(LOAD).tpot.value)
    strict = adapt(plan, seen(plan), slo, floor="none")
    assert "quantization" not in strict.change
    assert "kv_cache_dtype" not in strict.change
    made = adapt(plan, seen(plan), slo, checkpoints={"awq": "/models/awq"})
    assert made.change["quantization"] == "awq"
    assert made.checkpoint == "/models/awq"
    with pytest.raises(UnknownName, match="quality floor"):
        adapt(plan, seen(plan), slo, floor="high")


def test_a_full_cache_gets_room(plan):
    load = replace(LOAD, isl=7000, osl=900, concurrency=40)
    speed = plan.performance(load)
    full = Observed(
        load,
        speed.ttft.value,
        speed.tpot.value,
        speed.ttft.value,
        speed.tpot.value,
        kv_cache_usage=0.99,
        preemptions=40,
    )
    step = adapt(plan, full, wb.ServiceLevel(tpot=10.0))
    assert step.change
    needed = min(step.plan.deployment.max_num_seqs or 40, 40) * 7900
    assert step.plan.memory.kv_cache_tokens.value * 0.9 >= needed
    assert any("40 requests were sent back" in words for words in step.seen)


def test_a_cache_that_is_fuller_than_planned_gets_more_of_it():
    """Lighter weights leave a cache of fixed size as it is; only what the cache holds helps, whatever the plan says."""
    plan = wb.plan(MODEL, "L40S", max_model_len=8192, kv_cache_dtype="auto", kv_cache_memory_bytes=8 * 2**30)
    step = adapt(plan, seen(plan, kv_cache_usage=0.97), wb.ServiceLevel(tpot=10.0))
    assert step.corrections["kv_cache"] > 1
    assert step.change == {"kv_cache_dtype": "fp8"}
    assert step.holds
    strict = adapt(plan, seen(plan, kv_cache_usage=0.97), wb.ServiceLevel(tpot=10.0), floor="none")
    assert not strict.holds


def test_what_is_lighter_than_needed_is_taken_back_only_with_room_to_spare():
    plan = wb.plan(MODEL, "L40S", quantization="awq", max_model_len=8192, kv_cache_dtype="auto")
    plain = wb.plan(MODEL, "L40S", max_model_len=8192).performance(LOAD).tpot.value
    assert adapt(plan, seen(plan), wb.ServiceLevel(tpot=2 * plain)).change == {"quantization": None}
    # … and there is none for 16 bit, but for FP8, which loses less than 4 bit.
    assert adapt(plan, seen(plan), wb.ServiceLevel(tpot=1.05 * plain)).change == {"quantization": "fp8"}


def test_what_is_recommended_is_kept_afterwards(plan):
    """No two deployments take turns."""
    for share in (0.3, 0.5, 0.7, 0.9, 1.1):
        slo = wb.ServiceLevel(tpot=share * plan.performance(LOAD).tpot.value)
        first = adapt(plan, seen(plan), slo, gpus=8)
        if first.holds:
            again = adapt(first.plan, seen(first.plan), slo, gpus=8)
            assert again.change == {}, (share, first.change, again.change)


def test_what_cannot_be_adapted_is_told(plan):
    with pytest.raises(InvalidInput, match="say what is asked"):
        adapt(plan, seen(plan), wb.ServiceLevel())
    other = wb.plan(MODEL, "L40S", engine="sglang")
    with pytest.raises(InvalidInput, match="adapting is for vLLM"):
        adapt(other, seen(plan), wb.ServiceLevel(tpot=1))


class Stage:
    """Servers that note what is done to them, in order."""

    def __init__(self, ready=True, answers=True):
        self.done = []
        self.old = SimpleNamespace(attached=False, url="http://old", stop=lambda: self.done.append("old stops"))
        self.new = SimpleNamespace(
            wait_ready=self._ready, smoke=self._smoke, stop=lambda: self.done.append("new stops")
        )
        self.ready, self.answers = ready, answers

    def serve(self, plan, checkpoint=None, **options):
        self.done.append(f"new starts {checkpoint}")
        return self.new

    def _ready(self, timeout):
        if not self.ready:
            raise WorkbenchError("out of memory")
        self.done.append("new is ready")

    def _smoke(self):
        self.done.append("new is asked")
        return SimpleNamespace(ok=self.answers)


@pytest.fixture
def step(plan):
    slo = wb.ServiceLevel(tpot=0.8 * plan.performance(LOAD).tpot.value)
    return adapt(plan, seen(plan), slo, checkpoints={"fp8": "/models/fp8"})


def test_the_new_one_answers_before_the_old_one_goes(step, monkeypatch):
    stage = Stage()
    monkeypatch.setattr(replacing, "serve", stage.serve)
    assert replace_server(stage.old, step) is stage.new
    assert stage.done == ["new starts /models/fp8", "new is ready", "new is asked", "old stops"]


@pytest.mark.parametrize("stage", [Stage(ready=False), Stage(answers=False)])
def test_the_old_one_stays_where_the_new_one_fails(stage, step, monkeypatch):
    monkeypatch.setattr(replacing, "serve", stage.serve)
    with pytest.raises(WorkbenchError):
        replace_server(stage.old, step)
    assert stage.done[-1] == "new stops"
    assert "old stops" not in stage.done


def test_what_is_not_ours_and_what_is_not_made_yet(step):
    with pytest.raises(InvalidInput, match="not ours to stop"):
        replace_server(SimpleNamespace(attached=True, url="http://x"), step)
    with pytest.raises(InvalidInput, match="quantise the model to fp8 first"):
        replace_server(SimpleNamespace(attached=False), replace(step, checkpoint=None))
    same = SimpleNamespace(attached=False)
    assert replace_server(same, replace(step, change={})) is same


@pytest.mark.soak
@pytest.mark.environment
@pytest.mark.timeout(1200)
def test_a_real_server_is_replaced():
    plan = wb.plan("builtin", "cpu", max_model_len=512, enforce_eager=True, max_num_seqs=8)
    with wb.serve(plan, wait=True) as old:
        step = adapt(plan, Observed(wb.Workload(64, 16, 4), kv_cache_usage=0.99), wb.ServiceLevel(tpot=60.0))
        assert step.change
        new = replace_server(old, step, timeout=600)
        with new:
            assert old.status == "stopped"
            assert new.generate("one two", max_tokens=4).text
