"""``workbench readiness``: the list, exit status, reports, bad input in one line."""

import json

import pytest
from checklist.endpoint import KEY, Endpoint

from workbench.cli import main


def test_the_list_names_every_check_and_figure(capsys):
    assert main(["readiness", "--list", "--profile", "batch", "--threshold", "ttft=1.25"]) == 0
    text = capsys.readouterr().out
    assert "service.probes" in text
    assert "at most 1.25 s" in text
    assert "at least 1,000 tokens/s" in text
    assert main(["readiness", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert len(listed["checks"]) == 36
    assert listed["thresholds"]["tps"] == {"value": 30.0, "unit": "tokens/s", "better": "high"}


def test_it_judges_tells_and_writes(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_API_KEY", KEY)
    words = ["--checks", "service.api", "service.probes", "--report", str(tmp_path / "r.html"), "--report"]
    with Endpoint() as good:
        assert main(["readiness", good.url, *words, str(tmp_path / "r.json")]) == 0
        said = capsys.readouterr().out
        assert main(["readiness", good.url, *words, str(tmp_path / "r.md"), "--strict"]) == 1
        strict = capsys.readouterr().out
        assert main(["readiness", good.url, "--checks", "service.api", "--api-key", "wrong", "--json"]) == 1
        wrong = json.loads(capsys.readouterr().out)
    assert "pass        service.api" in said
    assert "not checked service.probes" in said
    assert "to prove: Give the Kubernetes manifests" in said
    assert "\nready: Nothing failed, as far as it was checked; 1 could not be checked" in said
    assert "\nnot ready:" in strict
    assert wrong["ready"] is False
    assert wrong["checks"][0]["evidence"][0]["answered"].startswith("HTTP 401")
    assert json.loads((tmp_path / "r.json").read_text())["counts"]["pass"] == 1
    assert "<html" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.md").read_text().startswith("# Readiness: not ready")
    assert KEY not in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give the endpoint's address"),
        (["localhost:8000"], "http://host:port"),
        (["http://127.0.0.1:1", "--profile", "night"], "one of chat, batch"),
        (["http://127.0.0.1:1", "--threshold", "ttft"], "NAME=VALUE"),
        (["http://127.0.0.1:1", "--threshold", "tftt=1"], "did you mean 'ttft'"),
        (["http://127.0.0.1:1", "--checks", "service.probe"], "did you mean 'service.probes'"),
        (["http://127.0.0.1:1", "--log", "none.log"], "there is no log none.log"),
        (["http://127.0.0.1:1", "--manifests", "none"], "there are no manifests at none"),
        (["http://127.0.0.1:1", "--needs", "none.yaml"], "cannot be read"),
        (["http://127.0.0.1:1", "--report", "r.pdf"], ".html, .md or .json"),
        (["http://127.0.0.1:1", "--timeout", "-1"], "seconds above 0"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["readiness", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
