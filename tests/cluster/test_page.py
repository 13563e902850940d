"""Where work is done, chosen on a page: a cluster by its address, what its nodes have, and what goes wrong."""

from __future__ import annotations

import json
import re
import threading

import pytest
import traitlets
from playwright.sync_api import Locator, expect
from visiting import Visit, ask, page_of
from waiting import until

from workbench import builtin
from workbench.cli.app import PAGES
from workbench.cluster import Cluster
from workbench.datafiles import notebook_path
from workbench.errors import MissingPart
from workbench.ui import BenchPanel, MethodsPanel, QuantizePanel, ServePanel
from workbench.ui.where import PlacedPanel

SOURCE = """
from ipywidgets import VBox
from workbench.ui import BenchPanel, MethodsPanel, QuantizePanel, ServePanel
VBox([MethodsPanel("builtin", ["fp8_dynamic"]), QuantizePanel("builtin"), ServePanel("builtin"), BenchPanel("builtin")])
"""
#: Longest wait for what a cluster says of itself [ms].
ASKED = 90_000


def choose(panel: Locator, address: str) -> None:
    box = panel.get_by_label("Address of the cluster")
    if not box.is_visible():
        panel.get_by_label("A Ray cluster").check()
    box.fill(address)
    box.press("Enter")


@pytest.mark.browser
def test_a_cluster_is_named_and_what_it_has_is_shown(nodes, chromium, tmp_path):
    with page_of(SOURCE, tmp_path) as app:
        seen = Visit(chromium.new_page()).watch()
        page = seen.page
        page.goto(app.url)
        panels = page.locator(".wb")
        expect(panels).to_have_count(4, timeout=60_000)
        methods, quantize, serve, bench = (panels.nth(at) for at in range(4))
        for panel in panels.all():
            expect(panel.get_by_label("This machine")).to_be_checked()
            expect(panel.get_by_label("Address of the cluster")).to_be_hidden()
        quantize.get_by_label("A Ray cluster").check()
        expect(quantize.get_by_text("Until it has an address, this machine does the work.")).to_be_visible()
        choose(quantize, "somewhere")
        expect(quantize.get_by_text("names no Ray cluster; write ray://HOST:10001")).to_be_visible()
        expect(quantize.get_by_label("The same in Python")).not_to_contain_text("on=")
        choose(quantize, "ray://127.0.0.2:9")
        expect(quantize.get_by_text(re.compile("No Ray cluster answers at ray://127.0.0.2:9"))).to_be_visible()
        expect(quantize.get_by_role("button", name="Try again")).to_be_visible()

        choose(methods, nodes.address)
        rows = methods.locator(".wb-nodes tbody tr")
        expect(rows).to_have_count(2, timeout=ASKED)
        expect(methods.get_by_text("2 nodes. What none has free now is waited for.")).to_be_visible()
        expect(rows.filter(has_text="127.0.0.2")).to_contain_text("1 of 1")
        expect(rows.filter(has_text="127.0.0.3")).to_contain_text("1 of 1")
        expect(methods.get_by_label("The same in Python")).to_contain_text(f"on='{nodes.address}'")
        for panel in (serve, bench):
            choose(panel, "ray://127.0.0.2:9")
            expect(panel.get_by_label("The same in Python")).to_contain_text("on='ray://127.0.0.2:9'")
        methods.get_by_label("This machine").check()
        expect(rows).to_have_count(0)
        expect(methods.get_by_label("The same in Python")).not_to_contain_text("on=")
        # What runs stays where it is.
        bench.get_by_label("Server", exact=True).fill("http://127.0.0.1:9")
        bench.get_by_label("Server", exact=True).press("Enter")
        expect(bench.get_by_label("Address of the cluster")).to_be_hidden()
        expect(bench.get_by_label("The same in Python")).not_to_contain_text("on=")
        for width in (1280, 420):
            page.set_viewport_size({"width": width, "height": 900})
            for check in ("wide", "nameless", "dangling", "doubled"):
                assert ask(page, check) == []
        assert seen.errors == []
        assert seen.elsewhere() == []
        page.close()


