"""``workbench monitor``: a line a second, JSON that reads back, Ctrl-C, an address where nobody is."""

import doctest
import json
import signal
import subprocess
import sys
import time

import pytest
from browser import free_port
from standin_engine import Numbers, StandInEngine
from visiting import heed_ctrl_c

from workbench.cli import main, monitor


def test_examples_in_docstrings_hold():
    assert doctest.testmod(monitor).failed == 0


def test_lines_and_the_diagnosis_last(capsys):
    numbers = Numbers()
    numbers.work()
    with StandInEngine(numbers) as engine:
        assert main(["monitor", engine.url, "--seconds", "1.2", "--every", "0.2"]) == 0
    out = capsys.readouterr().out.splitlines()
    lines = [line for line in out if "ready" in line]
    assert 4 <= len(lines) <= 8
    assert "running   3" in lines[-1]
    assert "cache  20%" in lines[-1]
    assert any(line.startswith(("healthy:", "limited:")) for line in out)


def test_json_reads_back(capsys):
    with StandInEngine() as engine:
        assert main(["monitor", engine.url, "--seconds", "1", "--every", "0.2", "--json"]) == 0
    *points, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert len(points) >= 3
    assert {point["state"] for point in points} == {"ready"}
    assert last["diagnosis"]["verdict"] in ("idle", "limited")


def test_nobody_there_is_said_once_and_is_exit_status_1(capsys):
    assert main(["monitor", f"http://127.0.0.1:{free_port()}", "--seconds", "0.8", "--every", "0.2"]) == 1
    said = capsys.readouterr()
    assert said.err.count("is the server running?") == 1
    assert "not known" in said.out


def test_ctrl_c_ends_it_with_the_diagnosis():
    with StandInEngine() as engine:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench", "monitor", engine.url, "--every", "0.2"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c,
        )  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert "ready" in first
    assert (process.returncode, err) == (0, "")
    assert out.rstrip().splitlines()[-1]
    assert any(verdict in out for verdict in ("idle:", "limited:"))


@pytest.mark.parametrize("words", [["builtin"], ["http://127.0.0.1:9", "--seconds", "0"], ["http://"]])
def test_bad_input_is_one_line(words, capsys):
    assert main(["monitor", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
