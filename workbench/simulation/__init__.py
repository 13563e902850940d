"""Requests, replicas and routers played through step by step: what verifies the closed forms of ``performance``.

Nothing that plans or searches calls it.
"""
