"""The GPU, node and host tables, and what is read out of them."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import hardware
from workbench.datafiles import data_path, read_rows
from workbench.errors import InvalidInput, UnknownName
from workbench.hardware import custom_gpu, gpu, host, interconnect, node
from workbench.quantities import GB, GIB, MIB

CARDS = [gpu(name) for name in hardware.names()]
ROWS = {row["name"]: row for row in read_rows("gpus.csv")}
any_card = st.sampled_from(CARDS)


def shared_folder() -> Path | None:
    """The folder of public measurements, which is not part of the repository."""
    here = Path(__file__).resolve()
    candidates = [parent / "shared" for parent in here.parents]
    return next((path for path in candidates if (path / "truth").is_dir()), None)


needs_shared = pytest.mark.skipif(shared_folder() is None, reason="needs ../shared/truth, which is not here")


# ---------------------------------------------------------------------------------------------- the table


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_row_is_sane(card: hardware.GPU) -> None:
    assert 4 * GIB < card.capacity.low <= card.capacity.value <= card.capacity.high < 300 * GIB
    assert 60 * GB <= card.bandwidth <= 10_000 * GB
    assert 10 * GB <= card.pcie_bandwidth <= 130 * GB
    assert "fp16" in card.flops or "bf16" in card.flops
    assert card.source
    assert card.verification
    assert (card.link == "none") == (card.link_bandwidth == 0)
    assert card.link != "none" or card.link_domain == 1
    rows = ROWS[card.name]
    assert card.doubtful <= set(rows), "doubtful_cells must name columns"
    assert bool(card.doubtful) == bool(card.doubts)
    assert bool(card.usd_per_hour) == bool(card.price_source) == bool(card.price_date)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_peaks_agree_with_each_other_and_with_the_flags(card: hardware.GPU) -> None:
    peaks = card.flops
    assert ("bf16" in peaks) == ("bf16" in card.supports)
    assert ("fp8" in peaks) == ("fp8" in card.supports)
    assert ("fp4" in peaks) == ("fp4" in card.supports)
    if "fp16" in peaks and "bf16" in peaks:
        assert peaks["fp16"] == peaks["bf16"]
    half = peaks.get("bf16") or peaks["fp16"]
    if "fp32" in peaks:
        assert peaks["fp32"] <= half
    if "fp8" in peaks:
        assert half <= peaks["fp8"] <= 2.03 * half  # L40S: its datasheet prints 362.05 and 733
    if "fp4" in peaks:
        assert 1.8 * peaks["fp8"] <= peaks["fp4"] <= 4.1 * peaks["fp8"]
    if card.vendor == "NVIDIA":
        assert card.compute_capability is not None
        assert ("fp8" in card.supports) == (card.compute_capability >= (8, 9))
        assert ("flash_attn_3" in card.supports) == (card.compute_capability == (9, 0))
    else:
        assert card.compute_capability is None


def test_facts_that_are_often_wrong() -> None:
    assert gpu("B300").peak("int8") == 150e12  # not the FP8 rate
    assert gpu("L40S").peak("fp32") == 91.6e12
    assert gpu("L40S").peak("bf16") == 362.05e12
    assert gpu("L40").peak("bf16") == 181.05e12  # half of L40S on the same die
    assert gpu("A10G").peak("bf16") == 70e12  # not the A10's 125
    assert gpu("H100").peak("bf16") == 989.4e12  # dense
    assert gpu("L4").bandwidth == 300 * GB
    assert gpu("RTX 4090").peak("fp8") == 330.3e12  # with FP32 accumulation
    assert gpu("B300").compute_capability == (10, 3)
    assert gpu("Instinct MI325X").capacity.value < 256 * GIB


def test_no_price_of_zero_and_low_below_high() -> None:
    priced = [card.usd_per_hour for card in CARDS if card.usd_per_hour]
    assert len(priced) >= 15
    assert all(0.1 < price.low <= price.value <= price.high < 20 for price in priced)


def test_every_name_of_the_csv_is_unique_when_folded() -> None:
    seen: dict[str, str] = {}
    for card in CARDS:
        for alias in (card.name, *card.aliases, *card.loose_aliases):
            folded = hardware.rows.folded(alias)
            assert folded, alias
            assert seen.setdefault(folded, card.name) == card.name, f"{alias} is claimed by two cards"


def test_the_file_is_plain_utf8_with_the_documented_columns() -> None:
    with data_path("gpus.csv").open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(line for line in file if not line.startswith("#")))
    assert set(hardware.COMPUTE_TYPES.values()) <= set(header)
    assert all(len(row) == len(header) and None not in row for row in ROWS.values())


# ---------------------------------------------------------------------------------------------- capacity


@pytest.mark.parametrize(
    ("name", "measured_gib"),
    [
        ("H100 80GB", 79.19),
        ("H100 80GB", 79.18),
        ("RTX 3090", 23.58),
        ("H200", 139.72),
        ("H200", 139.81),
        ("A100 40GB", 39.39),
        ("A100 40GB", 39.38),
        ("RTX A6000", 44.55),  # ECC on
    ],
)
def test_capacity_covers_what_vllm_logged(name: str, measured_gib: float) -> None:
    assert gpu(name).capacity.contains(measured_gib * GIB)


def test_the_rule_from_nvidia_smi_covers_every_card_where_both_totals_are_known() -> None:
    pairs = [
        (float(row["memory_mib_reported"]), float(row["cuda_total_mib"]))
        for row in ROWS.values()
        if row["memory_mib_reported"] and row["cuda_total_mib"] and row["memory_mib_reported"] != row["cuda_total_mib"]
    ]
    assert len(pairs) >= 12
    for reported, total in pairs:
        _, low, high = hardware.cuda_total_from_smi(reported * MIB)
        assert low <= total * MIB <= high


@given(st.floats(min_value=1, max_value=512))
def test_cuda_never_has_more_than_nvidia_smi(gib: float) -> None:
    value, low, high = hardware.cuda_total_from_smi(gib * GIB)
    assert low <= value <= high <= gib * GIB


def test_basis_says_what_the_capacity_rests_on() -> None:
    assert gpu("H100").capacity.basis == "measured"
    assert gpu("H20").capacity.basis == "calibrated"
    assert gpu("GB300").capacity.basis == "datasheet"
    assert gpu("GB300").capacity.high - gpu("GB300").capacity.low > 10 * GIB


# ---------------------------------------------------------------------------------------------- names


@given(any_card, st.data())
def test_aliases_round_trip_whatever_the_case_and_spaces(card: hardware.GPU, data: st.DataObject) -> None:
    alias = data.draw(st.sampled_from((card.name, *card.aliases)))
    maker = data.draw(st.sampled_from(["", "NVIDIA ", "Tesla ", "nvidia geforce ", "AMD "]))
    joined = data.draw(st.sampled_from([" ", "-", "_", ""]))
    case = data.draw(st.sampled_from([str.upper, str.lower, str.title]))
    found = gpu(maker + case(joined.join(alias.split(" "))))
    assert found.name == card.name
    assert found.remark == ""


@given(any_card)
def test_loose_names_say_what_they_were_taken_for(card: hardware.GPU) -> None:
    for alias in card.loose_aliases:
        found = gpu(alias)
        assert found.name == card.name
        assert card.name in found.remark
        assert alias in found.remark


def test_a_gpu_is_returned_as_it_is() -> None:
    card = gpu("L4")
    assert gpu(card) is card
    assert len({card, gpu("L4")}) == 1  # usable as a key


@pytest.mark.parametrize("name", ["L40X", "nonsense", "", "   ", "H100 banana", "cpu"])
def test_unknown_names_are_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(UnknownName, match=r"workbench\.gpus\(\)"):
        gpu(name)


def test_close_names_are_offered() -> None:
    with pytest.raises(UnknownName, match="did you mean 'L40S'"):
        gpu("L40Ss")


#: What the public measurements write and no row of the table can mean.
NOT_A_CARD = {
    "": "the source does not name the GPU",
    "AMD (ROCm 5.6)": "the source names a driver, not a card",
    "RTX 4090 48GB": "a modified card with twice the memory: describe it with custom_gpu",
    "RTX 5070 Ti + RTX 5090 D": "two different cards in one deployment",
}


@needs_shared
def test_every_gpu_of_the_measurements_resolves_or_is_listed() -> None:
    folder = shared_folder()
    assert folder is not None
    written = set()
    for path in (folder / "truth").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                written.add((row.get("gpu_name") or row.get("gpu") or "").strip())
    assert len(written) > 50
    unknown = set()
    for name in written:
        try:
            gpu(name)
        except UnknownName:
            try:
                assert host(name).vendor == "Apple"
            except UnknownName:
                unknown.add(name)
    assert unknown == set(NOT_A_CARD) & written


@needs_shared
def test_no_card_of_the_reference_is_missing_and_its_figures_are_kept() -> None:
    folder = shared_folder()
    assert folder is not None
    with (folder / "reference" / "gpus.csv").open(encoding="utf-8", newline="") as file:
        reference = {row["name"]: row for row in csv.DictReader(file)}
    assert set(reference) <= set(ROWS)
    for name, row in reference.items():
        for column in (
            "memory_bandwidth_gb_s",
            *hardware.COMPUTE_TYPES.values(),
            "tdp_w",
            "pcie_gen",
            "sm_count",
        ):
            assert ROWS[name][column] == row[column], (name, column)


# ---------------------------------------------------------------------------------------------- a user's card


def test_custom_card_plans_like_any_other() -> None:
    mine = custom_gpu(
        "RTX 4090 48GB",
        memory_gib=47.4,
        bandwidth_gb_s=1008,
        fp16_tflops=165.2,
        compute_capability="8.9",
        usd_per_hour=0.4,
    )
    assert mine.capacity.value == 47.4 * GIB
    assert mine.capacity.low == mine.capacity.high
    assert mine.peak("bf16") == pytest.approx(165.2e12)
    assert "flash_attn_2" in mine.supports
    assert interconnect(mine, 2).kind == "pcie"
    with pytest.raises(InvalidInput, match="has no fp8 units"):
        mine.peak("fp8")
    with pytest.raises(InvalidInput, match="compute type"):
        mine.peak("fp17")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"memory_gib": 0}, "memory_gib"),
        ({"memory_gib": math.nan}, "memory_gib"),
        ({"bandwidth_gb_s": -1}, "bandwidth_gb_s"),
        ({"fp16_tflops": math.inf}, "fp16 rate"),
        ({"fp8_tflops": 0}, "fp8 rate"),
        ({"name": " "}, "name"),
        ({"name": "H100 SXM"}, "in the table already"),
        ({"link": "nvlink bridge"}, "together"),
        ({"link_gb_s": 50.0}, "together"),
        ({"link": "wire", "link_gb_s": 1.0, "link_domain": 2}, "wire"),
        ({"link": "nvswitch", "link_gb_s": -5.0, "link_domain": 8}, "negative"),
    ],
)
def test_custom_card_refuses_bad_figures(wrong: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"name": "Mine", "memory_gib": 24, "bandwidth_gb_s": 900, "fp16_tflops": 70}
    with pytest.raises(InvalidInput, match=message):
        custom_gpu(**{**good, **wrong})  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- links


@given(any_card, st.integers(min_value=1, max_value=256))
def test_interconnect_never_gets_faster_kinds_with_distance(card: hardware.GPU, group: int) -> None:
    found = interconnect(card, group)
    assert found.bandwidth > 0
    assert (found.kind == "none") == (group == 1) == math.isinf(found.bandwidth)
    if group > max(card.link_domain, card.gpus_per_node):
        assert found.kind == "network"
    elif group > card.link_domain:
        assert found.kind == "pcie"
        assert found.bandwidth == card.pcie_bandwidth


def test_links_of_well_known_boxes() -> None:
    assert interconnect(gpu("L40S"), 8).kind == "pcie"
    assert interconnect(gpu("A100 80GB PCIe"), 2).bandwidth == 300 * GB
    assert interconnect(gpu("A100 80GB PCIe"), 3).kind == "pcie"
    assert interconnect(gpu("H100 SXM"), 8).bandwidth == 450 * GB
    assert interconnect(gpu("H100 SXM"), 16).kind == "network"
    assert interconnect(gpu("GB200"), 72).bandwidth == 900 * GB
    assert interconnect(gpu("GH200"), 2).kind == "network"  # one GPU a node
    assert interconnect(gpu("MI300X"), 2).bandwidth == 64 * GB  # a pair has one of seven links
    assert interconnect(gpu("V100"), 2).bandwidth == pytest.approx(50 * GB)


def test_a_node_decides_network_and_domain() -> None:
    a3, p5 = node("a3-megagpu-8g"), node("p5.48xlarge")
    assert interconnect(gpu("H100"), 16, p5).bandwidth == 50 * GB
    assert interconnect(gpu("H100"), 16, a3).bandwidth == pytest.approx(28.125 * GB)
    with pytest.raises(InvalidInput, match=r"p5\.48xlarge has H100 SXM5"):
        interconnect(gpu("L40S"), 2, p5)
    with pytest.raises(InvalidInput, match="at least one"):
        interconnect(gpu("L40S"), 0)


# ---------------------------------------------------------------------------------------------- nodes and hosts


def test_every_node_names_a_card_of_the_table() -> None:
    rows = read_rows("nodes.csv")
    assert len(rows) >= 50
    for row in rows:
        machine = node(row["name"])
        card = gpu(machine.gpu)
        assert card.name == machine.gpu
        assert machine.gpus <= card.gpus_per_node
        assert machine.link_domain <= card.link_domain
        assert machine.memory > 10 * GIB
        assert machine.source
        assert machine.doubtful <= set(row)


@pytest.mark.parametrize("row", read_rows("hosts.csv"), ids=lambda row: row["name"])
def test_host_row_is_sane(row: dict[str, str]) -> None:
    found = host(row["name"])
    assert 50 * GB < found.bandwidth < 2000 * GB
    assert found.source
    assert found.doubtful <= set(row)
    assert bool(found.doubtful) == bool(found.doubts)
    if (
        row["memory_channels"]
        and row["memory_mt_s"]
        and found.vendor in ("Intel", "AMD")
        and "LP" not in row["memory_type"]
    ):
        expected = int(row["memory_channels"]) * int(row["memory_mt_s"]) * 8e6
        assert found.bandwidth == pytest.approx(expected, rel=0.01)
    if "bf16" in found.flops:
        assert found.flops["bf16"] >= 2 * found.flops["fp32"] * 0.99
    if found.vendor == "Apple":
        assert found.memory_options
        assert found.gpu_cores


def test_hosts_and_nodes_are_found_as_systems_write_them() -> None:
    assert host("Intel(R) Xeon(R) Platinum 8480+").architecture == "Sapphire Rapids"
    assert host("M2 Ultra 76-Core GPU 192GB").name == "M2 Ultra"
    assert "amx_bf16" in host("Xeon 6980P").features
    assert node("ml.p4d.24xlarge").gpu == "A100 40GB SXM4"
    with pytest.raises(UnknownName, match=r"hardware\.hosts\(\)"):
        host("Z80")
    with pytest.raises(UnknownName, match=r"hardware\.nodes\(\)"):
        node("p99.galactic")


def test_tables_for_people() -> None:
    cards = hardware.gpus()
    assert list(cards.index) == hardware.names()
    assert cards.loc["H100 SXM5", "capacity_gib"] == 79.19
    assert cards.loc["B300 SXM (HGX)", "int8_tflops"] == 150
    assert cards["bandwidth_gb_s"].dtype == float
    assert hardware.nodes().loc["DGX H100", "nic_gbit_s"] == 3200
    assert hardware.hosts()["memory_bandwidth_gb_s"].dtype == float
