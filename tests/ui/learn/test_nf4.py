"""Pictures of NF4: levels among their values, and what the tables lose."""

from __future__ import annotations

import pytest

from workbench.ui.learn.pictures import nf4


def shape(picture):
    return [trace.type for trace in picture.figure.data]


@pytest.mark.parametrize("block", [32, 1024])
@pytest.mark.parametrize("table", nf4.TABLES)
def test_levels_stand_among_the_values(table, block):
    picture = nf4.levels(table, block)
    assert shape(picture) == shape(nf4.levels())
    chosen = picture.figure.data[1].x
    assert len(chosen) == (15 if table == "INT4" else 16)
    assert max(abs(chosen)) <= 1
    lost = dict(zip(nf4.TABLES, nf4.lost(block).figure.data[0].y, strict=True))
    assert f"{lost[table]:.5f} σ²" in picture.said
    assert min(lost.values()) == lost["best for blocks"]
    assert f"{lost['NF4']:.5f} σ²" in nf4.lost(block).said


def test_nf4_gains_a_quarter_on_int4():
    assert "27% less" in nf4.lost(64).said
