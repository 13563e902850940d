"""The mathematics behind quantising and serving, as small code to read: one subject a file.

Nothing that plans, quantises or serves calls it; the libraries that do are faster. It is here to be understood, and
each file is held to an independent reference by its test. ``notebooks/learn/`` lets one play with it.
"""
