"""One replica: vLLM's V1 scheduler, step by step.

Every step first serves the running requests (one token each, or 1 + k with speculation, and the prompt begun
last), then lets in waiting ones while the token budget, ``max_num_seqs`` and the KV cache allow; a prompt longer than
what is left of the budget goes on in the next step. Where the cache has no block left for a running request, the one
let in last (under "priority" the one of least priority) is sent back to the head of the queue and computes all its
tokens anew. A step costs the same number of Python operations whatever the batch, so ten thousand requests take
seconds.

References
----------
vLLM, ``vllm/v1/core/sched/scheduler.py`` (``schedule``, ``_preempt_request``): github:vllm-project/vllm
vllm/v1/core/sched/scheduler.py@00024d314514900f361ad072af6931e403b7f589; ``scheduler_reserve_full_isl`` of later
releases is ``reserve_prompt`` here.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np

from workbench.errors import InvalidInput
from workbench.simulation.law import StepLaw
from workbench.simulation.lengths import Requests, Whole
from workbench.simulation.prefixes import Prefixes


@dataclass(frozen=True, slots=True)
class Limits:
    """What one replica may do at a time; names are vLLM's.

    Parameters
    ----------
    kv_cache_tokens : int
        Tokens the cache holds.
    enable_chunked_prefill : bool
        Without, a prompt waits until it fits the budget whole.
    scheduling_policy : str
        "fcfs" or "priority".
    reserve_prompt : bool
        Let a request in only where its whole prompt has place, not its first chunk only.
    """

    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    kv_cache_tokens: int = 1_000_000
    block_size: int = 16
    enable_chunked_prefill: bool = True
    scheduling_policy: str = "fcfs"
    reserve_prompt: bool = True

    def __post_init__(self) -> None:
        for name in ("max_num_seqs", "max_num_batched_tokens", "kv_cache_tokens", "block_size"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)!r}; it must be at least 1")
        if self.scheduling_policy not in {"fcfs", "priority"}:
            raise InvalidInput(f"scheduling_policy is {self.scheduling_policy!r}; it must be 'fcfs' or 'priority'")


@dataclass(frozen=True, slots=True)
class Drafting:
    """Speculative decoding: ``tokens`` drafted a step, each accepted with probability ``acceptance`` [0–1].

    ``cost`` [s] is what drafting adds to every decode step.
    """

    tokens: int
    acceptance: float
    cost: float = 0.0


class Replica:
    """One engine: requests are pushed, steps are taken, times are kept.

    Parameters
    ----------
    law : StepLaw
        What a step takes.
    limits : Limits
    requests : Requests
        All requests there are; the replica serves those it is given.
    drafting : Drafting, optional
    seed : int
        Of the accepted drafts.

    Raises
    ------
    InvalidInput
        Where a step could not serve ``max_num_seqs`` requests.

    Attributes
    ----------
    now : float
        End of the last step [s].
    ends : list of float
        When each step ended [s].
    """

    def __init__(
        self, law: StepLaw, limits: Limits, requests: Requests, drafting: Drafting | None = None, seed: int = 0
    ) -> None:
        self.law, self.limits, self.requests, self.drafting = law, limits, requests, drafting
        self._queries = 1 + (drafting.tokens if drafting else 0)
        if limits.max_num_batched_tokens < limits.max_num_seqs * self._queries:
            raise InvalidInput(
                f"max_num_batched_tokens {limits.max_num_batched_tokens} serves fewer than max_num_seqs "
                f"{limits.max_num_seqs} requests of {self._queries} tokens a step"
            )
        self._rng = np.random.default_rng(seed)
        self._isl, self._osl = requests.isl.tolist(), requests.osl.tolist()
        self._given, self._priority = requests.cached.tolist(), requests.priority.tolist()
        self._prefix, self._prefix_tokens = requests.prefix.tolist(), requests.prefix_tokens.tolist()
        self._total = limits.kv_cache_tokens // limits.block_size
        self.now = 0.0
        self.ends: list[float] = []
        self._step = 0
        self._waiting: deque[int] = deque()
        self._ranked: list[tuple[int, int]] = []
        self.running: dict[int, None] = {}  # in the order they were let in
        self._decoding: dict[
            int, tuple[int, int, Whole | None]
        ] = {}  # request → step of its last prefill, length, draft
        self._context = 0
        self._partial: tuple[int, int, int] | None = None  # request, prompt tokens computed, prompt tokens in all
        self._finishing: defaultdict[int, list[int]] = defaultdict(list)
        self._growth: defaultdict[int, int] = defaultdict(int)
        self._emitting: defaultdict[int, int] = defaultdict(int)
        self._held: dict[int, int] = {}  # private blocks of a request
        self._private = 0
        self.prefixes = Prefixes()
        self.done: dict[int, int] = {}  # output tokens of requests sent back
        #: Request → (step of the first token, tokens of each step from there on), again after each preemption.
        self.spells: dict[int, list[tuple[int, int, Whole | None]]] = {}
        self.preemptions: dict[int, int] = {}
        self.computed: dict[int, int] = {}  # prompt tokens computed, recomputation included
        self.hits: dict[int, int] = {}
        self.peak_blocks = 0
        self.outstanding_tokens = 0

    # ------------------------------------------------------------------------------------------ the queue

    @property
    def waiting(self) -> int:
        """Requests that have not begun, or were sent back."""
        return len(self._waiting) + len(self._ranked)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.running) or self.waiting > 0

    @property
    def outstanding(self) -> int:
        """Requests not ended."""
        return len(self.running) + self.waiting

    def push(self, request: int) -> None:
        """A request arrives.

        Raises
        ------
        InvalidInput
            Where the cache could never hold it.
        """
        size = self.limits.block_size
        if -(-(self._isl[request] + self._osl[request]) // size) > self._total:
            raise InvalidInput(
                f"a request of {self._isl[request]} + {self._osl[request]} tokens does not fit a cache of "
                f"{self.limits.kv_cache_tokens}"
            )
        longest = self._isl[request] + self._osl[request] - 1  # to compute again after the last preemption
        if not self.limits.enable_chunked_prefill and longest > self.limits.max_num_batched_tokens:
            raise InvalidInput(
                f"without chunked prefill a prompt and its answer, {longest} tokens, must fit max_num_batched_tokens "
                f"{self.limits.max_num_batched_tokens}"
            )
        self.outstanding_tokens += self._isl[request] + self._osl[request]
        if self.limits.scheduling_policy == "priority":
            heapq.heappush(self._ranked, (self._priority[request], request))
        else:
            self._waiting.append(request)

    def _back(self, request: int) -> None:
        if self.limits.scheduling_policy == "priority":
            heapq.heappush(self._ranked, (self._priority[request], request))
        else:
            self._waiting.appendleft(request)

    # ------------------------------------------------------------------------------------------ time

    def advance(self, until: float) -> list[int]:
        """Take steps until ``until`` [s] is reached or nothing is left; the requests that ended."""
        ended: list[int] = []
        while self.now < until and self.busy:
            ended += self.step()
        self.now = max(self.now, until)
        return ended

    def step(self) -> list[int]:
        """One step; the requests that ended with it."""
        here = self._step
        preempted = self._make_room(here)
        prompt, completed = 0, []
        if self._partial is not None:
            request, computed, length = self._partial
            budget = self.limits.max_num_batched_tokens - len(self._decoding) * self._queries
            chunk = min(length - computed, budget)
            while not (room := self._allocate(request, computed, chunk)) and (victim := self._victim()) != request:
                self._send_back(victim, grown=True)
                preempted = True
            if room:
                prompt += chunk
                if computed + chunk == length:
                    completed.append(request)
                    self._partial = None
                else:
                    self._partial = (request, computed + chunk, length)
            else:
                self._send_back(request)
                preempted = True
        decoding, context = len(self._decoding), self._context
        if not preempted:
            budget = self.limits.max_num_batched_tokens - decoding * self._queries - prompt
            prompt += self._let_in(budget, completed)
        duration = self.law.step(decoding, self._queries, context / decoding if decoding else 0.0, prompt)
        if self.drafting and decoding:
            duration += self.drafting.cost
        self.now += duration
        self.ends.append(self.now)
        ended = self._finishing.pop(here, [])
        emitted = decoding if self.drafting is None else self._emitting.pop(here, 0)
        self._context += emitted
        self.outstanding_tokens -= emitted + prompt
        for request in ended:
            self._end(request)
        for request in completed:
            if self._begin(request, here):
                ended = [*ended, request]
        self._step = here + 1
        self.peak_blocks = max(self.peak_blocks, self._private + self.prefixes.pinned)
        return ended

    # ------------------------------------------------------------------------------------------ blocks

    @property
    def _free(self) -> int:
        return self._total - self._private - self.prefixes.pinned

    @property
    def used_tokens(self) -> int:
        """Tokens' worth of blocks that requests hold now."""
        return (self._private + self.prefixes.pinned) * self.limits.block_size

    def _allocate(self, request: int, computed: int, chunk: int) -> bool:
        size = self.limits.block_size
        shared = self._prefix_tokens[request] // size
        needed = max(-(-(computed + chunk) // size) - shared, 0) - self._held[request]
        if needed > self._free:
            return False
        self._held[request] += needed
        self._private += needed
        self.prefixes.give_way(self._free)
        return True

    def _make_room(self, here: int) -> bool:
        """Blocks that decoding requests begin in this step; sends requests back where there are none."""
        preempted = False
        while self._growth.get(here, 0) > self._free:
            self._send_back(self._victim())
            preempted = True
        grown = self._growth.pop(here, 0)
        self._private += grown
        if grown:
            self.prefixes.give_way(self._free)
        return preempted

    def _victim(self) -> int:
        if self.limits.scheduling_policy == "priority":
            return max(self.running, key=lambda request: (self._priority[request], request))
        return next(reversed(self.running))

    # ------------------------------------------------------------------------------------------ a request's life

    def _let_in(self, budget: int, completed: list[int]) -> int:
        prompt, size = 0, self.limits.block_size
        queue = self._ranked if self.limits.scheduling_policy == "priority" else self._waiting
        while queue and budget > 0 and self._partial is None and len(self.running) < self.limits.max_num_seqs:
            request = queue[0][1] if isinstance(queue[0], tuple) else queue[0]
            done = self.done.get(request, 0)
            length = self._isl[request] + done
            prefix, shared = self._prefix[request], self._prefix_tokens[request] // size
            held = min(self.prefixes.cached(prefix), shared) if prefix >= 0 else 0
            hit = min(max(held * size, self._given[request] if not done else 0), length - 1)
            chunk = length - hit
            if chunk > budget:
                if not self.limits.enable_chunked_prefill:
                    break
                chunk = budget
            new = 0
            if prefix >= 0:
                now_pinned = self.prefixes.cached(prefix) if self.prefixes.users.get(prefix, 0) else 0
                new = max(self.prefixes.cached(prefix), shared) - now_pinned
            own = max(-(-(hit + chunk) // size) - shared, 0)
            whole = max(-(-length // size) - shared, 0)
            if new + (whole if self.limits.reserve_prompt else own) > self._free:
                break
            if isinstance(queue, deque):
                queue.popleft()
            else:
                heapq.heappop(queue)
            if prefix >= 0:
                self.prefixes.take(prefix, shared)
            self.running[request] = None
            self._held[request] = own
            self._private += own
            self.prefixes.give_way(self._free)
            self.hits.setdefault(request, hit)
            self.outstanding_tokens -= hit
            self.computed[request] = self.computed.get(request, 0) + length - hit
            prompt += chunk
            budget -= chunk
            if hit + chunk == length:
                completed.append(request)
            else:
                self._partial = (request, hit + chunk, length)
        return prompt

    def _begin(self, request: int, here: int) -> bool:
        """A prompt is computed: its first token is there, its last is known; whether it has ended with that."""
        done = self.done.get(request, 0)
        length, rest = self._isl[request] + done, self._osl[request] - done - 1
        emitted = self._drafts(rest)
        steps = rest if emitted is None else len(emitted)
        self.spells.setdefault(request, []).append((here, steps + 1, emitted))
        self.outstanding_tokens -= 1
        if not rest:
            self._end(request)
            return True
        self._decoding[request] = (here, length, emitted)
        self._context += length + 1
        self._finishing[here + steps].append(request)
        self._grow(here, length, rest, emitted, 1)
        self._emit(here, emitted, 1)
        return False

    def _drafts(self, rest: int) -> Whole | None:
        """Tokens of each step until ``rest`` are out: 1 + how many drafts in a row are accepted."""
        if self.drafting is None or not rest:
            return None
        k, a = self.drafting.tokens, self.drafting.acceptance
        drawn: Whole = np.zeros(0, np.int64)
        while drawn.sum() < rest:
            more = (self._rng.random((rest, k)) < a).cumprod(axis=1).sum(axis=1) + 1
            drawn = np.concatenate([drawn, more])
        last = int(np.searchsorted(drawn.cumsum(), rest))
        emitted = drawn[: last + 1].astype(np.int64)
        emitted[-1] -= int(emitted.sum()) - rest
        return emitted

    def _grow(self, here: int, length: int, rest: int, emitted: Whole | None, sign: int, after: int = 0) -> None:
        """Note (or, with sign −1, strike out) the steps after ``after`` in which the request begins a block.

        In the j-th step after its prompt it computes token length + j, or up to as many as are accepted.
        """
        size = self.limits.block_size
        if emitted is None:
            first = -(length) % size + 1  # smallest j with (length + j − 1) divisible by size
            for j in range(first, rest + 1, size):
                if here + j > after:
                    self._growth[here + j] += sign
            return
        reached = length + np.concatenate([[0], np.cumsum(emitted)])
        blocks = np.diff(-(-reached // size))
        for j, grown in enumerate(blocks.tolist()):
            if grown and here + 1 + j > after:
                self._growth[here + 1 + j] += sign * grown

    def _emit(self, here: int, emitted: Whole | None, sign: int, after: int = 0) -> None:
        """Note (or strike out) the tokens of each step after ``after``, where drafting makes them vary."""
        for j, tokens in enumerate([] if emitted is None else emitted.tolist()):
            if here + 1 + j > after:
                self._emitting[here + 1 + j] += sign * tokens

    def _blocks_of(self, request: int, at: int) -> int:
        """Private blocks of a request before the step ``at``."""
        held = self._held[request]
        if request in self._decoding:
            here, length, emitted = self._decoding[request]
            reached = length + (at - 1 - here if emitted is None else int(emitted[: at - 1 - here].sum()))
            size = self.limits.block_size
            held += -(-reached // size) - -(-length // size)
        return held

    def _release(self, request: int, at: int) -> None:
        self._private -= self._blocks_of(request, at)
        self._held.pop(request)
        del self.running[request]
        if (prefix := self._prefix[request]) >= 0:
            self.prefixes.leave(prefix)
            self.prefixes.give_way(self._free)

    def _end(self, request: int) -> None:
        self._release(request, self._step + 1)
        if self._decoding.pop(request, None) is not None:
            self._context -= self._isl[request] + self._osl[request]

    def _send_back(self, request: int, grown: bool = False) -> None:
        """Preempt: give the blocks back, ``grown`` those of this step too; what came out is computed again later."""
        here = self._step
        self.preemptions[request] = self.preemptions.get(request, 0) + 1
        if request in self._decoding:
            began, length, emitted = self._decoding[request]
            steps = here - 1 - began
            out = steps if emitted is None else int(emitted[:steps].sum())
            rest = self._osl[request] - self.done.get(request, 0) - 1
            self._release(request, here + grown)
            del self._decoding[request]
            self._context -= length + 1 + out
            self._finishing[began + (rest if emitted is None else len(emitted))].remove(request)
            self._grow(began, length, rest, emitted, -1, after=here - 1 + grown)
            self._emit(began, emitted, -1, after=here - 1)
            self.spells[request][-1] = (began, steps + 1, None if emitted is None else emitted[:steps])
            self.done[request] = self.done.get(request, 0) + 1 + out
            self.outstanding_tokens += length + 1 + out
        else:
            assert self._partial is not None
            computed = self._partial[1]
            length = self._partial[2]
            self.computed[request] -= length - computed
            self.outstanding_tokens += computed
            self._partial = None
            self._release(request, here)
        self._back(request)
