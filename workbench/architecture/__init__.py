"""A model as its layers, read from ``config.json``."""

from workbench.architecture.catalog import models, names
from workbench.architecture.model import Layer, Model

__all__ = ["Layer", "Model", "models", "names"]
