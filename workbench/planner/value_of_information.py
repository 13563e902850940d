"""Which deployment to measure next: the one whose measurement would save most, on average, in the choice to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidInput
from workbench.quantities import show_usd

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

#: A measurement is not worth its trouble below this share of what is paid anyway: a judgement of ours.
_WORTH = 0.01
#: What tells deployments of a search apart, in the order people name them.
_NAMED = (
    "gpu", "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "quantization", "kv_cache_dtype",
    "max_num_seqs", "max_num_batched_tokens", "engine",
)  # fmt: skip


def expected_cost(usd_per_hour: Floats, probability: Floats) -> Floats:
    """What choosing each deployment costs on average [USD/h]; shape (rows,).

    One that meets the service level costs its price. One that does not is found out and replaced: then the price of the
    surest deployment, the cheapest of those, is paid besides.

    Parameters
    ----------
    usd_per_hour : ndarray
        Price of each [USD/h], shape (rows,).
    probability : ndarray
        That each meets the service level [-], shape (rows,).

    Examples
    --------
    >>> expected_cost(np.array([1.5, 4.0]), np.array([0.5, 1.0]))
    array([3.5, 4. ])
    """
    return usd_per_hour + (1 - probability) * _replacement(usd_per_hour, probability)


def value_of_measuring(usd_per_hour: Floats, probability: Floats) -> Floats:
    """How much cheaper the choice gets, on average, once it is known whether a deployment meets the level [USD/h].

    The expected value of perfect information about each one alone (Howard, "Information Value Theory", IEEE
    Transactions on Systems Science and Cybernetics 2(1), 1966): the best choice now, less the mean of the best choices
    after either answer. Deployments are taken as independent; those of one card and engine are not, so a measurement is
    worth rather more.

    Parameters
    ----------
    usd_per_hour, probability : ndarray
        As for :func:`expected_cost`.

    Returns
    -------
    ndarray
        At least 0; shape (rows,).

    Examples
    --------
    A card at $1.50 that may do, beside one at $4 that surely does: without an answer 3.50 is paid on average, with one
    1.50 or 4.00, each half of the time.

    >>> value_of_measuring(np.array([1.5, 4.0]), np.array([0.5, 1.0]))
    array([0.75, 0.  ])
    """
    cost = expected_cost(usd_per_hour, probability)
    others = _best_of_the_others(cost)
    holds = np.minimum(usd_per_hour, others)
    fails = np.minimum(usd_per_hour + _replacement(usd_per_hour, probability), others)
    after = probability * holds + (1 - probability) * fails
    return np.maximum(np.minimum(cost, others) - after, 0.0)


def next_measurement(table: pd.DataFrame) -> pd.DataFrame:
    """Rank the deployments of a search by what measuring them is worth.

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`workbench.search` returns it for one workload and a service level, with prices.

    Returns
    -------
    pandas.DataFrame
        The rows whose measurement is worth something, the most first, with ``value_usd_per_hour``;
        ``attrs["sentence"]`` says which to measure and why, or that none would change the choice.

    Raises
    ------
    InvalidInput
        If the table has no prices, or several workloads.
    """
    if table.empty or "usd_per_hour" not in table or table["usd_per_hour"].isna().all():
        raise InvalidInput("no deployment of this search has a price, and without one no choice is the cheaper")
    if len(table.groupby(["isl", "osl", "concurrency"])) > 1:
        raise InvalidInput("choose one workload: which measurement settles a choice depends on the load")
    priced = table[table["usd_per_hour"].notna()]
    price, probability = (priced[name].to_numpy(dtype=float) for name in ("usd_per_hour", "probability"))
    expected, value = expected_cost(price, probability), value_of_measuring(price, probability)
    found = priced.assign(value_usd_per_hour=value, expected_usd_per_hour=expected)
    now = found.iloc[int(expected.argmin())]
    worth: pd.DataFrame = found[value > _WORTH * expected.min()]
    ranked = worth.sort_values("value_usd_per_hour", ascending=False, kind="stable", ignore_index=True)
    ranked.attrs["sentence"] = _sentence(ranked, now, [name for name in _NAMED if table.get(name) is not None])
    return ranked


def _replacement(price: Floats, probability: Floats) -> float:
    """Price of the cheapest of the surest [USD/h]."""
    return float(price[probability >= probability.max() - 1e-9].min())


def _best_of_the_others(cost: Floats) -> Floats:
    """For each row the least cost of the other rows; infinite where there are none."""
    best = np.full(cost.shape, cost.min())
    at = int(cost.argmin())
    rest = np.delete(cost, at)
    best[at] = rest.min() if rest.size else np.inf
    return best


def _sentence(ranked: pd.DataFrame, now: Any, named: list[str]) -> str:
    choice = f"{_name(now, named)} at {show_usd(now['usd_per_hour'])} an hour"
    if ranked.empty:
        return f"No measurement would change the choice: {choice}."
    first = ranked.iloc[0]
    chance = f"meets the service level with a chance of {first['probability']:.0%}"
    saved = f"knowing it saves {show_usd(first['value_usd_per_hour'])} an hour on average"
    if _name(first, named) == _name(now, named):
        return f"Measure {choice} first: it is the choice today, {chance}, and {saved}."
    price = show_usd(first["usd_per_hour"])
    measure = f"Measure {_name(first, named)} first: it costs {price} an hour and {chance}; {saved}."
    return f"{measure} Today's choice: {choice}."


def _name(row: Any, named: list[str]) -> str:
    words = []
    for name in named:
        value = row[name]
        if value is None or value != value:
            continue
        short = {"tensor_parallel_size": "TP", "pipeline_parallel_size": "PP", "data_parallel_size": "DP"}.get(name)
        if short:
            words += [f"{short} {value}"] if value != 1 else []
        else:
            words.append(str(value) if name in ("gpu", "quantization", "engine") else f"{name} {value}")
    return " ".join(words)
