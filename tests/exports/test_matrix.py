"""The README's table of engines by platforms is the one that the targets make."""

from __future__ import annotations

from pathlib import Path

from workbench.deployment import ENGINES
from workbench.exports.matrix import matrix, placed
from workbench.exports.registry import targets

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    assert placed(text) == text, "run: python -m workbench.exports.matrix README.md"


def test_every_empty_cell_has_its_reason() -> None:
    table = matrix()
    for target in targets().values():
        if target.group == "engine":
            continue
        row = next(line for line in table.splitlines() if f": {target.title} |" in line)
        cells = dict(zip(ENGINES, (cell.strip() for cell in row.split("|")[2:-1]), strict=True))
        for engine, cell in cells.items():
            if engine in target.engines:
                assert cell == "✓", (target.id, engine)
            else:
                assert f"{cell} {target.without[engine]}" in table, (target.id, engine)
