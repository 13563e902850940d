"""Claims that are computed: the verdict that follows from the number is the one in the table."""

from __future__ import annotations

import doctest
import importlib
import math
import re

import pytest

from workbench.audit import claim, claims, computable, found
from workbench.audit.registry import computes
from workbench.audit.rules import ONE_CARD, OTHER_MODEL, Found
from workbench.errors import UnknownName


def test_only_claims_of_the_table_are_computed() -> None:
    assert set(computable()) <= {one.id for one in claims()}


@pytest.mark.parametrize("id", sorted(computable()))
def test_the_computed_verdict_is_the_tables(id: str) -> None:
    computed = found(id)
    assert isinstance(computed, Found)
    assert computed.value
    assert computed.number is None or math.isfinite(computed.number)
    assert computed.verdict == claim(id).verdict, f"{id}: {claim(id).guide_value} beside {computed.value}"


def test_what_cannot_be_verified_is_not_computed() -> None:
    assert not {one.id for one in claims(verdict="unverifiable")} & set(computable())


#: Told in another unit than the guide writes, or worked out from its formula.
NOT_WRITTEN = {
    "C003-055", "C003-056", "C003-058", "C003-081", "C003-082", "C003-012", "C004-003", "C004-005", "C004-018",
    "C004-019", "C004-024", "C004-027", "C004-072",
}  # fmt: skip


@pytest.mark.parametrize("id", sorted(set(computable()) - NOT_WRITTEN))
def test_the_number_compared_is_the_guides(id: str) -> None:
    told = found(id).told
    if told is None:
        return
    written = [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*\.?\d*", claim(id).guide_value)]
    assert any(math.isclose(told, each, rel_tol=1e-3) for each in written), f"{told} in {claim(id).guide_value!r}"


def test_claims_with_limits_of_their_own_are_two() -> None:
    """What is not judged by the common limits is named in rules.py, with its reason."""
    own = {
        id: limits
        for id, make in computable().items()
        if (limits := getattr(make, "keywords", {}).get("limits")) is not None
    }
    assert own == {"C002-009": ONE_CARD, "C003-049": OTHER_MODEL}


def test_a_cited_claim_is_not_computed() -> None:
    with pytest.raises(UnknownName, match="C003-007"):
        found("C003-007")


def test_a_claim_has_one_function() -> None:
    with pytest.raises(ValueError, match="two functions compute C000-026"):
        computes("C000-026")(lambda: Found("", None, "correct"))


def test_a_manifest_that_lacks_nothing_is_not_judged() -> None:
    from workbench.audit.computed.manifests import deployment, lacking

    for given in ("template", "volumeMounts", "initialDelaySeconds"):
        assert lacking(deployment(), given).verdict == "correct"


@pytest.mark.parametrize(
    "name",
    [
        "workbench.audit",
        *("workbench.audit." + name for name in ("claims", "registry", "rules", "sources")),
        "workbench.ui.claims",
    ],
)
def test_examples_in_docstrings_hold(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_a_change_of_the_number_changes_the_verdict() -> None:
    """The rules decide, not the table: the same function with another figure comes to another verdict."""
    from workbench.audit.computed.fits import enough
    from workbench.audit.computed.sizes import LLAMA_2_7B, LLAMA_3_70B, size

    assert [size(told, LLAMA_2_7B, "awq").verdict for told in (3.9, 4.5, 7)] == ["correct", "approximately", "wrong"]
    assert [enough(told, LLAMA_3_70B).verdict for told in (2, 4, 8)] == ["wrong", "correct", "approximately"]
