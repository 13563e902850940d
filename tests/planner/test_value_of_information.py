"""What a measurement is worth: against a simulated choice, by its properties, and in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import InvalidInput
from workbench.planner.value_of_information import expected_cost, next_measurement, value_of_measuring

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
PLACES = st.lists(st.tuples(st.floats(0.1, 50), st.floats(0, 1)), min_size=1, max_size=8)


def split(places):
    return np.array([p for p, _ in places]), np.array([q for _, q in places])


def by_playing(price, probability, which, times=20_000):
    """The same by drawing what a measurement says and choosing anew, row by row."""
    dice = np.random.default_rng(0)
    replacement = price[probability >= probability.max() - 1e-9].min()
    before = (price + (1 - probability) * replacement).min()
    paid = []
    for holds in dice.random(times) < probability[which]:
        known = probability.copy()
        known[which] = float(holds)
        paid.append((price + (1 - known) * replacement).min())
    return before - np.mean(paid)


@pytest.mark.parametrize(
    "places",
    [[(1.5, 0.5), (4.0, 1.0)], [(1.0, 0.3), (2.0, 0.8), (6.0, 0.99)], [(3.0, 0.9), (3.2, 0.95), (1.0, 0.1)]],
)
def test_it_is_what_one_saves_on_average(places):
    price, probability = split(places)
    found = value_of_measuring(price, probability)
    for which in range(len(places)):
        assert found[which] == pytest.approx(max(by_playing(price, probability, which), 0), abs=0.05)


@given(PLACES)
def test_knowledge_never_costs_and_what_is_certain_is_worth_nothing(places):
    price, probability = split(places)
    found = value_of_measuring(price, probability)
    assert (found >= 0).all()
    assert (found <= expected_cost(price, probability).min() + 1e-9).all()
    assert found[(probability == 0) | (probability == 1)] == pytest.approx(0, abs=1e-9)


def test_of_a_search_the_cheap_one_that_may_do(monkeypatch):
    table = wb.search(
        MODEL,
        gpu=["L40S", "H100 SXM"],
        quantization=[None, "fp8"],
        workload=wb.Workload(1024, 256, 32),
        slo=wb.ServiceLevel(tpot=0.03),
    )
    maybe = table.assign(probability=[1.0 if "H100" in gpu else 0.6 for gpu in table["gpu"]])
    found = next_measurement(maybe)
    assert found["gpu"].iloc[0] == "L40S"
    assert found["value_usd_per_hour"].is_monotonic_decreasing
    sentence = found.attrs["sentence"]
    assert sentence.startswith("Measure L40S")
    assert "chance of 60%" in sentence
    certain = next_measurement(table.assign(probability=1.0))
    assert certain.empty
    assert certain.attrs["sentence"].startswith("No measurement would change the choice: L40S")


def test_without_a_price_or_for_several_loads_it_says_so():
    table = wb.search(MODEL, gpu="L40S", workload=[wb.Workload(1024, 256, 1), wb.Workload(1024, 256, 2)])
    with pytest.raises(InvalidInput, match="choose one workload"):
        next_measurement(table)
    with pytest.raises(InvalidInput, match="has a price"):
        next_measurement(table.assign(usd_per_hour=float("nan")))
