"""The four alerts that must wake somebody."""

#: In which they are shown.
ORDER = ("gpu_oom", "latency", "errors", "down")
