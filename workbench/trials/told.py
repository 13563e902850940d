"""What guides' tables say of formats, beside the map: savings, speeds and losses without model, card or load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.datafiles import read_rows

if TYPE_CHECKING:
    import pandas as pd


def often_told(table: pd.DataFrame) -> pd.DataFrame:
    """Four guides' tables beside a map: what each says of saving, speed and loss, and what the map has.

    Parameters
    ----------
    table : DataFrame
        Of :func:`methods_map`, with the methods that the tables name.

    Returns
    -------
    DataFrame
        A row a figure of a table; ``saving`` as told, ``holds_against`` the float it holds against, ``saves``: against
        16 bit, of the whole model; ``speed`` as told, ``bound_low``, ``bound_high``: the least and the most of the
        map's three bounds; ``loss`` as told, ``change``: of perplexity, measured on the built-in model.

    Raises
    ------
    KeyError
        If the map lacks a method that a table names.
    """
    import pandas as pd

    rows, known = [], table.to_dict("index")
    for told in read_rows("formats", "often_told.csv"):
        ours = known[told["choice"]]
        bound = [ours[name] for name in ("decode_alone", "decode", "prefill")]
        low, high = told["speed_low"], told["speed_high"]
        rows.append(
            {
                "table": told["table"],
                "named": told["named"],
                "choice": told["choice"],
                "saving": float(told["saving"]),
                "holds_against": told["against"],
                "saves": 1 - ours["bits_whole"] / 16,
                "speed": low if low == high else f"{low} to {high}",
                "bound_low": min(bound),
                "bound_high": max(bound),
                "loss": told["loss"],
                "change": ours["change"],
            }
        )
    return pd.DataFrame(rows)
