"""Load, quality and speed, measured."""
