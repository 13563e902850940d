"""Several models on one fleet."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import InvalidInput, UnknownName
from workbench.planner.fleet import Load, _choose, place
from workbench.planner.nodes import pack, split
from workbench.planner.placement import Placement
from workbench.planner.replicas import Option

SMALL, MIDDLE, LARGE = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen2.5-32B-Instruct",
    "meta-llama/Llama-3.1-70B-Instruct",
)
SHORT = {"max_model_len": 8192}
CHAT = Load(SMALL, wb.Workload(1000, 200, 64), wb.ServiceLevel(ttft=2.0, tpot=0.05), SHORT, "chat", spare=1)
CODE = Load(MIDDLE, wb.Workload(2000, 300, 32), wb.ServiceLevel(ttft=4.0, tpot=0.06), SHORT, "code")
HARD = Load(LARGE, wb.Workload(1500, 300, request_rate=0.5), wb.ServiceLevel(ttft=6.0, tpot=0.12), SHORT, "hard")


def check(found: Placement) -> None:
    """What holds of every placement."""
    json.dumps(found.to_dict())
    assert found.fits == bool(found.placed)
    assert found.reasons
    assert not (found.fits and (found.short or found.fixes))
    for node in found.nodes:
        assert 0 <= node.free <= node.gpus
    assert found.used == sum(count for node in found.nodes for _, count in node.taken)
    for part in found.placed:
        assert len(part.nodes) == part.replicas
        assert part.gpus == part.replicas * part.deployment.gpus
        for where in part.nodes:
            assert {found.nodes[at].gpu for at in where} == {part.deployment.gpu}
            assert len(where) == 1 or part.deployment.gpus > max(node.gpus for node in found.nodes)


# ---------------------------------------------------------------------------------------------- nodes

nodes = st.lists(st.integers(1, 8), max_size=4)


def fits(blocks: list[int], nodes: list[int]) -> bool:
    """By trying every way."""
    ways = itertools.product(range(len(nodes)), repeat=len(blocks))
    return any(
        all(sum(size for size, at in zip(blocks, way, strict=True) if at == node) <= nodes[node] for node in set(way))
        for way in ways
    )


@given(st.lists(st.integers(1, 6), max_size=5), nodes)
def test_blocks_are_packed_if_and_only_if_they_fit(blocks: list[int], nodes: list[int]) -> None:
    found = pack(blocks, nodes)
    assert (found is not None) == fits(blocks, nodes)
    if found is not None:
        for node, size in enumerate(nodes):
            assert sum(block for block, at in zip(blocks, found, strict=True) if at == node) <= size


@given(st.lists(st.sampled_from([1, 2, 4, 8]), max_size=40), st.lists(st.sampled_from([2, 4, 6, 8]), max_size=20))
def test_powers_of_two_are_packed_wherever_there_is_room(blocks: list[int], nodes: list[int]) -> None:
    found = pack(blocks, nodes)
    slots = {size: sum(node // size for node in nodes) for size in (1, 2, 4, 8)}
    enough = all(sum(block for block in blocks if block >= size) <= size * slots[size] for size in slots)
    assert (found is not None) == enough


def test_sizes_that_do_not_divide_each_other_are_tried_exhaustively() -> None:
    assert pack([3, 3, 2, 2, 2], [6, 6]) == (0, 0, 1, 1, 1)
    assert pack([4, 3, 3, 2], [6, 6]) is not None
    assert pack([4, 4, 4], [6, 6]) is None
    assert pack([5, 4, 3], [6, 6]) is None


def test_a_fleet_is_divided_into_nodes() -> None:
    assert split(20, 8) == (8, 8, 4)
    assert split(0, 8) == ()
    for wrong in ((-1, 8), (4, 0)):
        with pytest.raises(InvalidInput):
            split(*wrong)


# ---------------------------------------------------------------------------------------------- placing


@pytest.mark.parametrize("fleet", [{"L40S": [4, 4, 4, 4]}, {"L40S": 16}, {"L40S": 8, "H100 SXM": [4]}])
def test_every_load_is_served_within_its_service_level(fleet) -> None:
    found = place([CHAT, CODE, HARD], fleet)
    check(found)
    assert found.fits
    assert [part.name for part in found.placed] == ["chat", "code", "hard"]
    for load, part in zip((CHAT, CODE, HARD), found.placed, strict=True):
        assert load.slo is not None
        assert part.ttft.value <= load.slo.ttft
        assert part.tpot.value <= load.slo.tpot
        assert part.replicas > part.spare == load.spare
    chat, code, hard = found.placed
    assert (chat.replicas - 1) * chat.concurrency >= 64
    assert code.replicas * code.concurrency >= 32
    assert hard.output_tokens_per_s.value >= 0.5 * 300
    assert found.usd_per_hour is not None
    assert found.usd_per_hour.value == pytest.approx(
        sum(part.gpus * wb.gpu(part.deployment.gpu).usd_per_hour.value for part in found.placed)
    )


def test_the_times_are_those_of_a_plan() -> None:
    (part,) = place([CODE], {"L40S": 12}, gpus_per_node=4).placed
    fields = {name: value for name, value in part.deployment.to_dict().items() if name != "gpu"}
    speed = wb.plan(MIDDLE, part.deployment.gpu, workload=wb.Workload(2000, 300, part.concurrency), **fields)
    found = speed.performance()
    assert found is not None
    assert part.tpot.value == pytest.approx(found.tpot.value)
    assert part.ttft.high == pytest.approx(found.ttft.high)
    assert part.output_tokens_per_s.value == pytest.approx(part.replicas * found.output_tokens_per_s.value)


def test_fewer_replicas_would_not_do() -> None:
    (part,) = place([CODE], {"L40S": 16}, gpus_per_node=4).placed
    fewer = wb.search(
        MIDDLE,
        "L40S",
        workload=wb.Workload(2000, 300, -(-32 // (part.replicas - 1))),
        slo=CODE.slo,
        tensor_parallel_size=part.deployment.tensor_parallel_size,
        **SHORT,
    )
    assert not fewer["meets_slo"].any()


def test_a_rate_takes_what_it_takes() -> None:
    gpus = []
    for rate in (0.2, 1.0, 5.0, 25.0):
        load = Load(SMALL, wb.Workload(1000, 200, request_rate=rate), wb.ServiceLevel(tpot=0.05), SHORT)
        (part,) = place([load], {"L40S": 64}).placed
        assert part.output_tokens_per_s.value >= rate * 200 * (1 - 1e-9)
        gpus.append(part.gpus)
    assert gpus == sorted(gpus)
    assert gpus[0] == 1 < gpus[-1]


def test_a_bound_on_throughput_is_of_all_replicas_together() -> None:
    bound = wb.ServiceLevel(output_tokens_per_s=3000)
    (part,) = place([Load(SMALL, wb.Workload(1000, 200, 64), bound, SHORT)], {"L40S": 16}).placed
    assert part.output_tokens_per_s.value >= 3000
    assert part.output_tokens_per_s.value / part.replicas < 3000 or part.replicas == 1


def an_option(card: str, size: int, replicas: int) -> Option:
    one = wb.Estimate.exact(1.0)
    deployment = wb.Deployment(gpu=card, tensor_parallel_size=size)
    return Option(wb.gpu(card), deployment, replicas, (size,) * replicas, 1, one, one, one)


tables = st.lists(
    st.lists(
        st.builds(
            an_option, st.sampled_from(["L40S", "H100 SXM5"]), st.sampled_from([1, 2, 3, 4, 8]), st.integers(1, 3)
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=4,
)
sizes = st.lists(st.integers(1, 8), min_size=1, max_size=3).map(tuple)


@given(tables, sizes, sizes)
def test_the_choice_is_the_best_of_all(
    tables: list[list[Option]], some: tuple[int, ...], others: tuple[int, ...]
) -> None:
    pools = {"L40S": some, "H100 SXM5": others}

    def room(chosen: tuple[Option, ...]) -> bool:
        blocks = {card: [size for o in chosen if o.card.name == card for size in o.blocks] for card in pools}
        return all(pack(blocks[card], pools[card]) is not None for card in pools)

    every = [
        tuple(map(sum, zip(*(o.cost for o in way), strict=True))) for way in itertools.product(*tables) if room(way)
    ]
    found = _choose(tables, pools)
    assert (found is not None) == bool(every)
    if found is not None:
        assert room(tuple(found))
        assert all(option in table for option, table in zip(found, tables, strict=True))
        gpus, usd = min(every)
        assert sum(option.gpus for option in found) == gpus
        assert sum(option.cost[1] for option in found) == pytest.approx(usd)


@pytest.mark.parametrize("sizes", [(8,), (8, 8), (4, 4, 4, 4), (2, 2, 8), (6, 5, 4), (1, 1, 16)])
def test_no_node_is_over_committed(sizes: tuple[int, ...]) -> None:
    check(place([HARD, CHAT, CODE], {"L40S": sizes}))


# ---------------------------------------------------------------------------------------------- what does not fit


def test_it_says_how_many_are_missing_and_what_to_quantise() -> None:
    found = place([CHAT, CODE, HARD], {"L40S": 12}, gpus_per_node=4)
    check(found)
    assert not found.fits
    assert found.short == 3
    assert found.reasons[0].startswith("3 GPUs short: the loads take 15 of 12")
    assert place([CHAT, CODE, HARD], {"L40S": 12 + found.short + 1}, gpus_per_node=4).fits
    assert found.fixes
    for fix in found.fixes:
        (name,) = fix["load"]
        assert fix["cost"]
        loads = [
            Load(x.model, x.workload, x.slo, {**SHORT, **(fix["change"] if x.name == name else {})}, x.name, x.spare)
            for x in (CHAT, CODE, HARD)
        ]
        again = place(loads, {"L40S": 12}, gpus_per_node=4)
        assert again.fits
        assert again.used == fix["gpus"]


def test_several_models_are_quantised_where_one_is_not_enough() -> None:
    found = place([CHAT, CODE, HARD], {"L40S": [4, 4, 1]})
    assert [fix["load"] for fix in found.fixes] == [["chat", "code", "hard"]]


def test_enough_gpus_in_the_wrong_nodes() -> None:
    found = place([Load(LARGE, wb.Workload(1000, 200, 4), deployment=SHORT)], {"L40S": [2, 2, 2]})
    check(found)
    assert not found.fits
    assert found.short == 0
    assert "none of the 2 deployments tried starts" in found.reasons[0]
    wide, narrow = ({**SHORT, "tensor_parallel_size": size} for size in (4, 2))
    light = wb.Workload(1000, 200, 4)
    loads = [
        Load(LARGE, light, deployment=wide, name="one"),
        Load(LARGE, light, deployment=wide, name="another"),
        Load(SMALL, light, deployment=narrow, name="small"),
    ]
    apart = place(loads, {"L40S": [4, 3, 3]})
    check(apart)
    assert "GPUs would do, but not as they lie" in apart.reasons[0]
    assert apart.short == 4


def test_a_tensor_parallel_group_is_never_split_but_a_pipeline_may_be() -> None:
    wide = {**SHORT, "tensor_parallel_size": 4}
    found = place([Load(LARGE, wb.Workload(1000, 200, 4), deployment=wide)], {"L40S": [2] * 8})
    assert "larger than any node" in found.reasons[0]
    deep = {**SHORT, "tensor_parallel_size": 2, "pipeline_parallel_size": 2}
    found = place([Load(LARGE, wb.Workload(1000, 200, 4), deployment=deep)], {"L40S": [2] * 3})
    check(found)
    (part,) = found.placed
    assert part.nodes == ((0, 1),)
    (part,) = place([Load(LARGE, wb.Workload(1000, 200, 4), deployment=deep)], {"L40S": [2, 4]}).placed
    assert part.nodes == ((1,),)


def test_a_service_level_nobody_meets() -> None:
    found = place([Load(SMALL, slo=wb.ServiceLevel(tpot=0.001), deployment=SHORT)], {"L40S": 8})
    assert not found.fits
    assert "TPOT at most 1 ms (best" in found.reasons[0]
    assert not found.fixes


def test_a_load_may_choose_its_card() -> None:
    here = Load(SMALL, wb.Workload(1000, 200, 8), deployment={**SHORT, "gpu": "H100 SXM"})
    (part,) = place([here], {"L40S": 8, "H100 SXM": 1}).placed
    assert part.deployment.gpu == "H100 SXM5"
    elsewhere = place([here], {"L40S": 8})
    assert "H100 SXM5, which the fleet does not have" in elsewhere.reasons[0]


def test_slices_are_cards_of_their_own() -> None:
    load = Load(SMALL, wb.Workload(500, 100, 4), deployment={"max_model_len": 4096})
    (part,) = place([load], {"H100 SXM 3g.40gb": 2}, gpus_per_node=2).placed
    assert part.deployment.gpu == "H100 SXM5 3g.40gb"
    assert part.deployment.gpus == 1


@pytest.mark.parametrize(
    ("fleet", "words"),
    [
        ({}, "no GPUs"),
        ({"L40S": 0}, "L40S"),
        ({"L40S": -4}, "L40S|fleet"),
        ({"L40S": [4, 0]}, "each node"),
        ({"L40S": 4, "NVIDIA L40S": 4}, "twice"),
    ],
)
def test_a_fleet_that_is_none(fleet, words) -> None:
    with pytest.raises(InvalidInput, match=words):
        place([CHAT], fleet)


def test_loads_that_are_none() -> None:
    with pytest.raises(InvalidInput, match="1 to 12 loads"):
        place([], {"L40S": 8})
    with pytest.raises(InvalidInput, match="name of its own"):
        place([CHAT, CHAT], {"L40S": 8})
    with pytest.raises(UnknownName, match="deployment field"):
        Load(SMALL, deployment={"tensor_parallel": 2})
    with pytest.raises(InvalidInput, match="spare"):
        Load(SMALL, spare=-1)
    with pytest.raises(UnknownName, match="L99"):
        place([CHAT], {"L99": 8})


@pytest.mark.parametrize(("utilization", "gpus"), [(0.95, 1), (0.85, 2)])
def test_a_70b_model_of_four_bits_takes_one_l40s_if_it_may_use_it(utilization: float, gpus: int) -> None:
    """Its weights are 39.8 GB of the card's 48.3: the cache lies inside the share that the engine may use."""
    fields = {"max_model_len": 4096, "quantization": "awq", "gpu_memory_utilization": utilization}
    (part,) = place([Load(LARGE, wb.Workload(1000, 200, 1), deployment=fields)], {"L40S": 12}, gpus_per_node=4).placed
    assert part.gpus == gpus
