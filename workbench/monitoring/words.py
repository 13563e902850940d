"""Numbers as a finding shows them; None stays None, for what is not known."""

from __future__ import annotations

from workbench.monitoring.evidence import Evidence


def numbers_known(*pairs: tuple[str, str | None]) -> tuple[tuple[str, str], ...]:
    """The pairs whose value is known."""
    return tuple((name, value) for name, value in pairs if value is not None)


def requests(seen: Evidence) -> tuple[tuple[str, str | None], ...]:
    """How many run and wait."""
    return (("running", count(seen.running)), ("waiting", count(seen.waiting)))


def count(value: float | None) -> str | None:
    """A number of things."""
    return None if value is None else f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def share(value: float | None) -> str | None:
    """A share from 0 to 1."""
    return None if value is None else f"{value:.0%}"


def with_unit(value: float | None, unit: str) -> str | None:
    """A whole number of a unit."""
    return None if value is None else f"{value:.0f} {unit}"


def rate(value: float | None) -> str | None:
    """Per second."""
    return None if value is None else f"{value:.2g} a second"


def tokens(value: float | None) -> str | None:
    """Tokens in a second."""
    return None if value is None else f"{value:,.0f} tokens/s"


def of(cores: float | None, processors: int | None) -> str | None:
    """Cores out of all."""
    return None if cores is None else f"{cores:.2g} of {processors} cores"


def cores(value: float | None) -> str | None:
    """Cores."""
    return None if value is None else f"{value:.2g} cores"
