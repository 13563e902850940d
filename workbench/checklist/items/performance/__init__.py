"""How fast it is, how it bears many requests and long ones, and what memory is left."""

#: In which they are shown.
ORDER = ("ttft", "tps", "concurrency", "memory_headroom", "long_contexts")
