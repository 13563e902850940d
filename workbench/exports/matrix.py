"""Which engine can be written for which platform, as a table in Markdown.

The README has it between two comments; ``python -m workbench.exports.matrix README.md`` puts it there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from workbench.datafiles import write_whole
from workbench.deployment import ENGINES
from workbench.exports.registry import GROUPS, targets
from workbench.exports.servers import server

#: Comments of the README around the table.
BEGIN, END = "<!-- engines by platforms -->\n", "<!-- end -->\n"
#: Groups that every engine has one of its own in.
_OWN = ("engine",)


def matrix() -> str:
    """Platforms by engines; a number where there is nothing, its reason below."""
    reasons: dict[str, int] = {}
    lines = [f"| | {' | '.join(ENGINES)} |", f"|---|{'---|' * len(ENGINES)}"]
    for target in targets().values():
        if target.group in _OWN:
            continue
        cells = []
        for engine in ENGINES:
            why = target.without.get(engine)
            cells.append(f"[{reasons.setdefault(why, len(reasons) + 1)}]" if why else "✓")
        lines.append(f"| {GROUPS[target.group]}: {target.title} | {' | '.join(cells)} |")
    told = [f"[{number}] {why}" for why, number in reasons.items()]
    missing = [engine for engine in ENGINES if not server(engine).image("0", False)]
    lines += ["", "Empty because: " + "; ".join(told) + "."]
    if missing:
        lines += ["", f"Nobody publishes an image of {', '.join(missing)}: its containers need your own (`--image`)."]
    return "\n".join(lines) + "\n"


def placed(text: str) -> str:
    """A text with the table between the two comments.

    >>> placed("a\\n" + BEGIN + "old\\n" + END + "b\\n").endswith(END + "b\\n")
    True
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{matrix()}{END}{after}"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    write_whole(readme, placed(readme.read_text(encoding="utf-8")))
