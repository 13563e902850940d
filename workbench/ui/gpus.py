"""All GPUs on one page: sorted, filtered, doubtful cells marked, every source at hand."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import traitlets

from workbench import hardware
from workbench.quantities import GB, GIB, Estimate
from workbench.ui.panel import Panel, Refused

#: Column of the page: title, unit, and the columns of ``data/gpus.csv`` whose doubts it inherits.
COLUMNS = [
    {"key": "capacity", "title": "Memory", "unit": "GiB", "digits": 1,
     "from": ["memory_gb_marketed", "memory_mib_reported", "cuda_total_mib"]},
    {"key": "bandwidth", "title": "Bandwidth", "unit": "GB/s", "digits": 0, "from": ["memory_bandwidth_gb_s"]},
    {"key": "bf16", "title": "BF16", "unit": "TFLOPS", "digits": 0, "from": ["bf16_tflops_dense", "fp16_tflops_dense"]},
    {"key": "fp8", "title": "FP8", "unit": "TFLOPS", "digits": 0, "from": ["fp8_tflops_dense"]},
    {"key": "fp4", "title": "FP4", "unit": "TFLOPS", "digits": 0, "from": ["fp4_tflops_dense"]},
    {"key": "link", "title": "Link", "unit": "GB/s", "digits": 0,
     "from": ["gpu_link", "gpu_link_gb_s_both_directions", "gpu_link_domain"]},
    {"key": "tdp", "title": "Power", "unit": "W", "digits": 0, "from": ["tdp_w"]},
    {"key": "year", "title": "Year", "unit": "", "digits": -1, "from": ["launch_year"]},
    {"key": "price", "title": "Price", "unit": "USD/h", "digits": 2, "from": ["price_usd_h_low", "price_usd_h_high"]},
]  # fmt: skip

VERIFICATION = {
    "D": "datasheet",
    "R": "cross-checked against a public table",
    "S": "seen in nvidia-smi",
    "M": "recalled only",
}


def _words(codes: str) -> str:
    return ", ".join(
        VERIFICATION.get(code.strip(), code.strip()) for code in codes.replace(";", ",").split(",") if code.strip()
    )


def _interval(capacity: Estimate) -> str:
    return f"{capacity.low / GIB:.1f} – {capacity.high / GIB:.1f} GiB ({capacity.basis})"


def _row(card: hardware.GPU) -> dict[str, Any]:
    price = card.usd_per_hour
    return {
        "name": card.name,
        "vendor": card.vendor,
        "architecture": card.architecture,
        "capacity": card.capacity.value / GIB,
        "bandwidth": card.bandwidth / GB,
        "bf16": _tera(card, "bf16") or _tera(card, "fp16"),
        "fp8": _tera(card, "fp8"),
        "fp4": _tera(card, "fp4"),
        "link": card.link_bandwidth / GB or None,
        "tdp": card.tdp,
        "year": card.launch_year,
        "price": price.value if price else None,
        "prices": [price.low, price.high] if price else None,
        "doubtful": [c["key"] for c in COLUMNS if card.doubtful.intersection(c["from"])],
        "details": {
            "Also called": ", ".join(card.aliases),
            "Memory, 90 % interval": _interval(card.capacity),
            "Link": card.link if card.link == "none" else f"{card.link}, up to {card.link_domain} cards; one direction",
            "Supports": ", ".join(sorted(name.replace("_", " ") for name in card.supports)),
            "In doubt": card.doubts,
            "Notes": card.notes,
            "Source": card.source,
            "Checked by": _words(card.verification),
            "Price": f"{card.price_source} {card.price_date}".strip() if price else "",
        },
        "search": " ".join((card.name, card.vendor, card.architecture, *card.aliases)).lower(),
    }


def _tera(card: hardware.GPU, kind: str) -> float | None:
    return card.flops[kind] / 1e12 if kind in card.flops else None


@cache
def rows() -> list[dict[str, Any]]:
    """All cards as the page wants them: GiB, GB/s, TFLOPS, W, USD an hour."""
    return [_row(hardware.gpu(name)) for name in hardware.names()]


class GpuTable(Panel):
    """A page of all GPUs.

    Attributes
    ----------
    selected : str
        Name of the card clicked; empty at first. Link it to a planner:
        ``table.observe(lambda change: setattr(planner, "choice", {"gpu": change.new}), "selected")``.
    """

    script = "gpus.js"
    from_page: ClassVar[frozenset[str]] = frozenset({"selected"})

    gpus = traitlets.List(read_only=True).tag(sync=True)
    columns = traitlets.List(read_only=True).tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)
    folded = traitlets.Bool(False, read_only=True).tag(sync=True)

    def __init__(self, *, folded: bool = False) -> None:
        super().__init__()
        self.set_trait("gpus", rows())
        self.set_trait("columns", [{k: v for k, v in column.items() if k != "from"} for column in COLUMNS])
        self.set_trait("folded", folded)

    @traitlets.validate("selected")
    def _known(self, proposal: Any) -> str:
        if proposal["value"] and proposal["value"] not in hardware.names():
            raise Refused(f"no GPU is called {proposal['value']!r}", "selected")
        return str(proposal["value"])
