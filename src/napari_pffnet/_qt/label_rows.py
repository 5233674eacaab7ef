"""Rows of a Labels layer's table that follow every edit, undo and redo: ours and those of napari's own brushes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Labels

EDITED = "edited"
REMEMBERED = 200
FEW = 8


@dataclass(frozen=True)
class _Step:
    """One step of napari's history: `atom` tells which, and the rows of the objects `ids` before and after it."""

    atom: Any
    ids: list[int]
    before: pd.DataFrame
    after: pd.DataFrame


class LabelRows:
    """Keeps ``layer.features`` (columns `index`, `area`, `state`) in step with the pixels.

    Rows are sorted by `index`; `area` counts pixels on all planes.

    Parameters
    ----------
    layer : Labels
        Its edits are listened to until `close`.
    """

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self._steps: dict[int, _Step] = {}
        layer.events.paint.connect(self._follow)

    def close(self) -> None:
        """Stop listening."""
        self.layer.events.paint.disconnect(self._follow)

    def undo(self) -> None:
        """Undo the last edit with napari, and its rows."""
        if self.layer._undo_history:
            self.layer.undo()
            self._return(self.layer._redo_history[-1], undone=True)

    def redo(self) -> None:
        """Redo with napari, and its rows."""
        if self.layer._redo_history:
            self.layer.redo()
            self._return(self.layer._undo_history[-1], undone=False)

    def _follow(self, event: Any) -> None:
        ids, table = _touched(event.value), _by_index(self.layer.features)
        before = table.loc[table.index.intersection(ids)]
        after = _counted(self.layer.data, ids, table)
        atom = event.value[0]
        self._steps[id(atom)] = _Step(atom, ids, before, after)
        while len(self._steps) > REMEMBERED:
            del self._steps[next(iter(self._steps))]
        self._show(table, ids, after)

    def _return(self, item: list[Any], undone: bool) -> None:
        table = _by_index(self.layer.features)
        step = next((self._steps[id(atom)] for atom in item if id(atom) in self._steps), None)
        if step:
            self._show(table, step.ids, step.before if undone else step.after)
        else:
            ids = _touched(item)
            self._show(table, ids, _counted(self.layer.data, ids, table))

    def _show(self, table: pd.DataFrame, ids: list[int], rows: pd.DataFrame) -> None:
        """Replace the rows of `ids`."""
        kept = table.index.difference(ids)
        columns = [*table.columns, *(name for name in rows.columns if name not in table)]
        result = table.reindex(index=kept.union(rows.index), columns=columns)
        for name in rows.columns:
            result.loc[rows.index, name] = rows[name]
        if "area" in result and not result["area"].isna().any():
            result["area"] = result["area"].astype(np.int64)
        if "state" in result:
            result["state"] = result["state"].fillna("")
        self.layer.features = result.rename_axis("index").reset_index()


def _touched(item: Iterable[Any]) -> list[int]:
    """Return the ids whose pixels a step of napari's history took or gave."""
    ids: set[int] = set()
    for atom in item:
        old, new = (atom.old_values, atom.new_value) if hasattr(atom, "old_values") else atom[1:]
        ids |= set(np.unique(old).tolist()) | set(np.unique(new).tolist())
    return sorted(ids - {0})


def _by_index(features: pd.DataFrame) -> pd.DataFrame:
    """Return the table with ids as its index; without a column `index`, row number i is object i, as in napari."""
    table = features if "index" in features else features.assign(index=np.arange(len(features)))
    return table[~table["index"].duplicated()].set_index("index")


def _counted(data: Any, ids: list[int], table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the objects that exist, with their areas and as edited."""
    if len(ids) <= FEW:
        areas = {label: int(np.count_nonzero(data == label)) for label in ids}
    else:
        found, count = np.unique(data[np.isin(data, ids)], return_counts=True)
        areas = dict(zip(found.tolist(), count.tolist(), strict=True))
    there = [label for label in ids if areas.get(label)]
    rows = table.reindex(pd.Index(there, dtype=np.int64))
    return rows.assign(area=[areas[label] for label in there], state=EDITED)
