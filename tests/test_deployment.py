"""What is chosen and what arrives: checked where it is made, read back as it was written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.deployment import Deployment, ServiceLevel, Workload
from workbench.errors import InvalidInput, UnknownName


@given(
    tp=st.integers(1, 64),
    length=st.none() | st.integers(1, 10**7),
    utilisation=st.none() | st.floats(0.01, 1.0),
    eager=st.booleans(),
)
def test_a_deployment_reads_back(tp, length, utilisation, eager):
    made = Deployment(
        tensor_parallel_size=tp, max_model_len=length, gpu_memory_utilization=utilisation, enforce_eager=eager
    )
    assert Deployment.from_dict(made.to_dict()) == made
    assert made.changed(pipeline_parallel_size=2).gpus == 2 * tp


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True, None])
def test_sizes_are_whole_numbers(value):
    with pytest.raises(InvalidInput, match="tensor_parallel_size"):
        Deployment(tensor_parallel_size=value)
    with pytest.raises(InvalidInput, match="concurrency"):
        Workload(concurrency=value)


@pytest.mark.parametrize("value", [0, -0.1, 1.01, math.inf, math.nan, "0.9"])
def test_utilisation_is_a_share(value):
    with pytest.raises(InvalidInput, match="gpu_memory_utilization"):
        Deployment(gpu_memory_utilization=value)


def test_unknown_fields_offer_the_nearest():
    with pytest.raises(UnknownName, match="max_model_len"):
        Deployment.from_dict({"max_model_length": 5})
    with pytest.raises(UnknownName, match="isl"):
        Workload.from_dict({"islx": 5})


def test_a_service_level_asks_for_something_possible():
    with pytest.raises(InvalidInput, match="tpot"):
        ServiceLevel(tpot=0)