def test_a_page_chooses_and_python_says_what_came_of_it(monkeypatch, tmp_path):
    """The newest choice counts, whichever is answered first; what is asked of a node stays with its address."""
    first, free = threading.Event(), {"CPU": 3.0, "GPU": 1.0, "memory": 2.0**30}
    node = {
        "address": "10.0.0.7", "host": "big", "free": free,
        "resources": {"CPU": 64.0, "GPU": 8.0, "memory": 2.0**40, "accelerator_type:H100": 1.0},
    }  # fmt: skip

    def look(cluster: Cluster, **_):
        if "slow" in cluster.address:
            first.wait(30)
            raise MissingPart("too late")
        return {"nodes": [node, {**node, "free": None, "resources": {"CPU": 2.0}}]}

    monkeypatch.setattr(Cluster, "look", look)
    panel = QuantizePanel("builtin", on=Cluster("ray://slow", cpus=8))
    assert panel.where["status"] == "asking"
    assert "on=wb.Cluster('ray://slow:10001', cpus=8)" in panel.python
    panel._asked(None, {"action": "place", "arguments": {"address": "ray://slow:10001/"}}, None)
    assert panel.on.cpus == 8
    panel._asked(None, {"action": "place", "arguments": {"address": " ray://head "}}, None)
    assert panel.problems == {}
    until(lambda: panel.where["status"] == "known")
    first.set()
    assert panel.where["nodes"] == [
        {"address": "10.0.0.7", "host": "big", "card": "H100", "gpus": [1.0, 8.0], "cpus": [3.0, 64.0],
         "memory": [2.0**30, 2.0**40]},
        {"address": "10.0.0.7", "host": "big", "card": "", "gpus": [None, 0.0], "cpus": [None, 2.0],
         "memory": [None, 0.0]},
    ]  # fmt: skip
    for wrong in ("http://head:8265", "head", 7):
        panel._asked(None, {"action": "place", "arguments": {"address": wrong}}, None)
        assert panel.problems["on"]
        assert panel.where["address"] == "ray://head:10001"
    with pytest.raises(traitlets.TraitError):
        panel.place("head")
    panel._asked(None, {"action": "place", "arguments": {"address": ""}}, None)
    assert (panel.on, panel.where["status"], "on=" in panel.python) == (None, "", False)


def test_what_is_chosen_goes_to_what_is_started(monkeypatch, tmp_path):
    monkeypatch.setattr(Cluster, "look", lambda *_, **__: {"nodes": []})
    given: list[object] = []

    def take(*_, **options):
        given.append(options["on"])
        raise MissingPart("far enough")

    for name in ("quantizers.quantize", "serving.serve", "ui.methods.try_methods", "ui.bench.bench"):
        monkeypatch.setattr(f"workbench.{name}", take)
    panels = [
        QuantizePanel("builtin"), ServePanel("builtin"), MethodsPanel("builtin", ["awq"], tmp_path / "tried"),
        BenchPanel("builtin"),
    ]  # fmt: skip
    for panel in panels:
        panel.put("auto")
        panel._asked(None, {"action": "start", "arguments": {}}, None)
    until(lambda: len(given) == 4)
    assert given == [Cluster("auto")] * 4
    # What runs stays where it is.
    (serving, measuring) = ServePanel("http://127.0.0.1:9", on="auto"), BenchPanel("http://127.0.0.1:9", on="auto")
    assert "on=" not in serving.python + measuring.python
    serving._asked(None, {"action": "start", "arguments": {}}, None)
    assert given[4:] == [None]


def test_pages_for_others_start_nothing_anywhere():
    """The app's notebooks hold none of the panels that may name a cluster."""
    panels = {kind.__name__ for kind in PlacedPanel.__subclasses__()}
    assert panels == {"BenchPanel", "MethodsPanel", "QuantizePanel", "ServePanel"}
    books = [notebook_path(name) for name, _ in PAGES.values()]
    books += [book for page in books if page.parent != notebook_path() for book in page.parent.glob("*.ipynb")]
    for book in books:
        text = book.read_text(encoding="utf-8")
        assert not [panel for panel in panels if panel in text], book.name


@pytest.mark.soak
@pytest.mark.browser
@pytest.mark.environment
def test_a_model_is_quantised_on_a_node_from_the_page(nodes, chromium, tmp_path):
    builtin.ensure()
    source = "from workbench.ui import QuantizePanel\nQuantizePanel('builtin', 'w4a16_rtn', 'made')"
    with page_of(source, tmp_path) as app:
        seen = Visit(chromium.new_page()).watch()
        page = seen.page
        page.goto(app.url)
        choose(page.locator(".wb"), nodes.address)
        expect(page.locator(".wb-nodes tbody tr")).to_have_count(2, timeout=ASKED)
        page.get_by_role("button", name="Quantise").click()
        expect(page.get_by_text("starting: on 127.0.0.")).to_be_visible(timeout=ASKED)
        page.get_by_role("button", name="Look again").click()
        expect(page.locator(".wb-nodes tbody tr", has_text="0 of 1")).to_have_count(1, timeout=ASKED)
        expect(page.get_by_text("Size on disk")).to_be_visible(timeout=600_000)
        assert seen.errors == []
        page.close()
    made = json.loads((tmp_path / "made" / "workbench.json").read_text())
    assert made["node"]["address"] in ("127.0.0.2", "127.0.0.3")
    nodes.clean()
