"""llama.cpp answers as transformers does: the same model, as a GGUF file of its own floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench import builtin, jobs

WORKER = Path(__file__).with_name("model_worker.py")
SLEEP = builtin.SLEEP_WHILE_WAITING  # two jobs on the same cores otherwise take many times as long

pytestmark = pytest.mark.environment


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What transformers and llama.cpp say of the built-in model."""
    place = tmp_path_factory.mktemp("both")
    found = []
    for engine, environment in (("transformers", "quantize"), ("llama.cpp", "llama-cpp")):
        request = {"engine": engine, "folder": str(builtin.ensure()), "kept": str(place / "kept")}
        found.append(jobs.start(engine, WORKER, request, environment, place / environment, variables=SLEEP).wait(1800))
    return found[0], found[1]


def test_perplexity_and_distributions_are_transformers(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = both
    assert ours["tokens"] == theirs["tokens"] >= 800
    assert ours["perplexity"] == pytest.approx(theirs["perplexity"], rel=0.005)
    assert abs(ours["divergence"]) < 1e-5
    assert ours["agreement"] > 0.999
    assert ours["said"] == theirs["said"]
    assert ours["runs_in"] == "llama.cpp"
    assert ours["layers"] == []  # what cannot be seen is not made up
    assert ours["facts"] == ours["perplexity"]


def test_rows_are_probabilities_and_do_not_depend_on_what_is_asked(both: Any) -> None:
    ours = both[1]
    assert ours["sums"] == pytest.approx([1.0, 1.0], abs=1e-4)
    assert ours["later"] < 1e-4
    assert ours["longest"] == 512


def test_held_out_text_has_the_same_tokens(both: Any) -> None:
    assert both[1]["documents"] > 200
    assert both[1]["differing"] == 0
