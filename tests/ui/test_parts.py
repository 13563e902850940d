"""The scripts that panels share, run by node: the address, tables to take along, figures in units."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import playwright
import pytest

from workbench.ui.panel import STATIC

NODE = str(Path(playwright.__file__).parent / "driver" / ("node.exe" if sys.platform == "win32" else "node"))


def run(tmp_path: Path, part: str, names: str, expression: str) -> Any:
    """What an expression gives that uses some names of a part."""
    script = tmp_path / "run.mjs"
    module = json.dumps((STATIC / "parts" / part).as_uri())
    script.write_text(
        f"import {{{names}}} from {module};\nconsole.log(JSON.stringify({expression}));", encoding="utf-8"
    )
    done = subprocess.run([NODE, str(script)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


CHOICE = {
    "model": "a/b", "gpu": "123", "isl": 5, "ratio": 0.25, "tiny": 1e-07, "on": True, "off": False, "none": None,
    "several": [None, "fp8"], "nothing": [], "own": {"a": 1}, "text": "x y",
}  # fmt: skip
DEFAULTS = {name: value if isinstance(value, list) else None for name, value in CHOICE.items()}
DEFAULTS |= {"none": 3, "several": ["x"], "nothing": ["x"]}


def test_an_address_gives_back_the_choice(tmp_path: Path) -> None:
    call = f"readAddress(addressOf({json.dumps(CHOICE)}, {json.dumps(DEFAULTS)}), {json.dumps(DEFAULTS)})"
    assert run(tmp_path, "address.js", "readAddress, addressOf", call) == CHOICE


def test_an_address_keeps_what_others_wrote_and_no_token(tmp_path: Path) -> None:
    call = 'addressOf({isl: 2, osl: 1}, {isl: 1, osl: 1}, {search: "?token=secret&tab=compare&isl=9&osl=4"})'
    assert run(tmp_path, "address.js", "addressOf", call) == "?isl=2&tab=compare"


def test_what_is_always_said_is_said_though_it_is_the_default(tmp_path: Path) -> None:
    call = 'addressOf({model: "a/b:c", isl: 1}, {model: "a/b:c", isl: 1}, {always: ["model"]})'
    assert run(tmp_path, "address.js", "addressOf", call) == "?model=a/b:c"


@pytest.mark.parametrize("text", ["{", '{"a":', "{not json}"])
def test_an_address_that_is_not_json_is_text(tmp_path: Path, text: str) -> None:
    call = f'readAddress("?own=" + encodeURIComponent({json.dumps(text)}), {{own: null}})'
    assert run(tmp_path, "address.js", "readAddress", call) == {"own": text}


def test_tables_are_csv(tmp_path: Path) -> None:
    rows = '[["a", "b"], ["x, y", 1.5], [\'say "no"\', null], [Infinity, "two\\nlines"]]'
    text = run(tmp_path, "download.js", "csv", f"csv({rows})")
    assert text == 'a,b\n"x, y",1.5\n"say ""no""",\n,"two\nlines"\n'


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Llama-3.1-8B on 2 × L40S", "Llama-3.1-8B-on-2-L40S"),
        ("../../etc/passwd", "etc-passwd"),
        ("Größe & Preis", "Gro-e-Preis"),
        ("…", "plan"),
    ],
)
def test_a_file_is_named_after_its_plan(tmp_path: Path, title: str, name: str) -> None:
    assert run(tmp_path, "download.js", "fileName", f"fileName({json.dumps(title)})") == name


def test_figures_are_written_in_units_people_read(tmp_path: Path) -> None:
    calls = (
        '[figure("B")(2 ** 31), figure("B")(-(2 ** 31)), figure("B/s")(864e9), figure("FLOP/s")(362.05e12), '
        'figure("s")(4.7e-7), figure("s")(0.0269), figure("USD/h")(1.524), figure("")("PCIe"), figure("")(8), '
        'figure("s")(null), figure("tokens")(198880)]'
    )
    assert run(tmp_path, "figures.js", "figure", calls) == [
        "2.00 GiB", "-2.00 GiB", "864 GB/s", "362 TFLOP/s", "0.470 µs", "26.9 ms", "$1.52/h", "PCIe", "8", "–", "199k",
    ]  # fmt: skip


def test_workloads_and_service_levels_are_told(tmp_path: Path) -> None:
    load = "{concurrency: 16, isl: 1024, osl: 256, isl_cv: 0.5, osl_cv: 0, prefix_hit: 0.32}"
    told = run(tmp_path, "workload.js", "workloadWords", f"workloadWords({load})")
    assert told == "16 requests at once, 1,024 tokens in, 256 out, spread 0.5 and 0, 32% of the input cached"
    asked = "{ttft: 0.5, tpot: null, output_tokens_per_s: 1000, percentile: 95}"
    told = run(tmp_path, "workload.js", "serviceWords", f"serviceWords({asked})")
    assert told == "first token within 500 ms, for 95 % of requests, at least 1,000 tokens/s"
    nothing = "{ttft: null, tpot: null, output_tokens_per_s: null, percentile: 50}"
    assert run(tmp_path, "workload.js", "serviceWords", f"serviceWords({nothing})") == ""
