"""The readiness panel, without a page: choices, keys, a run followed, a report shown."""

import pytest
import traitlets
from checklist.endpoint import KEY, Endpoint
from checklist.files import manifests, written
from visiting import wait_until

from workbench.errors import WorkbenchError
from workbench.ui import ReadinessPanel


def press(panel, action, **arguments):
    """What a button of the page does."""
    panel._asked(panel, {"action": action, "arguments": arguments}, None)


@pytest.mark.parametrize(
    ("change", "says", "field"),
    [
        ({"url": "localhost"}, "http://host:port", "url"),
        ({"folder": "./nothing"}, "no model folder", "folder"),
        ({"log": "./nothing"}, "no log", "log"),
        ({"manifests": "./nothing"}, "no manifests", "manifests"),
        ({"prometheus": "nine"}, "Prometheus", "prometheus"),
        ({"thresholds": "./nothing"}, "cannot be read", "thresholds"),
        ({"profile": "night"}, "chat or batch", "profile"),
        ({"strict": 1}, "yes or no", "strict"),
        ({"url": 7}, "a text", "url"),
        ({"colour": "red"}, "no 'colour'", "colour"),
    ],
)
def test_what_cannot_be_chosen_is_told_at_its_field(change, says, field):
    panel = ReadinessPanel()
    before = panel.choice
    with pytest.raises(traitlets.TraitError, match=says):
        panel.choice = change
    assert panel.choice == before
    assert panel.set_state({"choice": {**before, **change}}) is True
    assert says in panel.problems[field]


def test_keys_stay_in_the_kernel():
    panel = ReadinessPanel("http://127.0.0.1:1", other_key="second-key")
    press(panel, "key", name="api_key", value=KEY)
    assert panel.keys_given == ["api_key", "other_key"]
    assert KEY not in str(panel.get_state())
    assert "second-key" not in str(panel.get_state())
    assert "api_key=API_KEY" in panel.python
    press(panel, "key", name="api_key", value="ü")
    assert "API key" in panel.problems["api_key"]
    press(panel, "key", name="password", value="x")
    assert panel.problems
    press(panel, "key", name="api_key", value="")
    assert panel.keys_given == ["other_key"]


def test_the_same_in_python(tmp_path):
    file = written(tmp_path / "m.yaml", manifests())
    panel = ReadinessPanel("http://127.0.0.1:1", profile="batch", manifests=f"{file}, {file}", model="m")
    panel.choice = {"strict": True}
    text = (
        f"wb.readiness('http://127.0.0.1:1', profile='batch', model='m', manifests=['{file}', '{file}'], strict=True)"
    )
    assert text in panel.python


def test_a_run_is_started_followed_and_shown():
    with Endpoint(auth=False) as faulty:
        panel = ReadinessPanel(faulty.url, api_key=KEY, changes={"concurrency": 2, "ttft": 2})
        assert sum(len(stage["checks"]) for stage in panel.stages) == 36
        press(panel, "start")
        assert panel.problems == {}
        with pytest.raises(WorkbenchError, match="running already"):
            panel.start()
        wait_until(lambda: panel.verdict.get("state") == "not ready", 30, "the checks are over")
        assert len(panel.answers) == 36
        assert "Nobody gets in without a valid key" in panel.verdict["summary"]
        assert panel.verdict["counts"]["fail"] == panel.report.counts["fail"]
        sent = []
        panel.send = sent.append
        press(panel, "page")
        assert "<html" in sent[0]["page"]
        assert KEY not in str(sent) + str(panel.get_state())


def test_a_run_is_cancelled():
    with Endpoint(hangs="generation") as slow:
        panel = ReadinessPanel(slow.url, api_key=KEY)
        press(panel, "page")
        assert "no report yet" in panel.problems[""]
        press(panel, "start")
        press(panel, "cancel")
        wait_until(lambda: panel.verdict.get("state") == "not ready", 10, "the run has ended")
        assert "cancelled" in panel.verdict["summary"]
