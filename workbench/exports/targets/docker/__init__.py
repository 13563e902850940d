"""One container."""
