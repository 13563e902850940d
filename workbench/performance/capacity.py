"""What a request asks of a replica, how many run at a time, and the largest rate that can be kept up with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.deployment import Workload
from workbench.performance.lengths import expected_ceiling, mean_context
from workbench.performance.normal import Floats
from workbench.performance.step_law import Steps


@dataclass(frozen=True, slots=True)
class Drafts:
    """Speculation as the scheduler sees it.

    Parameters
    ----------
    tokens : int
        k, drafted for each request in each step; they count against the token budget.
    decode_steps : float
        Steps in which a request is decoded after its first token:
        :func:`~workbench.performance.speculation.decode_steps`.
    """

    tokens: int
    decode_steps: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What a mean request asks of steps.

    Parameters
    ----------
    prompt : float
        Tokens of the prompt that are computed; the last one always is.
    decode_steps : float
        Steps after the first token.
    tokens : float
        Tokens after the first.
    queries : int
        Tokens of the budget that it takes in each of these steps.
    isl_cv, osl_cv : float
        Spread of the lengths.
    """

    prompt: float
    decode_steps: float
    tokens: float
    queries: int
    isl_cv: float
    osl_cv: float

    @classmethod
    def of(cls, workload: Workload, drafts: Drafts | None = None) -> Asked:
        """What a workload's requests ask.

        >>> Asked.of(Workload(1000, 101, prefix_hit=0.25)).prompt, Asked.of(Workload(1000, 101)).decode_steps
        (750.0, 100)
        """
        prompt, tokens = max(workload.isl * (1 - workload.prefix_hit), 1.0), max(workload.osl - 1, 1e-3)
        steps, queries = (tokens, 1) if drafts is None else (max(drafts.decode_steps, 1e-3), 1 + drafts.tokens)
        return cls(prompt, steps, tokens, queries, workload.isl_cv, workload.osl_cv)

    def budgets(self, n: Floats, max_num_batched_tokens: Floats) -> Floats:
        """Token budgets that a prompt takes beside ``n`` decoding requests.

        >>> Asked.of(Workload(8000, 100)).budgets(np.array([192.0]), np.array([8192.0]))
        array([1.])
        """
        return np.asarray(self.prompt / np.maximum(max_num_batched_tokens - n * self.queries, 1.0))


def running_at_once(
    arriving: Floats, max_num_seqs: Floats, kv_cache_tokens: Floats, workload: Workload, shared_tokens: float = 0.0
) -> Floats:
    """Requests that run at a time: those in flight, at most what fits the batch and the cache.

    A request is let in for the tokens it has, not for those it will have, so over its life it holds
    :func:`~workbench.performance.lengths.mean_context`; half a request's place stays empty until the next fits.
    ``shared_tokens`` of the prompt are a prefix held once for all.

    Examples
    --------
    >>> running_at_once(np.array([8.0, 64.0]), np.array([256.0]), np.array([34560.0]), Workload(1024, 256))
    array([ 8. , 29.5])
    """
    held = max(mean_context(workload.isl, workload.osl, workload.osl_cv) - shared_tokens, 1.0)
    fitting = np.maximum(kv_cache_tokens - shared_tokens, 0.0) / held - 0.5
    return np.asarray(np.clip(np.minimum(arriving, max_num_seqs), 1.0, np.maximum(fitting, 1.0)))


def most_decoding(places: Floats, asked: Asked, max_num_batched_tokens: Floats) -> Floats:
    """Requests that decode where all ``places`` are taken.

    A request has its place for c = E⌈p / B⌉ steps of prefill and s of decoding, so n = places × s / (s + c), at most
    s B / (p + s), where prompts fill all that decoding leaves of the budget.

    >>> most_decoding(np.array([32.0, 512.0]), Asked.of(Workload(8192, 64)), np.array([8192.0])).round(2)
    array([31.5 , 62.52])
    """
    steps = asked.decode_steps
    cut = expected_ceiling(asked.prompt / max_num_batched_tokens, asked.isl_cv)
    fed = steps * max_num_batched_tokens / (asked.prompt + steps * asked.queries)
    return np.asarray(np.minimum(places * steps / (steps + cut), fed))


def rate_of(steps: Steps, n: Floats, places: Floats, asked: Asked, shared: Floats) -> Floats:
    """Requests a second where ``n`` of ``places`` decode: n / (s d(n) + n w) [1/s].

    Where nobody decodes beside them, with probability (1 − n / places)^(places − 1), prompts take their own time and
    not a step and their share.

    Parameters
    ----------
    steps : Steps
    n, places : ndarray
    asked : Asked
    shared : ndarray
        w, by which a prompt, and what is computed again for it, lengthens steps of others [s].

    Examples
    --------
    >>> steps = Steps(np.array([1.0, 2.0]), np.array([[0.01], [0.01]]), np.array([0.3]), 0.5)
    >>> places, asked = np.array([4.0]), Asked.of(Workload(1000, 1))
    >>> rate_of(steps, most_decoding(places, asked, np.array([8192.0])), places, asked, np.array([0.15])).round(2)
    array([3.34])
    """
    d = steps.time(n)
    nobody = np.maximum(1 - n / places, 0.0) ** np.maximum(places - 1, 0.0)
    alone = np.maximum(steps.prefill, d / places) - steps.shared - d / places
    return np.asarray(n / (asked.decode_steps * d + n * (shared + nobody * alone)))


def saturation_rate(
    steps: Steps,
    running: Floats,
    workload: Workload,
    max_num_batched_tokens: Floats,
    drafts: Drafts | None = None,
    recomputed: Floats | float = 0.0,
) -> Floats:
    """The largest request rate that a replica keeps up with [1/s].

    :func:`rate_of` the n that decode where all places are taken (:func:`most_decoding`).

    Parameters
    ----------
    steps : Steps
    running : ndarray
        Places: what fits batch and cache.
    workload : Workload
    max_num_batched_tokens : ndarray
    drafts : Drafts, optional
    recomputed : ndarray or float
        Tokens that preempted requests compute again, for each request.

    Examples
    --------
    32 places, 256 tokens of 20 ms each, and 50 ms of every prompt in others' steps.

    >>> steps = Steps(np.array([1.0, 256.0]), np.array([[0.020], [0.020]]), np.array([0.05]))
    >>> saturation_rate(steps, np.array([32.0]), Workload(1024, 256), np.array([8192.0])).round(2)
    array([4.76])
    """
    asked = Asked.of(workload, drafts)
    n = most_decoding(running, asked, max_num_batched_tokens)
    return rate_of(steps, n, running, asked, steps.shared * (1 + recomputed / asked.prompt))
