"""How a method and its parameters are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput, UnknownName
from workbench.quantizers import methods
from workbench.trials import Choice, every
from workbench.trials.choice import read


def test_every_method_is_tried():
    found = every()
    assert {choice.method for choice in found} == set(methods())
    assert len({choice.folder for choice in found}) == len(found)


@given(st.sampled_from(["awq", "gptq", "fp8_dynamic"]), st.data())
def test_a_word_is_read_back(method, data):
    parameters = {}
    for parameter in methods()[method].parameters:
        if parameter.type is bool and parameter.name != "zero_point":
            parameters[parameter.name] = data.draw(st.booleans())
        elif parameter.choices and parameter.type is int:
            parameters[parameter.name] = data.draw(st.sampled_from(parameter.choices))
        elif parameter.type is list:
            parameters[parameter.name] = data.draw(st.lists(st.sampled_from(["lm_head", "re:.*k_proj"]), min_size=1))
    choice = Choice(method, parameters)
    assert Choice.parse(choice.word) == choice
    assert "/" not in choice.folder


def test_defaults_say_nothing():
    assert Choice("gptq", {"bits": 4, "sym": "true"}) == Choice("gptq")
    assert Choice.parse(" gptq:bits=8 ").title == "GPTQ, 4-bit weights (bits 8)"


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ("awk", UnknownName, "awq"),
        ("gptq:bit=4", UnknownName, "bits"),
        ("gptq:bits=5", InvalidInput, "4 or 8"),
        ("gptq:bits", InvalidInput, "METHOD:NAME=VALUE"),
        ([], InvalidInput, "at least one"),
        (["awq", "awq:w_bit=4"], InvalidInput, "awq is chosen twice"),
    ],
)
def test_what_cannot_be_tried(words, error, says):
    with pytest.raises(error, match=says):
        read(words)
