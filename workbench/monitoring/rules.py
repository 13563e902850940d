"""What numbers say about an engine: each rule a small function, with its threshold and where it comes from.

The folklore of troubleshooting is not among them. Memory in use says nothing: vLLM takes 92 % of a card when it starts,
so a check for 85 % warns on every healthy server; what counts is how full its KV cache is, whether requests are sent
back, and what is left outside. A full card is no reason to lower ``--gpu-memory-utilization`` either: the cache lies
inside that share. And fewer sequences at a time do not shorten a wait: they move it into the queue.

References
----------
vLLM, "Optimization and Tuning", https://docs.vllm.ai/en/stable/configuration/optimization/;
vLLM 0.32.0, ``v1/metrics/loggers.py`` (what is counted) and ``config/cache.py`` (the share and its default);
Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009, https://doi.org/10.1145/1498765.1498785.
"""

from __future__ import annotations

#: A KV cache this full leaves no place for another request of usual length. A choice of ours.
FULL = 0.9
#: A card or processor that is busy for so much of the time is what the engine waits for. A choice of ours.
BUSY = 0.9
#: A card that rests for more than a third of the time while requests run waits for somebody else. A choice of ours.
RESTS = 0.65
#: One Python thread at work all the time, as a sampler sees it.
WHOLE_CORE = 0.9
#: Share of the readings in which clocks are lowered, from which on it is more than a moment.
OFTEN = 0.25
#: Free memory of a card outside vLLM's share, below which an allocation of NCCL's or of another process may fail.
SPARE = 512 * 2**20
#: Share of the RAM that the system needs free before it starts to swap or to kill.
SPARE_RAM = 0.05


def waits_all_the_time(least: float) -> bool:
    """Whether the queue, at its shortest in a while, held a request: one that comes and goes is no queue.

    >>> waits_all_the_time(2), waits_all_the_time(0)
    (True, False)
    """
    return least >= 1


def preempts(per_s: float) -> bool:
    """Whether running requests are sent back for want of cache, to be computed again [1/s].

    The first sign that the cache is too small for the batch: each one costs its whole prompt once more.

    >>> preempts(0.0), preempts(0.2)
    (False, True)
    """
    return per_s > 0


def cache_holds_back(kv_usage: float, waiting: float) -> bool:
    """Whether requests wait because the KV cache [share, 0 to 1] is full; ``waiting`` all the time.

    A full cache with nobody waiting is a batch that just fits, and no trouble.

    >>> cache_holds_back(0.97, 3), cache_holds_back(0.97, 0), cache_holds_back(0.4, 3)
    (True, False, False)
    """
    return waits_all_the_time(waiting) and kv_usage >= FULL


def seats_taken(running: float, max_num_seqs: float, waiting: float) -> bool:
    """Whether requests wait because the batch holds ``max_num_seqs``, all ranks together.

    >>> seats_taken(128, 128, 5), seats_taken(90, 128, 5), seats_taken(128, 128, 0)
    (True, False, False)
    """
    return waits_all_the_time(waiting) and running >= max_num_seqs


def seats_look_taken(least: float, most: float, waiting: float, kv_usage: float) -> bool:
    """Whether the batch looks limited where the limit is not known: always as many run, others wait, cache is free.

    >>> seats_look_taken(64, 64, 9, 0.3), seats_look_taken(40, 64, 9, 0.3), seats_look_taken(64, 64, 9, 0.95)
    (True, False, False)
    """
    return waits_all_the_time(waiting) and least == most >= 1 and kv_usage < FULL


def waits_more_than_it_works(queue: float, ttft: float) -> bool:
    """Whether half or more of the mean time to the first token [s] passes in the queue [s].

    >>> waits_more_than_it_works(1.5, 2.0), waits_more_than_it_works(0.01, 0.2)
    (True, False)
    """
    return ttft > 0 and queue >= 0.5 * ttft


def prompt_share(prompt: float, said: float, cached: float = 0.0) -> float:
    """Share of the tokens computed that are prompts', from 0 to 1 [-]; of rates [tokens/s], NaN of nothing.

    >>> prompt_share(900.0, 100.0), prompt_share(900.0, 100.0, cached=800.0), prompt_share(0.0, 0.0)
    (0.9, 0.5, nan)
    """
    computed = max(prompt - cached, 0.0)
    return computed / (computed + said) if computed + said > 0 else float("nan")


