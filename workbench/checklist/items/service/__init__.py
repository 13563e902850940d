"""How it is served: engine, API, replicas, queue, probes."""

#: In which they are shown.
ORDER = ("engine", "api", "scaling", "queue", "probes")
