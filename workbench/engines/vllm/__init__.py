"""vLLM in words and tables."""
