"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from workbench.theory import distillation

#: Workers import torch, which only their environment has.
MODULES = [module.name for module in pkgutil.iter_modules(distillation.__path__) if not module.name.endswith("_worker")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"{distillation.__name__}.{name}"))
    assert found.attempted
    assert not found.failed
