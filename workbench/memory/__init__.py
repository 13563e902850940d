"""Memory of a deployment: one ledger, filled by the engine's own arithmetic."""

from workbench.memory.ledger import Interval, Ledger

__all__ = ["Interval", "Ledger"]
