"""Speed of a deployment: one engine step from what it must do, and the service made of steps."""

from workbench.performance.service import Service, service

__all__ = ["Service", "service"]
