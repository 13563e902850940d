"""Whether one would see it when something goes wrong, becomes dear or becomes worse."""

#: In which they are shown.
ORDER = ("latency", "throughput", "gpu", "errors", "cost", "quality")
