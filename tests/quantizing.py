"""What the tests of quantisers share: checks that hold for every result, and vLLM's answer with one."""

import json

import pytest

import workbench as wb
from workbench import builtin, headers
from workbench.quantizers.source import read
from workbench.serving.offline import offline

#: Fewer texts than the defaults, for methods of llm-compressor.
FEW = {"num_calibration_samples": 16, "max_seq_length": 128}


def finished(job, folder, *, loss=0.05, smaller=True, inexact=0.0):
    """The result, after checks that hold for every method.

    ``loss`` is the largest growth of perplexity, as a share; ``inexact`` the largest error of the estimated size,
    where a method stores a text of which the length is not known beforehand.
    """
    seen = []
    job.observe(lambda j: seen.append(j.progress))
    result = job.wait(1800)
    source = read(builtin.folder())
    assert result["out"] == str(folder)
    assert result["bytes_before"] == source.bytes
    assert result["bytes_after"] == read(folder).bytes
    assert (result["bytes_after"] < source.bytes) == smaller
    assert result["bytes_estimated"] == pytest.approx(result["bytes_after"], rel=inexact)
    assert result["bits_estimated"] == pytest.approx(result["bits_per_weight"], rel=inexact or 1e-4)
    beside = headers.compare(wb.Model.from_config(folder), None, headers.read(folder))
    assert beside.stored == result["bytes_after"]
    assert beside.estimated == pytest.approx(beside.stored, rel=inexact)
    assert result["perplexity_before"] * 0.98 < result["perplexity_after"] < result["perplexity_before"] * (1 + loss)
    assert result["perplexity_after"] != result["perplexity_before"]
    assert result["kl_divergence"] > 0
    assert 0.3 < result["top1_agreement"] < 1
    assert result["evaluation"]["tokens"] >= 2000
    assert {"measuring the original", "quantising", "measuring the result"} <= {p.stage for p in seen}
    fractions = [p.fraction for p in seen if p.fraction is not None]
    assert fractions == sorted(fractions)
    made = json.loads((folder / "workbench.json").read_text())
    assert made["model"] == builtin.NAME
    assert made["environment"]["versions"]["torch"]
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (folder / name).read_bytes() == (builtin.folder() / name).read_bytes()
    assert json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
    return result


def answers(folder):
    """What vLLM says with the checkpoint."""
    job = offline(
        folder, ["Return the number of"], sampling={"max_tokens": 8, "temperature": 0}, enforce_eager=True,
        max_model_len=256, kv_cache_memory_bytes=2**28,
    )  # fmt: skip
    return job.wait(900)[0]["text"]
