"""Speed-up by how many tokens are drafted, and what is written beside what the target would write."""

from __future__ import annotations

from functools import cache

import numpy as np

from workbench.theory.serving.drafting import best_drafted, expected_tokens, speedup, speedup_as_often_told
from workbench.theory.serving.sampling import distribution
from workbench.theory.serving.speculation import (
    Speculator,
    counted,
    joint,
    total_variation,
    total_variation_of_counting,
)
from workbench.theory.serving.speculation_as_often_told import (
    BonusAsOftenTold,
    FirstPlaceAsOftenTold,
    SpeculatorAsOftenTold,
    TopPAsOftenTold,
)
from workbench.ui.chart import BLUE, GREEN, GREY, RED, linear
from workbench.ui.learn import Picture, drawing

DRAFTED = np.arange(0, 17)
VOCABULARY, LENGTH, SAMPLES, SHOWN, SEED = 4, 4, 10_000, 12, 1
RIGHT = "right"
#: The menu's name -> who writes.
KINDS: dict[str, type[Speculator]] = {
    RIGHT: Speculator,
    "corrected as at the first place": FirstPlaceAsOftenTold,
    "one more after a rejection": BonusAsOftenTold,
    "checked without top-p": TopPAsOftenTold,
    "all three": SpeculatorAsOftenTold,
}


def by_drafted(acceptance: float = 0.7, draft_cost: float = 0.1) -> Picture:
    """Speed-up by the number of drafted tokens.

    Parameters
    ----------
    acceptance : float
        Chance that a draft is kept.
    draft_cost : float
        A step of the draft over a step of the target.
    """
    told = [speedup_as_often_told(acceptance, int(k)) for k in DRAFTED]
    gains = speedup(acceptance, DRAFTED, draft_cost)
    best = best_drafted(acceptance, draft_cost, most=int(DRAFTED[-1]))
    figure = drawing.lines(
        {"tokens a step, often called the speed-up": (DRAFTED, told), "speed-up": (DRAFTED, gains)},
        x={"title": "tokens drafted k", "range": [-0.3, 16.3], "dtick": 2},
        y={"title": "times faster", "range": [0, 8]},
        colours={"tokens a step, often called the speed-up": RED, "speed-up": BLUE},
        dashed=["tokens a step, often called the speed-up"],
    )
    drawing.mark(figure, "the best", [best], [gains[best]], colour=GREEN)
    pays = (
        f"Best: {best} drafted, {float(expected_tokens(acceptance, best)):.2f} tokens a step and "
        f"{gains[best]:.2f} times faster."
        if best
        else "Drafting never pays here: a draft costs more than it is likely to be kept."
    )
    return Picture(figure, f"{pays} With five it is {gains[5]:.2f} times, not {told[5]:.2f}.")


def sequences(checking: str = RIGHT, drafted: int = 2, temperature: float = 1.0, top_p: float = 0.9) -> Picture:
    """The likeliest sequences of four tokens: how often they are written, and how often the target would write them.

    Parameters
    ----------
    checking : str
        A name of :data:`KINDS`.
    drafted : int
    temperature, top_p : float
    """
    target, draft = _models()
    chances = joint(distribution(target, temperature, top_p), 0, LENGTH).ravel()
    written = KINDS[checking](target, draft, drafted, temperature, top_p).write(
        0, LENGTH, SAMPLES, np.random.default_rng(SEED)
    )
    counts = counted(written.tokens, VOCABULARY).ravel()
    order = np.argsort(-joint(distribution(target), 0, LENGTH).ravel(), kind="stable")[:SHOWN]
    names = [_name(int(each)) for each in order]
    figure = drawing.bars(
        {"the target alone": (names, chances[order]), "written together": (names, counts[order] / SAMPLES)},
        x={"title": "sequence", "type": "category"},
        y={"title": "share", "range": linear(max(chances.max(), counts.max() / SAMPLES))},
        colours={"the target alone": GREY, "written together": BLUE if checking == RIGHT else RED},
    )
    apart, noise = total_variation(counts, chances), total_variation_of_counting(chances, SAMPLES)
    return Picture(
        figure,
        f"{SAMPLES:,} sequences lie {apart:.3f} from the target's distribution; counting alone leaves {noise:.3f}. "
        f"{written.tokens_per_step:.2f} tokens a step.",
    )


@cache
def _models() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(VOCABULARY)
    target = rng.normal(size=(VOCABULARY, VOCABULARY))
    return target, target + rng.normal(size=target.shape)


def _name(code: int) -> str:
    return "".join("ABCD"[code // VOCABULARY**place % VOCABULARY] for place in reversed(range(LENGTH)))
