"""Files of other tools, as long as a person may paste: reading them takes no more than their length."""

from __future__ import annotations

import contextlib
import time

import pytest

import workbench as wb
from workbench.errors import InvalidInput

#: What a text begins with, and what is repeated behind it.
TEXTS = [
    ("", 'backend: "vllm"\n'),
    ("", 'backend: "vllm"\nparameters {\n'),
    ('name: "m"\nbackend: "vllm"\n', 'parameters { key: "dtype" value: { string_value: "half" } }\n'),
    ("FROM vllm/vllm-openai:latest\nCMD vllm serve m\n", "ENV NAME=$NAME\n"),
    ("FROM vllm/vllm-openai:latest\n", 'CMD ["m"]\n'),
    ("scrape_configs:\n- static_configs:\n  - targets:\n", "    - http://host:80\n"),
    ("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n", "  - {image: 'vllm/vllm-openai:latest', args: [m]}\n"),
    ("apiVersion: v1\nkind: Pod\nspec:\n", "  a:\n  - b\n"),
    ("", "---\napiVersion: v1\nkind: Service\n"),
    ("", "mpirun -n 2 python run.py --engine_dir a\n"),
    ("", "Llama(model_path='m.gguf', n_ctx=1)\n"),
    ("", "ModelRunner.from_dir("),
    ("", "# llama-server --x 1\n"),
    ("llama-server ", "--threads 1 "),
]


def seconds(head, piece, size):
    """Processor time [s] of reading a piece repeated to so many letters; what comes of it is not asked."""
    began = time.process_time()
    with contextlib.suppress(InvalidInput):
        wb.translate(head + piece * (size // len(piece)))
    return time.process_time() - began


@pytest.mark.parametrize(("head", "piece"), TEXTS)
def test_a_long_file_takes_no_more_than_its_length(head, piece):
    """Ten times the text takes about ten times as long; were it the square, a hundred times."""
    seconds(head, piece, 2_000)
    assert seconds(head, piece, 30_000) < 35 * seconds(head, piece, 3_000) + 1


@pytest.mark.soak
@pytest.mark.parametrize(("head", "piece"), TEXTS)
def test_a_megabyte_takes_no_more_than_its_length(head, piece):
    assert seconds(head, piece, 1_000_000) < 35 * seconds(head, piece, 100_000) + 3
