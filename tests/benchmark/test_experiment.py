"""Engines by formats: what is asked is read right, the best of each column is found, what failed is not hidden."""

import dataclasses
import json
import os
import subprocess
import sys
import time

import pytest
from benchmark_results import result

import workbench as wb
from workbench.benchmark import experiment as module
from workbench.benchmark.experiment import Contender, Entry, Experiment
from workbench.benchmark.footprint import Footprint, on_disk
from workbench.cli import main
from workbench.errors import InvalidInput, UnknownName, WorkbenchError


def entry(word, rate, **changes):
    measured = dataclasses.replace(result(), seconds=512 / rate) if rate else None
    made = {"outcome": "done" if rate else "failed", "result": measured}
    return Entry(Contender.parse(word), **made | changes)


def test_contenders_are_read(tmp_path):
    assert Contender.parse("vllm") == Contender("vllm", None)
    assert Contender.parse("vllm:gptq:bits=8").choice.parameters == {"bits": 8}
    assert Contender.parse("llama.cpp:q4_k_m").choice.method == "gguf"
    assert Contender("llama.cpp", "Q8_0").choice.parameters == {"type": "Q8_0"}
    made = Contender("vllm", str(tmp_path))
    assert (made.place, made.choice, made.label) == (tmp_path, None, f"vllm {tmp_path.name}")


@pytest.mark.parametrize(
    ("word", "kind"),
    [("llama.cpp", InvalidInput), ("nothing", UnknownName), ("vllm:Q4_K_M", InvalidInput),
     ("vllm:nomethod", UnknownName), ("llama.cpp:awq", InvalidInput), ("vllm:awq:nonsense", InvalidInput)],
)  # fmt: skip
def test_contenders_that_cannot_be(word, kind):
    with pytest.raises(kind):
        Contender.parse(word)


def test_the_best_of_each_column_is_named():
    found = Experiment(
        "m",
        (
            entry("vllm", 200, memory=3 * 2**30, disk=100, ready_seconds=20.0),
            entry("vllm:awq", 150, memory=2 * 2**30, disk=40, kl_divergence=0.01, ready_seconds=25.0),
            entry("llama.cpp:Q4_K_M", 50, memory=2**28, disk=30, kl_divergence=0.02, ready_seconds=2.0),
            entry("vllm:gptq", None, reason="it did not start"),
        ),
    )
    assert found.winners == {  # of TTFT and TPOT, all have the same
        "output_tokens_per_s": "vllm",
        "memory": "llama.cpp Q4_K_M",
        "disk": "llama.cpp Q4_K_M",
        "kl_divergence": "vllm awq",
        "ready_seconds": "llama.cpp Q4_K_M",
    }
    table = found.frame()
    assert list(table["outcome"]) == ["done", "done", "done", "failed"]
    assert table.attrs["winners"]["disk"] == "llama.cpp Q4_K_M"
    assert not found.ok
    again = json.loads(json.dumps(found.to_json()))
    assert again["entries"][3]["reason"] == "it did not start"
    assert again["entries"][3]["output_tokens_per_s"] is None


def test_the_chart_shows_what_was_measured_and_marks_the_best():
    rows = [entry("vllm", 200, memory=2**31), entry("vllm:awq", 150), entry("vllm:gptq", None)]
    figure = Experiment("m", tuple(rows)).figure()
    titles = [each.text for each in figure.layout.annotations]
    assert titles == ["Output tokens/s", "TTFT, mean", "TPOT, mean", "Memory of its processes"]
    bars = figure.data[0]
    assert list(bars.y) == ["vllm", "vllm awq"]  # what failed has no bar
    assert list(bars.x) == pytest.approx([200, 150])
    assert bars.marker.color[0] != bars.marker.color[1]
    assert list(figure.data[3].text) == ["2.00 GiB", "not measured"]
    assert Experiment("m", (entry("vllm", None),)).figure().layout.annotations[0].text == "Nothing was measured"


def test_what_does_not_start_is_told_and_the_others_go_on(monkeypatch, tmp_path, capsys):
    def measured(model, contender, served, *_):
        if contender.what is None:
            raise WorkbenchError("no kernel for it")
        return Entry(contender, "done", result=result())

    monkeypatch.setattr(module, "_measured", measured)
    folder = tmp_path / "quantised"
    folder.mkdir()
    found = wb.experiment(
        "builtin", [("vllm", None), ("vllm", folder)], folder=tmp_path / "kept", workload=wb.Workload(64, 16)
    )
    assert [each.contender.label for each in found.entries] == ["vllm quantised", "vllm"]
    assert found.entries[1].reason == "no kernel for it"
    assert json.loads((tmp_path / "kept" / "experiment.json").read_text()) == found.to_json()
    words = ["experiment", "builtin", "vllm", f"vllm:{folder}", "--out", str(tmp_path / "again")]
    assert main([*words, "--chart", str(tmp_path / "bars.html")]) == 1
    out, err = capsys.readouterr()
    assert "vllm quantised" in out
    assert "64.0*" not in out.splitlines()[2]
    assert "workbench: vllm: no kernel for it" in err
    assert "vllm quantised" in (tmp_path / "bars.html").read_text()
    assert main(["experiment", "builtin", "vllm", "vllm"]) == 2
    assert main(["experiment", "builtin", "vllm", "--field", "vllm"]) == 2
    assert main(["experiment", "builtin", "vllm", "--field", "other:x=1"]) == 2


def test_memory_is_of_the_whole_group_and_counts_what_is_shared_once():
    """Two processes that share 64 MiB and hold 32 MiB each of their own."""
    code = (
        "import os, time\nshared = bytearray(os.urandom(1) * (64 << 20))\nif os.fork() == 0: pass\n"
        "own = bytearray(b'x' * (32 << 20))\nprint('up', flush=True)\ntime.sleep(30)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    try:
        for _ in range(2):
            child.stdout.readline()
        with Footprint(child.pid, every=0.1) as took:
            time.sleep(0.3)
    finally:
        os.killpg(child.pid, 9)
        child.wait()
    assert 128 << 20 <= took.memory < 180 << 20
    with Footprint(None) as nothing:
        pass
    assert nothing.memory is None
    with Footprint(child.pid) as gone:
        pass
    assert gone.memory is None


def test_disk_is_of_the_weights(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"1" * 10)
    (tmp_path / "tokenizer.json").write_bytes(b"1" * 99)
    assert on_disk(tmp_path) == 10
    assert on_disk(tmp_path / "a.safetensors") == 10
    assert on_disk(tmp_path / "none") is None
