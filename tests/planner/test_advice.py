"""Advice: the plans meet what they claim, costs add up, asking for more never costs less, bad input is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.cost import HOURS_PER_MONTH, price
from workbench.errors import InvalidInput, UnknownName
from workbench.planner.advice import Advice, advise
from workbench.planner.changes import changes, rules
from workbench.planner.lineup import cards, lineup
from workbench.planner.needs import FLOORS, FORMATS, Need, passes

BIG = "meta-llama/Llama-3.1-70B-Instruct"
SMALL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(scope="module")
def example() -> Advice:
    """500 users of a 70B assistant, TTFT 1 s, 30 tokens/s, at most 20,000 USD a month."""
    return advise(BIG, users=500, ttft=1.0, tpot=1 / 30, usd_per_month=20_000.0)


def test_the_example_has_three_plans_that_meet_everything(example: Advice):
    assert example.verdict == "yes"
    assert len(example.plans) == 3
    assert "Cheapest" in example.plans[0].titles
    for plan in example.plans:
        assert plan.meets
        assert plan.within_budget


def test_what_a_plan_claims_is_what_a_plan_of_its_own_says(example: Advice):
    for chosen in example.plans:
        fields = {name: value for name, value in chosen.offer.deployment.to_dict().items() if name != "gpu"}
        again = wb.plan(BIG, chosen.offer.card, workload=chosen.plan.workload, **fields)
        assert again.fits
        speed = again.performance()
        assert speed.ttft_p95.value == pytest.approx(chosen.at_percentile("ttft").value, rel=1e-6)
        assert speed.tpot_p95.value == pytest.approx(chosen.at_percentile("tpot").value, rel=1e-6)
        assert speed.ttft_p95.value <= 1.0
        assert speed.tpot_p95.value <= 1 / 30
        assert again.command == chosen.plan.command


def test_the_replicas_carry_everybody_and_the_cost_adds_up(example: Advice):
    for chosen in example.plans:
        assert chosen.replicas * chosen.plan.workload.concurrency >= example.need.concurrency
        assert chosen.gpus == (chosen.replicas + chosen.spare) * chosen.offer.deployment.gpus
        hourly = price(chosen.offer.card).value
        assert chosen.usd_per_month.value == pytest.approx(chosen.gpus * hourly * HOURS_PER_MONTH)
        assert chosen.room >= example.need.users


def test_the_cheapest_is_the_cheapest_and_the_safest_is_no_less_likely(example: Advice):
    table = example.table
    assert example.plans[0].usd_per_month.value == pytest.approx(table.cost[table.meets].min())
    chances = {title: plan.probability for plan in example.plans for title in plan.titles}
    safest = next(chance for title, chance in chances.items() if title.startswith("Safest"))
    assert safest >= chances["Cheapest"]


def test_every_figure_has_a_basis_an_interval_and_a_sentence(example: Advice):
    for plan in example.plans:
        names = [figure.name for figure in plan.figures]
        assert len(names) == len(set(names))
        assert {"USD per month", "Time to first token", "Time per further token"} <= set(names)
        for figure in plan.figures:
            assert figure.estimate.low <= figure.estimate.value <= figure.estimate.high
            assert figure.words.endswith(".")


def test_every_card_that_was_tried_is_taken_or_rejected_with_a_reason(example: Advice):
    assert {family.name for family in example.rejected} == set(cards())
    taken = {family.name for family in example.rejected if family.kind == "taken"}
    assert taken == {plan.offer.card.name for plan in example.plans}
    assert all(family.text.endswith(".") for family in example.rejected)


def test_an_advice_is_json(example: Advice):
    read = json.loads(json.dumps(example.to_dict(), allow_nan=False))
    assert [plan["name"] for plan in read["plans"]] == [plan.name for plan in example.plans]
    assert all(plan["reasons"] and plan["command"].startswith("vllm serve") for plan in read["plans"])


def test_too_small_a_budget_is_said_with_the_nearest_there_is():
    found = advise(BIG, users=500, usd_per_month=5_000.0)
    assert found.verdict == "over budget"
    assert found.plans[0].meets
    assert not found.plans[0].within_budget
    assert all(plan.within_budget for plan in found.plans[1:])
    fewer = [plan for plan in found.plans if plan.need.users != 500]
    assert all(plan.meets and 0 < plan.need.users < 500 for plan in fewer)


def test_a_service_level_nobody_meets_is_said_so():
    found = advise(SMALL, gpu="L4", tpot=0.0001)
    assert found.verdict == "missed"
    assert found.plans
    assert not any(plan.meets for plan in found.plans)
    assert found.rejected[0].kind == "missed"


def test_a_model_that_no_machine_holds_is_said_so():
    found = advise("meta-llama/Llama-3.1-405B-Instruct", gpu="L4", floor="none")
    assert found.verdict == "none"
    assert found.plans == ()
    assert found.rejected[0].kind == "does not start"
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_a_spare_is_one_replica_more():
    plain, spared = (advise(SMALL, users=300, gpu="L40S", usd_per_month=None, spare=spare) for spare in (False, True))
    assert spared.plans[0].spare == 1
    assert spared.plans[0].usd_per_month.value > plain.plans[0].usd_per_month.value


def test_whole_machines_are_paid_whole():
    found = advise(SMALL, users=300, gpu="H100 SXM", usd_per_month=None, whole_nodes=True)
    assert all(plan.gpus % plan.offer.card.gpus_per_node == 0 for plan in found.plans)


def test_a_rate_is_shared_out():
    found = advise(SMALL, users=None, requests_per_s=20.0, gpu="L40S", usd_per_month=None)
    first = found.plans[0]
    assert first.plan.workload.request_rate * first.replicas == pytest.approx(20.0)
    assert first.room >= 20.0


def test_a_number_of_gpus_is_kept_to():
    found = advise(SMALL, users=300, gpus=2, usd_per_month=None)
    assert found.plans
    assert all(plan.gpus <= 2 for plan in found.plans)


def test_formats_that_pass_a_floor_were_measured():
    from workbench.planner.costs import quality

    fields = {"weights": "quantization", "kv": "kv_cache_dtype"}
    for (kind, name), floor in FORMATS.items():
        if floor in ("unmeasurable", "small"):
            assert quality({fields[kind]: name}), f"{kind} {name} passes {floor}, but nobody measured it"
    assert quality({"quantization": "fp8"}).startswith("no measurable loss")
    assert not passes("weights", "a format of tomorrow", "small")


@pytest.mark.parametrize("floor", list(FLOORS))
def test_only_formats_that_pass_are_offered(floor: str):
    found = lineup(wb.Model.from_config(SMALL), 8192, floor, "B200 SXM")
    for offer in found.offers:
        assert passes("weights", offer.deployment.quantization, floor)
        assert passes("kv", offer.deployment.kv_cache_dtype, floor)


def cost(**fields: object) -> float:
    found = advise(SMALL, gpu="L40S", usd_per_month=None, **fields)
    return found.plans[0].usd_per_month.value if found.verdict == "yes" else math.inf


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20_000), st.integers(0, 5_000))
def test_more_users_never_cost_less(users: int, more: int):
    assert cost(users=users) <= cost(users=users + more)


@settings(max_examples=8, deadline=None)
@given(st.floats(0.01, 0.1), st.floats(1.0, 3.0))
def test_a_stricter_service_level_never_costs_less(tpot: float, looser: float):
    assert cost(tpot=tpot * looser) <= cost(tpot=tpot)


@settings(max_examples=8, deadline=None)
@given(st.floats(100, 50_000), st.floats(0, 50_000))
def test_more_money_never_gives_fewer_choices(budget: float, more: float):
    less, richer = (advise(SMALL, gpu="L40S", users=400, usd_per_month=usd) for usd in (budget, budget + more))

    def choices(found: Advice) -> int:
        return int((found.table.meets & (found.table.cost <= found.need.usd_per_month)).sum())

    assert choices(less) <= choices(richer)
    assert less.verdict != "yes" or richer.verdict == "yes"


def test_changes_are_computed_and_rules_tried():
    found = advise(SMALL, users=300, gpu="L40S")
    told = changes(found)
    fewer = next(change for change in told if "tpot" in change.fields)
    assert fewer.usd_per_month <= found.plans[0].usd_per_month.value
    doubled = next(change for change in told if "users" in change.fields)
    assert doubled.usd_per_month >= found.plans[0].usd_per_month.value
    named = {rule.rule: rule for rule in rules(found)}
    assert "Serve small models unquantised" in named
    assert all(rule.text.endswith(".") for rule in named.values())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"users": 0}, "users is 0"),
        ({"users": None}, "users or requests_per_s"),
        ({"requests_per_s": 2.0}, "users or requests_per_s"),
        ({"users": None, "requests_per_s": -1.0}, "requests_per_s is -1.0"),
        ({"active_share": 1.5}, "active_share"),
        ({"active_share": 0.0}, "active_share"),
        ({"in_flight": 0.0}, "in_flight"),
        ({"ttft": 0.0}, "ttft is 0.0"),
        ({"tpot": -1.0}, "tpot is -1.0"),
        ({"percentile": 120.0}, "percentile"),
        ({"usd_per_month": 0.0}, "usd_per_month"),
        ({"usd_per_month": float("nan")}, "usd_per_month"),
        ({"gpus": 0}, "gpus is 0"),
        ({"gpus": True}, "gpus is True"),
        ({"max_model_len": 0}, "max_model_len"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(fields: dict[str, object], message: str):
    with pytest.raises(InvalidInput, match=message):
        Need(**fields)


@pytest.mark.parametrize("fields", [{"floor": "best"}, {"price": "gift"}, {"gpu": "H1000"}])
def test_an_unknown_name_is_refused(fields: dict[str, str]):
    with pytest.raises(UnknownName):
        Need(**fields)
