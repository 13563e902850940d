"""What a release of vLLM takes, read from the release itself: makes ``data/engines/vllm_schema/``.

``python -m workbench.engines.vllm.collecting 0.33.0 0.17.1 …`` fetches each release's wheel from the package index,
takes the Python files out of it, and lets them build their own parser inside the environment ``vllm-cpu``; without a
version it asks the vLLM that is installed there.
"""
