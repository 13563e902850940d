"""A whole model pruned: what hooks see, what is cut, what was measured."""

from __future__ import annotations

import pytest

from workbench import builtin
from workbench.builtin import text
from workbench.errors import InvalidInput
from workbench.theory.pruning.whole_model import CUTS, Cut, measured, start, table


@pytest.mark.parametrize(
    "bad", [("size", "half"), ("wanda", "3:4"), ("wanda", 1), ("layer", "half"), ("layer", 0), ("layer", True)]
)
def test_what_is_no_cut_is_refused(bad):
    with pytest.raises(InvalidInput, match=r"method is|what is"):
        Cut(*bad)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"calibration": []}, "texts"), ({"held_out": []}, "texts"), ({"cuts": []}, "one cut"), ({"tokens": 1}, "tokens")],
)
def test_what_cannot_be_measured_is_refused(change, said):
    given = {"cuts": CUTS, "calibration": ["a"], "held_out": ["b"]} | change
    with pytest.raises(InvalidInput, match=said):
        start("nowhere", given.pop("cuts"), **given)


@pytest.mark.environment
@pytest.mark.timeout(1200)
def test_cuts_of_the_built_in_model():
    """Each method's zeros are where it says, and one layer less is a model that still speaks, worse."""
    cuts = [Cut("magnitude", "half"), Cut("sparsegpt", "2:4"), Cut("layer", 1), Cut("layer", 3)]
    job = start(
        builtin.ensure(),
        cuts,
        calibration=[document.text for document in text.training()[:20]],
        held_out=[document.text for document in text.held_out()],
        calibration_tokens=600,
        tokens=600,
    )
    result = job.wait(1200)
    rows = table(result)
    assert rows["zeros"].tolist() == pytest.approx([0, 0.5, 0.5, 0, 0], abs=1e-3)
    assert rows["change"].iloc[0] == 0
    assert (rows["change"].iloc[1:] > 0).all()
    assert rows["influence"].iloc[3:].between(0, 2).all()
    assert rows["kl_divergence"].iloc[1:3].between(0, 3).all()


def test_what_was_measured_holds_every_cut():
    rows = measured()
    assert list(zip(rows["method"], rows["what"], strict=True)) == [
        ("original", ""),
        *((cut.method, str(cut.what)) for cut in CUTS),
    ]
    assert rows["change"].between(rows["change_low"], rows["change_high"]).all()
    ratio = rows["perplexity"] / rows["perplexity"].iloc[0] - 1
    assert rows["change"].tolist() == pytest.approx(ratio.tolist(), abs=1e-3)
    assert rows["zeros"][rows["what"].isin(["half", "2:4"])].tolist() == pytest.approx([0.5] * 6, abs=1e-3)


def test_what_it_shows():
    """2:4 costs more than a half anywhere; SparseGPT loses less than a choice by size alone."""
    change = measured().set_index(["method", "what"])["change"]
    for method in ("magnitude", "wanda", "sparsegpt"):
        assert change[method, "2:4"] > change[method, "half"]
    for what in ("half", "2:4"):
        assert change["sparsegpt", what] < change["magnitude", what]
