"""The table of claims: whole, in our own words, with sources that a reader can open."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

from workbench.audit import GUIDES, TOPICS, VERDICTS, Claim, claim, claims, computable, table
from workbench.datafiles import read_rows
from workbench.errors import InvalidInput, UnknownName

ROOT = Path(__file__).resolve().parents[2]
#: The guides themselves, where somebody keeps them beside the checkout; they are not ours to ship.
KEPT = ROOT.parent / "shared" / "guides"
#: How many claims each guide makes.
MADE = {"C000": 49, "C001": 27, "C002": 43, "C003": 97, "C004": 80}

ADDRESS = re.compile(r"https://[\w.-]+\.[a-z]{2,}(/\S*)?")
REPOSITORY = re.compile(r"github:[\w.-]+/[\w.-]+ [\w./-]+(@[0-9a-f]{7,40})?")
PAPER = re.compile(r"arXiv \d{4}\.\d{4,5}")


def test_every_claim_is_there_once() -> None:
    rows = [row["id"] for row in read_rows("claims.csv")]
    expected = [f"{guide}-{number:03}" for guide, count in MADE.items() for number in range(1, count + 1)]
    assert rows == expected
    assert len(rows) == 296


@pytest.mark.parametrize("name", ["claim", "guide_value", "why"])
def test_nothing_is_left_blank(name: str) -> None:
    assert not [one.id for one in claims() if not getattr(one, name).strip()]


def test_words_of_the_table_are_those_of_the_code() -> None:
    assert {one.verdict for one in claims()} == set(VERDICTS)
    assert {one.topic for one in claims()} == set(TOPICS)
    assert all(one.guide == GUIDES[one.id[:4]] for one in claims())


def test_claims_are_sentences() -> None:
    for one in claims():
        for text in (one.claim, one.why):
            assert text.endswith("."), f"{one.id}: {text}"
            assert "  " not in text, one.id
            assert ".." not in text, one.id


def is_source(text: str) -> bool:
    """Whether a reader can open it: an address, a file of a repository, a paper, a table or a module of ours."""
    if text == "guide" or any(form.fullmatch(text) for form in (ADDRESS, REPOSITORY, PAPER)):
        return True
    if text.startswith("data/"):
        return (ROOT / text).exists()
    return text.startswith("workbench.") and importlib.util.find_spec(text) is not None


def test_sources_can_be_opened() -> None:
    wrong = [(one.id, source) for one in claims() for source in one.sources if not is_source(source)]
    assert not wrong


def test_only_what_cannot_be_checked_has_no_source() -> None:
    without = [one for one in claims() if not one.sources and one.id not in computable()]
    assert {one.verdict for one in without} == {"unverifiable"}


def cited(one: Claim) -> bool:
    return any(form.fullmatch(source) for source in one.sources for form in (ADDRESS, REPOSITORY, PAPER))


def test_most_claims_are_computed_or_cited() -> None:
    live = set(computable())
    by_source = {one.id for one in claims() if one.verdict != "unverifiable" and cited(one)} - live
    assert len(live) >= 220
    assert len(by_source) >= 45
    assert len(live | by_source) >= 265


def test_claims_are_found_by_topic_verdict_and_words() -> None:
    assert [one.id for one in claims("monitoring", "outdated")] == ["C004-058", "C004-059"]
    assert "C001-015" in [one.id for one in claims(words="EQUALS llama.cpp")]
    assert claims(words="vllm zebra") == ()
    assert claim("C004-008").topic == "methods"
    assert sum(Counter(one.verdict for one in claims()).values()) == len(table())
    assert list(table(verdict="wrong").columns) == [name for name in Claim.__slots__ if name != "id"]


def test_unknown_topics_verdicts_and_ids_are_refused() -> None:
    with pytest.raises(InvalidInput, match="topic 'cooking' is not one of hardware"):
        claims("cooking")
    with pytest.raises(InvalidInput, match="verdict 'true' is not one of correct"):
        claims(verdict="true")
    with pytest.raises(UnknownName, match="C000-999"):
        claim("C000-999")


# ------------------------------------------------------------------------------------------------ our own words


def runs(text: str, length: int = 6) -> set[tuple[str, ...]]:
    """Every run of so many plain words; names, options and figures are nobody's, a Chinese character is a word."""
    spaced = re.sub(r"([\u4e00-\u9fff])", r" \1 ", text.casefold())
    words = [word for each in spaced.split() if (word := each.strip(".,;:!?()*`'\"#|")).isalpha()]
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def test_no_sentence_is_a_guides_own() -> None:
    if not KEPT.is_dir():
        pytest.skip("the guides are not kept beside this checkout")
    theirs = set().union(*(runs(path.read_text(encoding="utf-8")) for path in KEPT.glob("*.txt")))
    assert len(theirs) > 5_000
    copied = {one.id: found for one in claims() if (found := (runs(one.claim) | runs(one.why)) & theirs)}
    assert not copied


def test_every_text_is_english() -> None:
    for one in claims():
        assert "".join((one.claim, one.guide_value, one.why)).isascii(), one.id
