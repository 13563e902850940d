"""No block is leaked, none is shared wrongly: whatever is asked in whatever order, a sequence reads its own keys."""

import doctest
from itertools import accumulate

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from workbench.errors import InvalidInput, UnknownName
from workbench.theory.attention.naive import attention
from workbench.theory.serving import paging
from workbench.theory.serving.paging import (
    OutOfBlocks,
    PagedCache,
    gather,
    names,
    slack_expected,
    summary,
    wasted_share,
)


def test_the_examples_hold():
    assert doctest.testmod(paging).failed == 0


def keys(tokens):
    """A stand-in for keys: a number that depends on a token and on all before it, as a real key does."""
    return list(accumulate(tokens, lambda before, token: hash((before, token)), initial=0))[1:]


#: Few, so that sequences often begin alike; and Python hashes these two alike.
TOKENS = st.sampled_from([-2, -1])


class Serving(RuleBasedStateMachine):
    """A cache that is used as a server would, beside the plainest books: each sequence's tokens in a list.

    ``memory`` is what a GPU would hold. It is written only where the cache says that nothing is there yet, so a block
    that is shared wrongly, freed too early or not copied shows as a sequence that reads another's keys.
    """

    sequences = Bundle("sequences")
    blocks, block_size = 7, 2

    def __init__(self):
        super().__init__()
        self.cache = PagedCache(self.blocks, self.block_size)
        self.memory = np.zeros((self.blocks, self.block_size), object)
        self.tokens = {}
        self.opened = 0

    def write(self, sequence, first):
        """Compute keys from a token on, and store them through the table."""
        table = self.cache.tables[sequence]
        for at, key in enumerate(keys(self.tokens[sequence])[first:], first):
            self.memory[table[at // self.block_size], at % self.block_size] = key

    def name(self):
        self.opened += 1
        return f"s{self.opened}"

    def refused(self, change):
        before = [dict(self.cache.tokens), {k: list(v) for k, v in self.cache.tables.items()}, list(self.cache.users)]
        with pytest.raises(OutOfBlocks):
            change()
        assert before == [self.cache.tokens, self.cache.tables, self.cache.users], "a refusal changed something"

    @rule(target=sequences, tokens=st.lists(TOKENS, min_size=1, max_size=12))
    def open(self, tokens):
        sequence, shared = self.name(), self.would_share(tokens)
        needed = -(-len(tokens) // self.block_size) - len(shared)
        if needed > self.cache.free - sum(not self.cache.users[block] for block in shared):
            self.refused(lambda: self.cache.open(sequence, tokens))
            return multiple()
        cached = self.cache.open(sequence, tokens)
        assert cached == len(shared) * self.block_size < len(tokens)
        self.tokens[sequence] = list(tokens)
        self.write(sequence, cached)
        return sequence

    def would_share(self, tokens):
        """Blocks whose keys are, in the memory, those of the beginning; looked for without any hash."""
        wanted, found = keys(tokens), []
        for start in range(0, len(tokens) - self.block_size, self.block_size):
            name = names(tokens, self.block_size)[start // self.block_size]
            if (block := self.cache._block_of.get(name)) is None:
                break
            assert list(self.memory[block]) == wanted[start : start + self.block_size], "found under a wrong name"
            found.append(block)
        return found

    @rule(sequence=sequences, token=TOKENS)
    def append(self, sequence, token):
        table, length = self.cache.tables[sequence], len(self.tokens[sequence])
        whole = length == len(table) * self.block_size
        if not self.cache.free and (whole or self.cache.users[table[-1]] > 1):
            self.refused(lambda: self.cache.append(sequence, token))
            return
        copy = self.cache.append(sequence, token)
        if copy:
            self.memory[copy.target] = self.memory[copy.source]
        self.tokens[sequence].append(token)
        self.write(sequence, length)

    @rule(target=sequences, sequence=sequences)
    def fork(self, sequence):
        into = self.name()
        self.cache.fork(sequence, into)
        self.tokens[into] = list(self.tokens[sequence])
        return into

    @rule(sequence=consumes(sequences))
    def close(self, sequence):
        self.cache.close(sequence)
        del self.tokens[sequence]

    def teardown(self):
        for sequence in list(self.tokens):
            self.cache.close(sequence)
        assert self.cache.free == self.blocks
        assert self.cache.slack == self.cache.saved == 0

    @invariant()
    def every_sequence_reads_its_own_keys(self):
        assert set(self.cache.tables) == set(self.tokens)
        for sequence, tokens in self.tokens.items():
            read = [key for block in self.cache.tables[sequence] for key in self.memory[block]][: len(tokens)]
            assert read == keys(tokens)

    @invariant()
    def blocks_are_counted_by_who_holds_them(self):
        held = [block for table in self.cache.tables.values() for block in table]
        assert self.cache.users == [held.count(block) for block in range(self.blocks)]
        assert self.cache.used + self.cache.free == self.blocks
        assert self.cache.used == len(set(held))
        assert self.cache.saved == len(held) - len(set(held))

    @invariant()
    def a_sequence_holds_no_more_than_its_length_rounded_up(self):
        for sequence, tokens in self.tokens.items():
            assert len(self.cache.tables[sequence]) == -(-len(tokens) // self.block_size)

    @invariant()
    def empty_places_are_what_no_token_fills(self):
        filled = {
            (block, place)
            for sequence, tokens in self.tokens.items()
            for number, block in enumerate(self.cache.tables[sequence])
            for place in range(min(self.block_size, len(tokens) - number * self.block_size))
        }
        assert self.cache.slack == self.cache.used * self.block_size - len(filled)


Serving.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
test_serving_in_any_order = Serving.TestCase


def test_a_prefix_is_found_after_its_sequence_has_ended_until_its_blocks_are_needed():
    cache = PagedCache(blocks=4, block_size=2)
    prompt = [1, 2, 3, 4, 5]
    assert cache.open("first", prompt) == 0
    cache.close("first")
    assert cache.free == 4
    assert cache.open("second", prompt) == 4
    cache.close("second")
    cache.open("other", [9] * 6)  # takes three blocks: the one that names nothing, then the prefix from its end
    cache.close("other")
    assert cache.open("third", prompt) == 2


def test_the_last_token_is_always_computed():
    cache = PagedCache(blocks=8, block_size=2)
    cache.open("a", [1, 2, 3, 4])
    assert cache.open("b", [1, 2, 3, 4]) == 2, "what comes next is read off the last token"


def test_the_same_tokens_after_others_are_not_the_same_keys():
    cache = PagedCache(blocks=8, block_size=2)
    cache.open("a", [1, 2, 8, 9, 5])
    assert cache.open("b", [3, 4, 8, 9, 5]) == 0


def test_tokens_that_python_hashes_alike_are_told_apart():
    assert hash(-1) == hash(-2)
    assert names([-1, 0], 2) != names([-2, 0], 2)


def test_a_hundred_answers_to_one_prompt_hold_the_prompt_once():
    cache = PagedCache(blocks=400, block_size=16)
    cache.open("0", list(range(160)))
    for number in range(1, 100):
        cache.fork("0", str(number))
    assert cache.used == 10
    assert all(cache.append(str(number), number) is None for number in range(100)), "the prompt's last block is full"
    assert (cache.used, cache.saved) == (110, 990)


def test_attention_through_a_table_is_attention():
    rng = np.random.default_rng(0)
    cache = PagedCache(blocks=9, block_size=4)
    k_memory, v_memory = rng.normal(size=(2, 9, 4, 8))
    cache.open("other", [7] * 5)
    cache.open("mine", [1] * 4)
    cache.open("another", [8] * 9)
    for token in range(7):
        cache.append("mine", token)
    assert np.diff(cache.tables["mine"]).max() > 1, "its blocks do not lie side by side"
    k, v, q = rng.normal(size=(3, 11, 8))
    for at in range(11):
        k_memory[cache.tables["mine"][at // 4], at % 4] = k[at]
        v_memory[cache.tables["mine"][at // 4], at % 4] = v[at]
    read = [gather(memory, cache.tables["mine"], 11) for memory in (k_memory, v_memory)]
    np.testing.assert_array_equal(attention(q, *read), attention(q, k, v))


@settings(deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.integers(1, 64))
def test_the_waste_of_lengths_is_the_caches_slack(lengths, block_size):
    cache = PagedCache(sum(-(-length // block_size) for length in lengths), block_size)
    for number, length in enumerate(lengths):
        cache.open(str(number), [number] * length)
    assert cache.free == 0
    assert wasted_share(lengths, block_size) == pytest.approx(cache.slack / (cache.used * block_size))
    assert summary(cache)["empty places in used blocks"] == cache.slack


@pytest.mark.parametrize("block_size", [1, 16, 64])
def test_expected_slack_over_all_lengths(block_size):
    lengths = range(1, 1 + 10 * block_size)
    assert np.mean([-length % block_size for length in lengths]) == slack_expected(block_size)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda cache: PagedCache(0, 16), InvalidInput),
        (lambda cache: PagedCache(8, 0), InvalidInput),
        (lambda cache: cache.open("a", [1]), InvalidInput),
        (lambda cache: cache.open("b", []), InvalidInput),
        (lambda cache: cache.fork("a", "a"), InvalidInput),
        (lambda cache: cache.fork("x", "b"), UnknownName),
        (lambda cache: cache.append("x", 1), UnknownName),
        (lambda cache: cache.close("x"), UnknownName),
        (lambda cache: cache.open("b", [1] * 99), OutOfBlocks),
    ],
)
def test_bad_input_is_refused(wrong, error):
    cache = PagedCache(8, 2)
    cache.open("a", [1, 2, 3])
    with pytest.raises(error):
        wrong(cache)
