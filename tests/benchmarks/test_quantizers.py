"""What our wrapping costs: a job of ours beside the library called directly, on the same model, text and samples.

Compare within one run: wall time in the table, peak memory in its extra column. Both should be within 5 %.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import workbench as wb
from workbench import builtin, environments
from workbench.builtin.text import training

SAMPLES, LENGTH = 256, 256
pytestmark = [pytest.mark.soak, pytest.mark.environment, pytest.mark.timeout(3600)]

NAMES = {"gptq": {"num_calibration_samples": SAMPLES, "max_seq_length": LENGTH}, "fp8_dynamic": {}}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """As many paragraphs as are used, each longer than is used of it."""
    words = " ".join(document.text for document in training()).split()
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n\n".join(" ".join(words[at : at + 400]) for at in range(0, 400 * SAMPLES, 400)))
    return file


@pytest.mark.parametrize("how", ["library", "workbench"])
@pytest.mark.parametrize("method", NAMES)
def test_wrapping(benchmark, method, how, text, tmp_path):
    benchmark.group = method
    peaks = []
    target = tmp_path / "out"

    def by_us():
        more = {"data": text} if NAMES[method] else {}
        job = wb.quantize("builtin", method, target, evaluate_tokens=0, **more, **NAMES[method])
        peaks.append(job.wait(900)["peak_memory"])

    def directly():
        ready = environments.ensure("quantize")
        told = {"method": method, "folder": str(builtin.ensure()), "out": str(target), "text": str(text)}
        told |= {"samples": SAMPLES, "length": LENGTH}
        variables = {**ready.environ(), **builtin.SLEEP_WHILE_WAITING, "HF_HUB_OFFLINE": "1"}
        script = str(Path(__file__).with_name("directly.py"))
        command = [str(ready.python), script, json.dumps(told)]
        run = subprocess.run(command, env={**os.environ, **variables}, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-2000:]
        peaks.append(json.loads(run.stdout.splitlines()[-1])["peak"])

    builtin.ensure()
    once = {"workbench": by_us, "library": directly}[how]
    benchmark.pedantic(once, setup=lambda: shutil.rmtree(target, ignore_errors=True), rounds=3, warmup_rounds=1)
    benchmark.extra_info["peak_memory_MiB"] = [round(peak / 2**20) for peak in peaks[1:]]
