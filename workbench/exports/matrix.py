"""Which engine can be written for which platform, as a table in Markdown; the README has it."""

from __future__ import annotations

from workbench.deployment import ENGINES
from workbench.exports.registry import GROUPS, server, targets

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
        lines += [
            "",
            f"Nobody publishes an image of {', '.join(missing)}: containers of it need one of your own (`--image`).",
        ]
    return "\n".join(lines) + "\n"
