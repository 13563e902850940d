"""The six key figures against the targets of the profile."""

#: In which they are shown.
ORDER = ("ttft", "tps", "qps", "p99", "availability", "gpu_utilisation")
