"""A supervised group really dies with its owner: real processes, really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import psutil
import pytest
from waiting import until

from workbench.errors import MissingPart
from workbench.processes import Supervised, exit_text

PYTHON = sys.executable

# A small zoo below the command: a child, one that left the group with setsid, and a daemon that forked twice
# (so its parent is gone) and, when DEAF is set, ignores SIGTERM. All carry the mark in their command line.
ZOO = """
import os, signal, subprocess, sys, time
mark, folder, lead = sys.argv[1], sys.argv[2], sys.argv[3]
sleeper = "import sys, signal, time; open(sys.argv[2], 'w').close(); time.sleep(600)"
deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + sleeper
def start(name, code, **more):
    return subprocess.Popen([sys.executable, "-c", code, mark, os.path.join(folder, name)], **more)
start("child", sleeper)
start("session", sleeper, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    start("daemon", deaf if "DEAF" in os.environ else sleeper)
    os._exit(0)
os.wait()
while len(os.listdir(folder)) < 3:
    time.sleep(0.02)
print("zoo complete", flush=True)
if lead == "stays":
    time.sleep(600)
sys.exit(7)
"""


def marked(mark: str, besides: str | None = None) -> list[psutil.Process]:
    """Living processes with `mark` on their command line, and with `besides` too if given; this test aside."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if mark in words and besides in (None, *words) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def mark():
    text = uuid.uuid4().hex
    yield text
    for process in marked(text):
        process.kill()


@pytest.fixture
def zoo(tmp_path, mark):
    script, folder = tmp_path / "zoo.py", tmp_path / "zoo"
    script.write_text(ZOO)
    folder.mkdir()
    return [PYTHON, str(script), mark, str(folder)]


def test_code_output_environment_and_folder(tmp_path):
    code = "import os, sys; print(os.environ['A'], os.getcwd(), flush=True); print('err', file=sys.stderr)"
    code += "; sys.exit(3)"
    log = tmp_path / "logs" / "log.txt"
    process = Supervised([PYTHON, "-c", code], env={"A": "b"}, cwd=tmp_path, log=log)
    assert process.wait(30) == 3
    assert process.poll() == 3
    assert log.read_text().split("\n") == [f"b {tmp_path}", "err", ""]
    process.terminate()  # nothing left to do, and says nothing


def test_the_command_leads_its_group_and_does_not_hold_our_pipes(tmp_path):
    code = "import os; print(os.getpid() == os.getpgid(0), sorted(os.listdir('/dev/fd'))[:4], flush=True)"
    process = Supervised([PYTHON, "-c", code], log=tmp_path / "log")
    assert process.wait(30) == 0
    assert (tmp_path / "log").read_text() == "True ['0', '1', '2', '3']\n"  # 3 is the listing itself


def test_signals_are_as_usual_in_the_command(tmp_path):
    code = "import signal; print([signal.getsignal(getattr(signal, 'SIG' + n)) is want for n, want in "
    code += "[('TERM', signal.SIG_DFL), ('HUP', signal.SIG_DFL), ('INT', signal.default_int_handler)]])"
    process = Supervised([PYTHON, "-c", code], log=tmp_path / "log")
    process.wait(30)
    assert (tmp_path / "log").read_text() == "[True, True, True]\n"


def test_missing_program_and_unusable_program(tmp_path):
    with pytest.raises(MissingPart, match="there is no such program"):
        Supervised(["/nowhere/at/all"], log=tmp_path / "log")
    plain = tmp_path / "plain.txt"
    plain.write_text("not a program")
    with pytest.raises(MissingPart, match=r"Permission denied"):
        Supervised([str(plain)], log=tmp_path / "log")


def test_wait_gives_up(tmp_path):
    with Supervised([PYTHON, "-c", "import time; time.sleep(600)"], log=tmp_path / "log") as process:
        with pytest.raises(TimeoutError, match=str(process.pid)):
            process.wait(0.2)
        assert process.poll() is None
    assert process.poll() == -signal.SIGTERM


def test_terminate_lets_the_command_finish(tmp_path):
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n    time.sleep(0.3)\n    print('tidy', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )
    process = Supervised([PYTHON, "-c", code], log=tmp_path / "log")
    until(lambda: "up" in (tmp_path / "log").read_text())
    process.terminate()
    assert process.poll() == 0
    assert (tmp_path / "log").read_text() == "up\ntidy\n"


def test_terminate_ends_the_zoo(tmp_path, mark, zoo, monkeypatch):
    monkeypatch.setenv("DEAF", "1")
    process = Supervised([*zoo, "stays"], log=tmp_path / "log")
    until(lambda: "zoo complete" in (tmp_path / "log").read_text())
    assert len(marked(mark)) == 5  # keeper, command, child, session, daemon
    process.terminate(grace=0.5)
    assert marked(mark) == []
    assert process.poll() == -signal.SIGTERM
    assert process.exit_text() == "was ended by signal SIGTERM"


def test_leftovers_end_with_the_command(tmp_path, mark, zoo):
    process = Supervised([*zoo, "leaves"], log=tmp_path / "log")
    assert process.wait(60) == 7
    assert marked(mark) == []


OWNER = """
import os, sys, time
from pathlib import Path
from workbench.processes import Supervised
how, log, *command = sys.argv[1:]
if how == "forks":  # a fork of the owner keeps the owner's end of the pipe open
    process = Supervised(command, log=Path(log))
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
else:
    process = Supervised(command, log=Path(log))
while "zoo complete" not in Path(log).read_text():
    time.sleep(0.05)
print(process.pid, flush=True)
if how == "leaves":
    sys.exit(0)
if how == "raises":
    raise KeyboardInterrupt
time.sleep(600)
"""


def run_owner(how: str, log: Path, zoo: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PYTHON, "-c", OWNER, how, str(log), *zoo, "stays"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("how", ["stays", "forks"])
def test_killed_owner_takes_all_along(tmp_path, mark, zoo, how, monkeypatch):
    if how == "forks":
        monkeypatch.setenv("DEAF", "1")
    owner = run_owner(how, tmp_path / "log", zoo)
    assert owner.stdout is not None
    leader = int(owner.stdout.readline())
    assert psutil.pid_exists(leader)
    owner.kill()
    owner.wait()
    copies = marked(mark, besides=OWNER) if how == "forks" else []
    assert len(copies) == (1 if how == "forks" else 0)
    until(lambda: set(marked(mark)) <= set(copies))
    for copy in copies:
        copy.kill()


@pytest.mark.parametrize("how", ["leaves", "raises"])
def test_ending_owner_takes_all_along(tmp_path, mark, zoo, how):
    owner = run_owner(how, tmp_path / "log", zoo)
    owner.wait(60)
    until(lambda: marked(mark) == [])


def test_killed_with_its_whole_group_as_jupyter_does(tmp_path, mark, zoo):
    owner = run_owner("stays", tmp_path / "log", zoo)
    assert owner.stdout is not None
    owner.stdout.readline()
    os.killpg(owner.pid, signal.SIGKILL)
    owner.wait()
    until(lambda: marked(mark) == [])


def test_dropping_the_object_ends_the_group(tmp_path, mark, zoo):
    process = Supervised([*zoo, "stays"], log=tmp_path / "log")
    until(lambda: "zoo complete" in (tmp_path / "log").read_text())
    del process
    until(lambda: marked(mark) == [])


def test_killed_keeper_is_noticed(tmp_path):
    process = Supervised([PYTHON, "-c", "import time; time.sleep(600)"], log=tmp_path / "log")
    os.kill(process.keeper_pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    until(lambda: not psutil.pid_exists(process.pid))


def test_a_killed_command_is_reported(tmp_path):
    process = Supervised([PYTHON, "-c", "import time; time.sleep(600)"], log=tmp_path / "log")
    assert process.exit_text() == "is still running"
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert "SIGKILL" in process.exit_text()
    assert exit_text(-200) == "was ended by signal 200"


def test_many_threads_wait_and_one_terminates(tmp_path):
    process = Supervised([PYTHON, "-c", "import time; time.sleep(600)"], log=tmp_path / "log")
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(process.wait(60))) for _ in range(8)]
    for thread in threads:
        thread.start()
    process.terminate()
    for thread in threads:
        thread.join()
    assert codes == [-signal.SIGTERM] * 8


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.soak)])
def test_many_kill_cycles_leave_nothing(tmp_path, mark, zoo, rounds):
    for turn in range(rounds):
        folder = tmp_path / f"zoo{turn}"
        folder.mkdir()
        owner = run_owner("stays", tmp_path / f"log{turn}", [*zoo[:3], str(folder)])
        if turn % 2:  # also in the middle of starting
            time.sleep(0.1 + 0.01 * (turn % 40))
        else:
            assert owner.stdout is not None
            owner.stdout.readline()
        owner.kill()
        owner.wait()
    until(lambda: marked(mark) == [])
