"""Check the planner on measurements: every row of a file predicted from what it states, and how far off that was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import InvalidInput, WorkbenchError
from workbench.evidence import latency, memory
from workbench.evidence.cases import Case
from workbench.evidence.prediction import Prediction
from workbench.evidence.rows import Models, cell, read_rows
from workbench.evidence.statistics import grouped_errors, outcomes, quantities

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["memory", "latency"]


@dataclass(frozen=True)
class Refusal:
    """A row that nothing could be predicted for; rows are counted from 1, the header not included."""

    row: int
    reason: str


@dataclass(frozen=True)
class Validation:
    """What came of checking a file.

    Attributes
    ----------
    kind : str
        "memory" or "latency".
    rows : list of dict
        The file's rows, as text.
    refused : list of Refusal
    table : DataFrame
        A line for each row and quantity: ``row``, ``quantity``, ``value``, ``low``, ``high``, ``measured`` in the
        file's units, ``error`` (absolute, relative), ``inside``, ``said`` and ``happened`` (outcome), ``engine``,
        ``config``, and what is known of the case (``version``, ``parallel``, ``scheme``, ``multimodal``).
    remarks : dict of int to str
        What had to be assumed, by row.
    """

    kind: Kind
    rows: list[dict[str, str]]
    refused: list[Refusal]
    table: pd.DataFrame
    remarks: dict[int, str]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; ``covered`` counts rows with at least one quantity predicted."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "rows": len(self.rows),
            "covered": int(self.table["row"].nunique()),
            "refused": [{"row": each.row, "reason": each.reason} for each in self.refused],
            "quantities": quantities(self.table),
        }
        if self.kind == "memory":
            found["outcome"] = outcomes(self.table)
        found["by_engine"] = grouped_errors(self.table, "engine")
        found["by_model"] = grouped_errors(self.table, "config")
        found["remarks"] = [{"row": row, "text": text} for row, text in self.remarks.items()]
        return found

    def predicted_rows(self) -> list[dict[str, str]]:
        """The file's rows with ``<quantity>_pred``, ``_low`` and ``_high``, and ``outcome_pred``, in its units."""
        names = [name for name in self.table["quantity"].unique() if name != "outcome"]
        columns = [f"{name}_{part}" for name in names for part in ("pred", "low", "high")]
        columns += ["outcome_pred"] if self.kind == "memory" else []
        made = [{**row, **dict.fromkeys(columns, "")} for row in self.rows]
        for line in self.table.to_dict("records"):
            row, name = made[int(line["row"]) - 1], str(line["quantity"])
            if name == "outcome":
                row["outcome_pred"] = str(line["said"])
                continue
            for part, column in (("pred", "value"), ("low", "low"), ("high", "high")):
                row[f"{name}_{part}"] = f"{float(line[column]):.8g}"
        return made


def validate(kind: Kind, rows: str | Path | Sequence[dict[str, str]], models: str | Path | None = None) -> Validation:
    """Predict every row of a file and compare.

    Parameters
    ----------
    kind : str
        "memory" for vLLM's start-up report, "latency" for serving benchmarks, largest throughput or one stream; which
        of the three is told by the columns.
    rows : path or sequence of dict
        A CSV file, or its rows as text.
    models : path, optional
        A folder of configurations named ``owner__name.json``, looked into before the bundled ones.

    Raises
    ------
    InvalidInput
        If the file cannot be read or has not the columns of its kind.
    """
    import pandas as pd

    given = read_rows(rows) if isinstance(rows, str | Path) else list(rows)
    if not given:
        raise InvalidInput("there are no rows to check")
    predict = _reader(kind, given[0].keys(), Models(models))
    refused: list[Refusal] = []
    remarks: dict[int, str] = {}
    lines: list[dict[str, Any]] = []
    for number, row in enumerate(given, 1):
        try:
            found, predictions = predict(row)
            lines += _lines(number, row, found, predictions)
        except WorkbenchError as error:
            refused.append(Refusal(number, " ".join(str(error).split())))
            continue
        if found.remarks:
            remarks[number] = "; ".join(found.remarks)
    table = pd.DataFrame(lines, columns=list(_COLUMNS))
    return Validation(kind, given, refused, table, remarks)


_COLUMNS = (
    *("row", "quantity", "value", "low", "high", "measured", "requested", "error", "inside", "said", "happened"),
    *("engine", "config", "version", "parallel", "scheme", "multimodal"),
)


def _lines(
    number: int, row: dict[str, str], found: Case, predictions: Iterable[Prediction]
) -> Iterator[dict[str, Any]]:
    shared = {"engine": engine_name(row, found), "config": cell(row, "config"), **found.keys}
    # All of a row or nothing: a row that is refused half-way must not count as covered.
    for each in list(predictions):
        yield {
            "row": number,
            "quantity": each.quantity,
            "value": each.value,
            "low": each.low,
            "high": each.high,
            "measured": each.measured,
            "requested": each.requested,
            "error": each.error,
            "inside": each.inside,
            "said": each.said,
            "happened": each.happened,
            **shared,
        }


def engine_name(row: dict[str, str], found: Case) -> str:
    """An engine and its release, as ``by_engine`` calls them."""
    name = cell(row, "engine") or "vLLM"
    if found.release is not None:
        stated = found.release.version if found.release.known == "stated" else "of a release not stated"
        return f"{name} {stated}"
    return f"{name} {cell(row, 'engine_version')}".strip()


def _reader(kind: Kind, columns: Iterable[str], models: Models) -> Any:
    """A function from a row to its case and predictions."""
    names = set(columns)
    benchmark = next((each for each in latency.BENCHMARKS if each.column in names), None)
    is_memory = any(quantity.column in names for quantity in memory.QUANTITIES.values() if quantity.column)
    if kind == "memory":
        if not is_memory:
            hint = "; it looks like a benchmark: use `validate latency`" if benchmark else ""
            raise InvalidInput(f"no column of vLLM's memory report is there, such as model_weights_gib{hint}")
        return lambda row: ((found := memory.case(row, models)), memory.predict(found, row))
    if kind != "latency":
        raise InvalidInput(f"{kind!r} is not one of memory, latency")
    if benchmark is None:
        hint = "; it looks like start-up memory: use `validate memory`" if is_memory else ""
        raise InvalidInput(
            f"no column of a benchmark is there: ttft_ms and tpot_ms, output_tokens_per_s, or value{hint}"
        )
    cases: dict[tuple[str, ...], Case] = {}

    def read(row: dict[str, str]) -> tuple[Case, Iterator[Prediction]]:
        # A deployment is planned once, whatever its loads: rows of one sweep differ in lengths and concurrency only.
        key = tuple(cell(row, name) for name in ("engine", "config", "engine_version", "model", "quant", "gpu"))
        key += tuple(cell(row, name) for name in ("n_gpu", "tp", "pp", "ep_dp", "isl", "osl", "notes", "concurrency"))
        if key not in cases:
            cases[key] = latency.case(row, models)
        return cases[key], benchmark.predict(cases[key], row)

    return read


def reasons(refused: Sequence[Refusal]) -> list[tuple[str, int]]:
    """Reasons for refusals, the most frequent first."""
    return Counter(each.reason for each in refused).most_common()
