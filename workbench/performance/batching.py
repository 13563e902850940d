"""From steps to service under continuous batching, as functions of numbers; all of it under one name.

A step of n running requests takes d(n) [s]; a prompt of p uncached tokens takes pf [s] alone, and lengthens a step of
others by w = share × pf. The prompts of a step share what the running requests leave of ``max_num_batched_tokens``
B, so a prompt is cut into u = p / (B − n) budgets. Everything runs over arrays of shape (rows,).

Two statistics that are easily confused: ITL is the gap between two tokens, so it is a step, plain or with prompts in
it, and its percentiles are over steps; TPOT is the mean gap of one request, so its percentiles are over requests
and much narrower. Their means agree but for the weight of long requests.

How near it is: ``tests/simulation/test_agreement.py`` plays requests through the scheduler and keeps the table.

References
----------
Kendall, "Stochastic Processes Occurring in the Theory of Queues", 1953, and Kleinrock, "Queueing Systems" II, 1976,
section 4.4 (processor sharing: the distribution of n does not depend on that of the lengths); Little, "A Proof for
the Queuing Formula L = λ W", Operations Research 9(3), 1961; Agrawal et al., "Sarathi-Serve", OSDI 2024 (chunked
prefill); Yu et al., "Orca", OSDI 2022 (iteration-level scheduling).
"""

from workbench.performance.arrivals import open_loop
from workbench.performance.capacity import Asked, Drafts, running_at_once, saturation_rate
from workbench.performance.concurrency import closed_loop
from workbench.performance.flow import Flow
from workbench.performance.gaps import Gaps
from workbench.performance.queueing import Delayed, Spread
from workbench.performance.step_law import Steps

__all__ = [
    "Asked",
    "Delayed",
    "Drafts",
    "Flow",
    "Gaps",
    "Spread",
    "Steps",
    "closed_loop",
    "open_loop",
    "running_at_once",
    "saturation_rate",
]
