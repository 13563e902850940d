"""Estimated quantities, units, and how numbers are shown.

Inside the package everything is bytes, seconds, FLOP/s and bytes/s. What people read is GiB (2^30, always
labelled, because vLLM prints GiB and vendors sell GB), ms, tokens/s and USD.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import InvalidInput

KIB, MIB, GIB = 2**10, 2**20, 2**30
GB = 10**9

#: What a number rests on, strongest first.
BASES = ("exact", "measured here", "measured", "calibrated", "roofline", "datasheet", "given")


def weakest(*bases: str) -> str:
    """What a number rests on that is made of several.

    >>> weakest("measured", "roofline")
    'roofline'
    """
    return max(bases, key=BASES.index)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity with its 90 % interval and what it rests on.

    Parameters
    ----------
    value, low, high : float
        Best value and the bounds between which 90 % of real deployments are expected, in the quantity's unit.
    basis : str
        One of :data:`BASES`.

    Raises
    ------
    InvalidInput
        If ``low <= value <= high`` does not hold or the basis is not known.

    Examples
    --------
    >>> Estimate(2.0, 1.5, 3.0, "calibrated").scaled(10)
    Estimate(value=20.0, low=15.0, high=30.0, basis='calibrated')
    >>> Estimate.exact(131072).to_dict()
    {'value': 131072, 'low': 131072, 'high': 131072, 'basis': 'exact'}
    """

    value: float
    low: float
    high: float
    basis: str

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise InvalidInput(f"basis {self.basis!r} is not one of {', '.join(BASES)}")
        if not self.low <= self.value <= self.high:
            raise InvalidInput(f"an estimate needs low <= value <= high, not {self.low}, {self.value}, {self.high}")

    @classmethod
    def exact(cls, value: float, basis: str = "exact") -> Estimate:
        """A number without an interval of its own."""
        return cls(value, value, value, basis)

    def scaled(self, factor: float) -> Estimate:
        """The same quantity times a non-negative factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.basis)

    def contains(self, measured: float) -> bool:
        """Whether a measurement lies inside the interval."""
        return self.low <= measured <= self.high

    def to_dict(self) -> dict[str, Any]:
        """The four fields, ready for JSON, which has no infinity: None is a time that never ends."""
        return {name: None if value == math.inf else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Estimate:
        """Read back what :meth:`to_dict` wrote."""
        times = [math.inf if fields[name] is None else fields[name] for name in ("value", "low", "high")]
        return cls(times[0], times[1], times[2], fields["basis"])


def show_bytes(n: float) -> str:
    """Bytes in binary units, labelled.

    >>> show_bytes(16_060_522_496), show_bytes(131072), show_bytes(-3 * GIB)
    ('14.96 GiB', '128 KiB', '-3.00 GiB')
    """
    size = abs(n)
    for unit, name, digits in ((GIB, "GiB", 2), (MIB, "MiB", 1), (KIB, "KiB", 0)):
        if size >= unit:
            return f"{n / unit:.{digits if size < 1000 * unit else 0}f} {name}"
    return f"{n:.0f} B"


def show_seconds(s: float) -> str:
    """A duration with three significant digits.

    >>> show_seconds(0.0123), show_seconds(2.5), show_seconds(float("inf"))
    ('12.3 ms', '2.50 s', 'never')
    """
    if math.isinf(s):
        return "never"
    if s < 1:
        return f"{s * 1e3:.3g} ms"
    return f"{s:.3g} s" if s >= 10 else f"{s:.2f} s"


def show_count(n: float) -> str:
    """A whole number with thousands separators.

    >>> show_count(524288.0)
    '524,288'
    """
    return f"{n:,.0f}"


def show_usd(usd: float) -> str:
    """US dollars: cents below 100, whole dollars above.

    >>> show_usd(0.4567), show_usd(1234.5)
    ('$0.46', '$1,234')
    """
    return f"${usd:,.2f}" if abs(usd) < 100 else f"${usd:,.0f}"
