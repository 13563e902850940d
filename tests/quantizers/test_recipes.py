"""Scripts that are handed over, not run: they are Python, quote what they are given, and say that nobody ran them."""

import ast

import pytest

from workbench import formats
from workbench.errors import InvalidInput
from workbench.quantizers.recipes import CONFIGURATIONS, modelopt


@pytest.mark.parametrize("scheme", CONFIGURATIONS)
def test_a_script_is_python_and_says_that_it_was_not_run(scheme):
    formats.scheme(scheme)
    script = modelopt("acme/model", scheme, "out")
    ast.parse(script)
    assert f"mtq.{CONFIGURATIONS[scheme]}" in script
    assert "NOT RUN" in script


def test_names_are_only_names():
    hostile = 'a"; import os  # \n\'\'\' """ {x} \\'
    tree = ast.parse(modelopt(hostile, "fp8", hostile, texts=hostile))
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert constants.count(hostile) == 3
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Import) and n.names[0].name == "os"]


def test_a_scheme_without_a_recipe_is_refused():
    with pytest.raises(InvalidInput, match="no recipe of Model Optimizer for 'gptq'; one of fp8, nvfp4"):
        modelopt("acme/model", "gptq", "out")
