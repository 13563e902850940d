"""How public benchmarks were run, where their results do not say it: ``data/benchmarks.csv``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from workbench.datafiles import read_rows
from workbench.deployment import Workload
from workbench.evidence.rows import Row, cell, whole
from workbench.performance.lengths import uniform_moments

_PATTERNS = {"model": "config", "gpu": "gpu", "quant": "quant"}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a campaign's scripts set.

    Attributes
    ----------
    fields : dict
        Fields of a Deployment.
    length_share : float
        Mean length of prompts and answers ÷ the stated one [-].
    waves : float or None
        Prompts of a run ÷ concurrency, the first of them sent at once; None: the start does not count.
    attention_data_parallel : bool or None
        Whether attention was data parallel where the row says so, whatever its tensor parallel size; None: as it says.
    plain_steps : bool
        Whether its TPOT is the median gap between tokens, in which no prompts are, rather than a mean.
    """

    fields: dict[str, Any]
    length_share: float = 1.0
    waves: float | None = None
    attention_data_parallel: bool | None = None
    plain_steps: bool = False

    def workload(self, row: Row) -> Workload:
        """The load that reached the engine: lengths uniform between a share of the stated one and all of it."""
        isl, osl, concurrency = (whole(row, name) or 1 for name in ("isl", "osl", "concurrency"))
        low = 2 * self.length_share - 1
        (isl_mean, isl_cv), (osl_mean, osl_cv) = (uniform_moments(each, low) for each in (isl, osl))
        return Workload(
            max(round(isl_mean), 1),
            max(round(osl_mean), 1),
            concurrency,
            isl_cv=isl_cv,
            osl_cv=osl_cv,
            requests=round(self.waves * concurrency) if self.waves else None,
        )


@cache
def _table() -> list[dict[str, str]]:
    return read_rows("benchmarks.csv")


def _applies(rule: dict[str, str], row: Row, day: str) -> bool:
    if not re.search(rule["word"], f"{cell(row, 'notes')} {cell(row, 'source')}"):
        return False
    if (rule["since"] and day < rule["since"]) or (rule["until"] and day > rule["until"]):
        return False
    words = {"trtllm": "tensorrt-llm"}
    engine = cell(row, "engine").casefold() or "vllm"
    if not fnmatchcase(words.get(engine, engine), rule["engine"]):
        return False
    return all(fnmatchcase(cell(row, name).casefold(), rule[key].casefold()) for key, name in _PATTERNS.items())


def _number(text: str, row: Row) -> int:
    """A number, "concurrency" or "2 x isl"."""
    factor, _, name = text.rpartition(" x ")
    return int(factor or 1) * (whole(row, name) or 1) if name.isalpha() else int(text)


def _own_waves(row: Row) -> float | None:
    """Requests ÷ concurrency of a row that ``workbench bench`` wrote, which says how many there were."""
    said = (
        re.match(r"(\d+) requests\b", cell(row, "notes")) if cell(row, "source").startswith("workbench bench") else None
    )
    return int(said[1]) / (whole(row, "concurrency") or 1) if said else None


def conditions(row: Row) -> Conditions:
    """What is known of how a row was measured; nothing where no campaign is known.

    Examples
    --------
    >>> row = {"notes": "origin InferenceMAX", "engine": "vLLM", "config": "openai/gpt-oss-120b", "gpu": "H200 SXM"}
    >>> row |= {"quant": "fp4", "isl": "1024", "osl": "1024", "concurrency": "8"}
    >>> conditions(row).fields["max_num_seqs"], conditions(row).workload(row).isl
    (8, 922)
    """
    found = re.search(r"measured (\d{4}-\d{2}-\d{2})", cell(row, "notes"))
    rule = next((each for each in _table() if _applies(each, row, found[1] if found else "")), None)
    if rule is None:
        return Conditions({}, waves=_own_waves(row))
    fields: dict[str, Any] = {}
    if rule["gpu_memory_utilization"]:
        fields["gpu_memory_utilization"] = float(rule["gpu_memory_utilization"])
    if rule["kv_cache_dtype"]:
        fields["kv_cache_dtype"] = rule["kv_cache_dtype"]
    for name in ("max_num_seqs", "max_num_batched_tokens", "max_cudagraph_capture_size"):
        if rule[name]:
            fields[name] = _number(rule[name], row)
    if rule["enable_expert_parallel"]:
        fields["enable_expert_parallel"] = rule["enable_expert_parallel"] == "yes"
    attention = {"yes": True, "no": False}.get(rule["attention_data_parallel"])
    waves = float(rule["waves"]) if rule["waves"] else None
    plain = rule["tpot"] == "median gap"
    return Conditions(fields, float(rule["length_share"]), waves, attention, plain)
