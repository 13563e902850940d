"""Methods and their parameters: what is accepted, what is refused and in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidInput, UnknownName
from workbench.quantizers import find, methods


def test_the_librarys_own_parameters_are_there():
    awq = {p.name for p in find("awq").parameters}
    assert {"zero_point", "q_group_size", "w_bit", "version"} <= awq
    gptq = {p.name for p in find("gptq").parameters}
    assert {"bits", "group_size", "desc_act", "sym", "damp_percent"} <= gptq


def test_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(UnknownName, match=r"one of awq, awq_w4a16, .*gptq"):
        find("smoothing")
    with pytest.raises(UnknownName, match="did you mean 'gptq'"):
        find("gptqq")


def test_unknown_parameter_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match=r"'group_size'; did you mean 'q_group_size'"):
        find("awq").check({"group_size": 64})
    with pytest.raises(UnknownName, match="it has bits, group_size"):
        find("gptq").check({"zzz": 1})


@pytest.mark.parametrize(
    ("method", "name", "value", "says"),
    [
        ("awq", "q_group_size", 100, "32, 64 or 128"),
        ("awq", "q_group_size", True, "32, 64 or 128"),
        ("awq", "q_group_size", 64.0, "32, 64 or 128"),
        ("awq", "w_bit", 3, "4 is needed"),
        ("awq", "version", "marlin", "'GEMM' or 'GEMV'"),
        ("awq", "zero_point", "perhaps", "true or false"),
        ("awq", "zero_point", 1, "true or false"),
        ("awq", "zero_point", False, "always store zero points"),
        ("awq", "max_calib_samples", 0, "from 1 to"),
        ("awq", "max_calib_samples", "many", "a whole number"),
        ("awq", "max_calib_samples", None, "a whole number"),
        ("awq", "modules_to_not_convert", [1], "a list of names"),
        ("gptq", "damp_percent", float("nan"), "a number from"),
        ("gptq", "damp_percent", 2, "a number from"),
        ("gptq", "bits", 5, "4 or 8"),
        ("fp8_dynamic", "ignore", None, "a list of names"),
    ],
)
def test_bad_values_say_what_is_accepted(method, name, value, says):
    with pytest.raises(InvalidInput, match=says):
        find(method).check({name: value})


def test_text_is_read_as_the_parameters_type():
    values = find("awq").check(
        {"q_group_size": "64", "duo_scaling": "False", "modules_to_not_convert": "a, b", "version": "gemv"}
    )
    assert (values["q_group_size"], values["duo_scaling"], values["version"]) == (64, False, "GEMV")
    assert values["modules_to_not_convert"] == ["a", "b"]
    assert find("awq").check({"n_parallel_calib_samples": "none"})["n_parallel_calib_samples"] is None
    assert find("gptq").check({"damp_percent": "0.05"})["damp_percent"] == 0.05


@given(
    st.sampled_from([(m.id, p.name) for m in methods().values() for p in m.parameters]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.lists(st.text(max_size=3)),
    ),
)
def test_any_value_is_accepted_in_range_or_refused_in_words(which, value):
    method, name = which
    parameter = next(p for p in find(method).parameters if p.name == name)
    try:
        checked = parameter.check(value)
    except InvalidInput as error:
        assert name in str(error)  # noqa: PT017
    else:
        assert checked is None or isinstance(checked, parameter.type)
        assert not parameter.choices or checked in parameter.choices
