"""Parameter counts against what transformers builds, for every bundled model whose type it knows."""

import json
import subprocess

import pytest

import workbench as wb
from workbench import environments
from workbench.architecture import names
from workbench.architecture.mlp import MixtureOfExperts

pytestmark = pytest.mark.environment

#: Types that transformers only builds with the repository's own code, which is never run here.
REMOTE_CODE = {"mimo", "baichuan"}

#: Runs in the quantise environment: builds each model on the meta device, which allocates nothing.
BUILD = """
import json, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
counts = {}
for name, fields in json.load(sys.stdin).items():
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    counts[name] = sum({id(p): p.numel() for p in model.parameters()}.values())
json.dump(counts, sys.stdout)
"""


def fields(model):
    kept = {k: v for k, v in model.config.items() if k not in ("source", "model_id", "quantization_config")}
    if kept["model_type"] == "phi-msft":  # the type's name before transformers took it in; same layers, other default
        kept |= {"model_type": "phi", "intermediate_size": 4 * kept["hidden_size"]}
    return kept


def buffers(model):
    """Values that checkpoints hold and transformers keeps as buffers: the correction of the choice of experts."""
    mlps = [layer.mlp for layer in model.layers]
    return sum(m.experts for m in mlps if isinstance(m, MixtureOfExperts) and m.correction_bias)


def test_counts_equal_what_transformers_builds():
    models = {name: wb.Model.from_config(name) for name in names()}
    asked = {name: fields(model) for name, model in models.items() if model.model_type not in REMOTE_CODE}
    python = environments.ensure("quantize").python
    done = subprocess.run(
        [python, "-c", BUILD],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    assert len(counts) == len(asked) > 80
    assert {name: models[name].parameters - buffers(models[name]) for name in counts} == counts