def ridge_tokens(flops: float, bandwidth: float, bytes_per_weight: float = 2.0) -> float:
    """Tokens in a step from which on a dense model computes longer than it reads its weights [tokens].

    A token costs 2 FLOP a weight and a step reads each weight once: flops · bytes_per_weight / (2 · bandwidth).

    Parameters
    ----------
    flops : float
        Dense peak in the type the weights are multiplied in [FLOP/s].
    bandwidth : float
        Of the card's memory [B/s].
    bytes_per_weight : float
        As stored [B].

    Notes
    -----
    A mixture of experts shares a step's tokens out among its experts and has its ridge later.

    Examples
    --------
    An L40S in BF16, 362 TFLOP/s and 864 GB/s, and an H100 SXM5, 989 TFLOP/s and 3.35 TB/s:

    >>> round(ridge_tokens(362e12, 864e9)), round(ridge_tokens(989e12, 3.35e12))
    (419, 295)
    """
    return flops * bytes_per_weight / (2 * bandwidth)


def computes_more_than_it_reads(step_tokens: float, ridge: float) -> bool:
    """Whether a mean step [tokens] lies beyond the ridge [tokens]: arithmetic, not reading, takes the time.

    >>> computes_more_than_it_reads(2048, 419), computes_more_than_it_reads(16, 419)
    (True, False)
    """
    return step_tokens >= ridge


def is_busy(share: float) -> bool:
    """Whether a card's or a processor's share of busy time, from 0 to 1, is all there is.

    >>> is_busy(0.97), is_busy(0.6)
    (True, False)
    """
    return share >= BUSY


def others_take_it(busy: float, engine: float, processors: float) -> bool:
    """Whether most of what busy processors do is for others than the engine; busy share, its cores, all cores [-].

    >>> others_take_it(0.98, 0.3, 8), others_take_it(0.98, 7.5, 8)
    (True, False)
    """
    return engine < 0.5 * busy * processors


def card_waits_for_host(utilization: float, busiest: float, running: float) -> bool:
    """Whether the card rests while requests run, and one of the engine's processes never does.

    Parameters
    ----------
    utilization : float
        Share of the time in which the card ran a kernel, from 0 to 1 [-].
    busiest : float
        Processors that the engine's busiest process keeps busy [-]; a Python thread has one at most.
    running : float
        Requests that run.

    Notes
    -----
    A process that waits for the card may spin, so a whole core alone says nothing; with a card that rests it does.

    Examples
    --------
    >>> card_waits_for_host(0.4, 0.99, 8), card_waits_for_host(0.97, 0.99, 8), card_waits_for_host(0.4, 0.2, 8)
    (True, False, False)
    """
    return running >= 1 and utilization < RESTS and busiest >= WHOLE_CORE


def slowed(share: float) -> bool:
    """Whether clocks were lowered in so many of the readings, from 0 to 1, that it costs speed.

    >>> slowed(0.5), slowed(0.1)
    (True, False)
    """
    return share >= OFTEN


def card_nearly_full(free: float) -> bool:
    """Whether so little of a card is free [bytes] that an allocation outside the engine's share may fail.

    >>> card_nearly_full(200 * 2**20), card_nearly_full(3 * 2**30)
    (True, False)
    """
    return free < SPARE


def memory_short(available: float, total: float) -> bool:
    """Whether RAM [bytes] runs out.

    >>> memory_short(1 * 2**30, 64 * 2**30), memory_short(20 * 2**30, 64 * 2**30)
    (True, False)
    """
    return available < SPARE_RAM * total


def cache_of_prefixes_missed(enabled: bool, share: float) -> bool:
    """Whether prefix caching is off where prompts are at least half of what is computed.

    It is on by default and helps only prompts that begin alike.

    >>> cache_of_prefixes_missed(False, 0.9), cache_of_prefixes_missed(False, 0.1), cache_of_prefixes_missed(True, 0.9)
    (True, False, False)
    """
    return not enabled and share >= 0.5


def idle(running: float, waiting: float) -> bool:
    """Whether nothing ran or waited; the most of a while.

    >>> idle(0, 0), idle(1, 0)
    (True, False)
    """
    return running == 0 and waiting == 0
