"""Weights left out: which, in what pattern, and what it costs."""
