"""Tables of the nuclei of stacks and series, from those of their planes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd

MEANS = ["score", "quality", "mask_score"]
CENTRE = ["z", "y", "x"]


def one_row_per_plane(tables: Iterable[pd.DataFrame], places: Iterable[Mapping[str, int]]) -> pd.DataFrame:
    """Join tables of planes: one row for each id on each plane, with the columns of `io.place.place_columns`."""
    parts = []
    for table, place in zip(tables, places, strict=True):
        columns = {name: np.full(len(table), number) for name, number in place.items()}
        parts.append(pd.concat([table[["index"]].assign(**columns), table.drop(columns="index")], axis=1))
    return pd.concat(parts, ignore_index=True)


def linked_nuclei(rows: pd.DataFrame, axes: Collection[str], sizes: Mapping[str, float]) -> pd.DataFrame:
    """Return one row for each id of a table of `one_row_per_plane`.

    Parameters
    ----------
    rows : DataFrame
        One row for each id on each plane.
    axes : collection of str
        Its columns of the stack axes, in their order: ids are linked along the last one.
    sizes : mapping
        Of a pixel in µm along X, Y and Z, those that are known.

    Returns
    -------
    DataFrame
        `index`; first and last place along each axis, as `z_first` and `z_last`; `planes`, how many; `z` where it is an
        axis, `y` and `x`, weighted by area; `area`, the sum; `volume_um3`, where all sizes are known and ids are linked
        along z; the means of `score`, `quality` and `mask_score`.
    """
    nuclei, area = rows.groupby("index", sort=True), rows.groupby("index", sort=True)["area"].sum()
    table = pd.DataFrame(index=area.index)
    for axis in axes:
        table[f"{axis}_first"], table[f"{axis}_last"] = nuclei[axis].min(), nuclei[axis].max()
    table["planes"] = nuclei.size()
    for name in CENTRE:
        if name in rows:
            table[name] = (rows[name] * rows["area"]).groupby(rows["index"]).sum() / area
    table["area"] = area
    if [*axes][-1:] == ["z"] and {"X", "Y", "Z"} <= sizes.keys():
        table["volume_um3"] = area * sizes["X"] * sizes["Y"] * sizes["Z"]
    for name in MEANS:
        table[name] = nuclei[name].mean()
    return table.reset_index()
