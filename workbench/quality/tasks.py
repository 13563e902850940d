"""Quality on tasks, by EleutherAI's lm-evaluation-harness; what transformers runs, only.

Reference
---------
lm-eval 0.4.13: https://github.com/EleutherAI/lm-evaluation-harness, ``docs/interface.md`` and ``docs/task_guide.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workbench.quality.questions import NAME, questions
from workbench.quality.torch_model import TorchModel

#: Questions of a task, unless somebody asks for more.
LIMIT = 200


def evaluate(
    model: TorchModel,
    tokenizer: Path,
    tasks: Sequence[str],
    documents: Sequence[str],
    work: Path,
    *,
    limit: int = LIMIT,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """Ask a model the questions of some tasks.

    Parameters
    ----------
    model : TorchModel
    tokenizer : Path
        Folder of its tokenizer.
    tasks : sequence of str
        :data:`questions.NAME`, or names that lm-eval knows; their data must be on this machine or be fetched.
    documents : sequence of str
        What our own task is made of.
    work : Path
        Folder for its questions.
    limit : int
        Questions of each task.
    progress : callable
        Takes the name of the task that is asked.

    Returns
    -------
    dict
        Task -> ``metric``, ``value``, ``error`` (standard error) and ``questions``.
    """
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    asked = HFLM(
        pretrained=model.model, tokenizer=AutoTokenizer.from_pretrained(tokenizer), batch_size=8,
        max_length=min(model.longest, 4096),
    )  # fmt: skip
    found = {}
    for task in tasks:
        progress(task)
        what = _own(documents, work, limit) if task == NAME else task
        done = simple_evaluate(
            asked, tasks=[what], limit=limit, bootstrap_iters=0, log_samples=False, verbosity="ERROR"
        )
        if done is None:
            raise RuntimeError(f"lm-eval gave no result for {task}")
        found[task] = _figures(done["results"][task], int(done["n-samples"][task]["effective"]))
    return found


def _figures(result: dict[str, Any], count: int) -> dict[str, Any]:
    """The task's first metric of quality, with its standard error."""
    names = ("acc_norm,none", "acc,none", "exact_match,strict-match", "exact_match,none")
    name = next((name for name in names if name in result), None)
    if name is None:
        name = next(n for n, v in result.items() if isinstance(v, float) and "stderr" not in n)
    metric, _, which = name.partition(",")
    error = result.get(f"{metric}_stderr,{which}")
    value = float(result[name])
    if not isinstance(error, float):  # without resampling: of a share of right answers
        error = (value * (1 - value) / max(count - 1, 1)) ** 0.5
    return {"metric": metric, "value": value, "error": error, "questions": count}


def _own(documents: Sequence[str], work: Path, limit: int) -> dict[str, Any]:
    """Our own task as lm-eval reads one."""
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"{NAME}.jsonl"
    lines = [json.dumps(question) for question in questions(documents, limit)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {
        "task": NAME,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}, "cache_dir": str(work / "cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{context}}",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")
        ],
    }
