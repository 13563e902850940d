"""From dollars an hour to dollars a month, a million tokens, a request, a user."""

from __future__ import annotations

from workbench.cost import checks

#: Hours of a month: 365 × 24 / 12, which cloud price calculators use too.
HOURS_PER_MONTH = 730.0


def month_usd(usd_per_hour: float, hours: float = HOURS_PER_MONTH) -> float:
    """What something that runs so many hours costs a month [USD]: price × hours.

    Parameters
    ----------
    usd_per_hour : float
        Of everything that runs [USD/h].
    hours : float
        Hours it is paid for in a month [h]; all of them where it is never turned off.

    Examples
    --------
    A p5.48xlarge's GPU at 6.88 USD/h, and one on RunPod at 2.69:

    >>> round(month_usd(6.88)), round(month_usd(2.69))
    (5022, 1964)
    """
    checks.not_negative(usd_per_hour=usd_per_hour, hours=hours)
    return usd_per_hour * hours


def usd_per_million(usd_per_hour: float, tokens_per_s: float, utilization: float = 1.0) -> float:
    """USD per million tokens: price / (3600 s × rate × utilisation) × 10⁶.

    Parameters
    ----------
    usd_per_hour : float
        Of everything that serves [USD/h].
    tokens_per_s : float
        Output tokens a second at full load [tokens/s].
    utilization : float
        Mean load over full load, above 0: hours that are paid for but serve nobody make tokens dearer.

    Examples
    --------
    Ten million tokens an hour for 2 USD an hour, at full load and at a quarter of it:

    >>> [round(usd_per_million(2.0, 10_000_000 / 3600, load), 3) for load in (1.0, 0.25)]
    [0.2, 0.8]
    """
    checks.not_negative(usd_per_hour=usd_per_hour)
    checks.positive(tokens_per_s=tokens_per_s, utilization=utilization)
    checks.share(utilization=utilization)
    return usd_per_hour / (3600 * tokens_per_s * utilization) * 1e6


def input_and_output(
    usd_per_hour: float,
    input_tokens_per_s: float,
    output_tokens_per_s: float,
    utilization: float = 1.0,
    ratio: float = 4.0,
) -> tuple[float, float]:
    """Divide the cost between input and output tokens: USD per million of each.

    One price p for an input token and ratio × p for an output token, so that both together pay for the hour:
    p × (input + ratio × output) × 3600 = price.

    Parameters
    ----------
    ratio : float
        What an output token counts, in input tokens; providers of tokens ask three to five times as much. 1 spreads
        the cost evenly over all tokens.

    Examples
    --------
    >>> input_and_output(3.6, 1000, 250, ratio=4)
    (0.5, 2.0)
    >>> input_and_output(3.6, 1000, 250, ratio=1)
    (0.8, 0.8)
    """
    checks.not_negative(usd_per_hour=usd_per_hour, input_tokens_per_s=input_tokens_per_s)
    checks.positive(output_tokens_per_s=output_tokens_per_s, ratio=ratio)
    one = usd_per_million(usd_per_hour, input_tokens_per_s + ratio * output_tokens_per_s, utilization)
    return one, ratio * one


def request_usd(isl: float, osl: float, usd_per_million_input: float, usd_per_million_output: float) -> float:
    """What a request costs [USD]: ISL × input price + OSL × output price.

    Examples
    --------
    >>> request_usd(2000, 500, 0.5, 2.0)
    0.002
    """
    checks.not_negative(
        isl=isl,
        osl=osl,
        usd_per_million_input=usd_per_million_input,
        usd_per_million_output=usd_per_million_output,
    )
    return (isl * usd_per_million_input + osl * usd_per_million_output) / 1e6


def usd_per_user(usd_per_month: float, users: int) -> float:
    """What a user costs a month [USD].

    Examples
    --------
    >>> usd_per_user(5022.4, 400)
    12.556
    """
    checks.not_negative(usd_per_month=usd_per_month)
    checks.count(users=users)
    return usd_per_month / users
