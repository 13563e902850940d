"""The table of prices, and the price of a card read out of it."""

from __future__ import annotations

import csv
import re
from datetime import date
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cost import KINDS, price, priced, prices, purchases
from workbench.cost.prices import rows
from workbench.cost.purchases import capital
from workbench.datafiles import data_path, read_rows
from workbench.errors import InvalidInput, UnknownName
from workbench.hardware import gpu, names
from workbench.hardware.price_table import Price, offers, typical
from workbench.planner import plan, search

OFFERS = [offer for every in offers().values() for offer in every]
SOURCE = re.compile(r"https://\S+|github:[\w.-]+/[\w.-]+ \S+@[0-9a-f]{40}")


def is_date(text: str) -> bool:
    if text == "undated":
        return True
    year, *rest = text.split("-")
    return date(int(year), *(int(part) for part in rest), *[1] * (2 - len(rest))) <= date(2026, 11, 30)


@pytest.mark.parametrize("file", ["prices.csv", "purchases.csv"])
def test_every_row_names_a_card_a_date_and_a_source(file: str) -> None:
    found = read_rows(file)
    assert len({tuple(row.items()) for row in found}) == len(found)
    for row in found:
        assert row["gpu"] in names(), row
        assert is_date(row["date"]), row
        assert SOURCE.fullmatch(row["source"]), row
        assert None not in row, "a comma too many"


def test_the_table_is_wide() -> None:
    assert len(OFFERS) >= 60
    assert {offer.kind for offer in OFFERS} == set(KINDS)
    assert len({offer.provider for offer in OFFERS}) >= 10
    asked = ("L4", "L40S", "A10G", "T4", "A100 40GB SXM4", "A100 80GB SXM4", "H100 SXM5", "H100 PCIe", "H200 SXM")
    assert set(asked) <= set(offers())
    assert sum(offer.date == "undated" for offer in OFFERS) < 0.15 * len(OFFERS)


def test_no_offer_is_for_nothing_and_a_server_is_divided() -> None:
    for offer in OFFERS:
        assert 0.1 < offer.usd_per_gpu_hour < 25, offer
        assert offer.gpus in (1, 2, 4, 8), offer
    aws = [offer for offer in rows("H100 SXM", "on_demand") if offer.provider == "AWS"]
    assert [round(offer.usd_per_gpu_hour * offer.gpus, 2) for offer in aws] == [55.04]  # a p5.48xlarge


def test_a_commitment_is_cheaper_than_none() -> None:
    for provider in ("AWS", "Hyperstack", "CoreWeave"):
        for name in offers():
            here = {kind: [o.usd_per_gpu_hour for o in rows(name, kind) if o.provider == provider] for kind in KINDS}
            dearer = [usd for kind in KINDS[1:] for usd in here[kind]]
            if here["on_demand"] and dearer:
                assert max(dearer) < max(here["on_demand"]), (provider, name)


@pytest.mark.parametrize("name", names())
def test_the_price_of_a_card_comes_from_the_table(name: str) -> None:
    card, found = gpu(name), rows(name, "on_demand")
    if not found:
        assert card.usd_per_hour is None
        with pytest.raises(InvalidInput, match="give your own"):
            price(name)
        return
    usd = price(name)
    assert usd == card.usd_per_hour
    assert usd.low == min(offer.usd_per_gpu_hour for offer in found)
    assert usd.high == max(offer.usd_per_gpu_hour for offer in found)
    assert card.price_date == max([o.date for o in found if o.date != "undated"], default="undated")


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 90)), min_size=1, max_size=9))
def test_every_provider_has_one_vote(asked: list[tuple[str, int]]) -> None:
    found = typical([Price("L4", who, "spot", usd, 1, "", "2026", "", "") for who, usd in asked])
    assert found is not None
    voters = {who: median(usd for other, usd in asked if other == who) for who, _ in asked}
    assert found.value == median(voters.values())
    assert found.low == min(usd for _, usd in asked)


def test_a_price_of_ones_own_goes_before_the_table() -> None:
    assert price("L40S", own=0.5).to_dict() == {"value": 0.5, "low": 0.5, "high": 0.5, "basis": "given"}
    assert price("Gaudi 2", own=1.0).value == 1.0
    for own in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="own"):
            price("L40S", own=own)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownName, match="on_demand"):
        price("L40S", "per month")
    with pytest.raises(UnknownName):
        rows(kind="rented")
    with pytest.raises(UnknownName):
        price("L99S")
    with pytest.raises(InvalidInput, match="no spot price of L4"):
        price("L4", "spot")


def test_reserved_takes_every_term() -> None:
    every = {offer.provider for kind in KINDS[2:] for offer in rows("L40S", kind)}
    assert price("L40S", "reserved").low == min(price("L40S", kind).low for kind in KINDS[3:])
    assert {"AWS", "Vultr"} <= every


def test_a_slice_costs_its_share() -> None:
    whole, half = price("H100 SXM", "spot"), price("H100 SXM 3g.40gb", "spot")
    assert half.value == pytest.approx(whole.value / 2)
    assert len(prices("H100 SXM 3g.40gb")) == len(prices("H100 SXM"))


def test_plans_and_searches_reckon_with_another_price() -> None:
    model = "meta-llama/Llama-3.1-8B-Instruct"
    mine = plan(model, priced("L40S", own=0.40), tensor_parallel_size=2, max_model_len=8192)
    assert mine.usd_per_hour is not None
    assert mine.usd_per_hour.to_dict() == {"value": 0.8, "low": 0.8, "high": 0.8, "basis": "given"}
    table = search(model, [priced("L40S", "reserved_3y"), "H100 SXM"], max_model_len=8192)
    asked = table.set_index("gpu")["usd_per_hour"]
    assert asked["L40S"] == price("L40S", "reserved_3y").value
    assert asked["H100 SXM5"] == price("H100 SXM").value


def test_purchases_say_what_they_are() -> None:
    table = purchases()
    assert set(table["what"]) == {"card", "server"}
    assert set(table["basis"]) == {"shop", "estimate"}
    assert (table["usd"] > 300).all()
    assert len(purchases("NVIDIA L40S")) == 3
    seen = capital("L40S")
    assert seen.low == 8500
    assert seen.high == 9749.95
    with pytest.raises(InvalidInput, match="give your own"):
        capital("Gaudi 2")


def test_the_other_tables_are_plain() -> None:
    for file in ("demand.csv", "running_costs.csv"):
        with data_path(file).open(encoding="utf-8", newline="") as lines:
            header = next(csv.reader(line for line in lines if not line.startswith("#")))
        for row in read_rows(file):
            assert set(row) == set(header)
            assert all(row.values())
