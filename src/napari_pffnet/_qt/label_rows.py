"""Rows of a Labels layer's table that follow every edit, undo and redo: ours and those of napari's own brushes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Labels
from psygnal import Signal

from napari_pffnet._qt.history import touched, values, writes
from napari_pffnet.curate.change import Array

EDITED, ACCEPTED = "edited", "accepted"
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

    #: An edit, undo or redo: emitted with its list of `Write` after the rows have followed. napari announces some edits
    #: before it writes the pixels: read the ids from the list, not from the layer.
    edited = Signal(list)

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self._steps: dict[int, _Step] = {}
        layer.events.paint.connect(self._follow)

    def close(self) -> None:
        """Stop listening."""
        self.layer.events.paint.disconnect(self._follow)

    @property
    def edits(self) -> int:
        """Number of edits that can be undone."""
        return len(self.layer._undo_history)

    def undo(self) -> bool:
        """Undo the last edit with napari, and its rows; False if there is none."""
        if not self.layer._undo_history:
            return False
        self.layer.undo()
        self._return(self.layer._redo_history[-1], undone=True)
        return True

    def redo(self) -> bool:
        """Redo with napari, and its rows; False if nothing was undone."""
        if not self.layer._redo_history:
            return False
        self.layer.redo()
        self._return(self.layer._undo_history[-1], undone=False)
        return True

    def set_state(self, ids: Iterable[int], state: str) -> None:
        """Set the state of objects, such as `ACCEPTED`; ids without a row get one."""
        table = _by_index(self.layer.features)
        known = sorted(set(ids) - {0})
        rows = table.reindex(pd.Index(known, dtype=np.int64))
        areas = pd.Series(_areas(self.layer.data, rows.index[rows["area"].isna()].tolist()), dtype=float)
        self._show(table, known, rows.assign(area=rows["area"].fillna(areas), state=state))

    def renumber(self, new: dict[int, int]) -> None:
        """Tell that the last edit only gave objects other ids, old: new; each row goes with its object."""
        number, step = next(reversed(self._steps.items()))
        rows = step.before.rename(index=new).sort_index()
        self._steps[number] = _Step(step.atom, step.ids, step.before, rows)
        self._show(_by_index(self.layer.features), step.ids, rows)

    def _follow(self, event: Any) -> None:
        ids, table = touched(event.value), _by_index(self.layer.features)
        before = table.loc[table.index.intersection(ids)]
        after = _counted(self.layer.data, ids, table, _not_yet_written(self.layer.data, event.value[-1]))
        atom = event.value[0]
        self._steps[id(atom)] = _Step(atom, ids, before, after)
        while len(self._steps) > REMEMBERED:
            del self._steps[next(iter(self._steps))]
        self._show(table, ids, after)
        self.edited.emit(writes(event.value, undone=False))

    def _return(self, item: list[Any], undone: bool) -> None:
        table = _by_index(self.layer.features)
        step = next((self._steps[id(atom)] for atom in item if id(atom) in self._steps), None)
        if step:
            self._show(table, step.ids, step.before if undone else step.after)
        else:
            ids = touched(item)
            self._show(table, ids, _counted(self.layer.data, ids, table))
        self.edited.emit(writes(item, undone=undone))

    def _show(self, table: pd.DataFrame, ids: list[int], rows: pd.DataFrame) -> None:
        """Replace the rows of `ids`."""
        result = table.reindex(table.index.difference(ids).union(rows.index))
        for name in rows.columns:
            result.loc[rows.index, name] = rows[name]
        if not result["area"].isna().any():
            result["area"] = result["area"].astype(np.int64)
        result["state"] = result["state"].fillna("")
        self.layer.features = result.rename_axis("index").reset_index()


def _not_yet_written(data: Any, atom: Any) -> tuple[Array, Array] | None:
    """Return the ids before and after a write that napari announces; None if it is done, as at the end of a stroke."""
    old, new = values(atom)
    if hasattr(atom, "slice_key"):
        region = np.asarray(data[atom.slice_key])
        now = region.ravel() if atom.mask is None else region[atom.mask]
    else:
        now = np.asarray(data[atom[0]])
    return None if np.array_equal(now, new) else (old, new)


def _by_index(features: pd.DataFrame) -> pd.DataFrame:
    """Return the table with ids as its index; without a column `index`, row number i is object i, as in napari."""
    table = features if "index" in features else features.assign(index=np.arange(len(features)))
    missing = {name: value for name, value in (("area", np.nan), ("state", "")) if name not in table}
    return table[~table["index"].duplicated()].assign(**missing).set_index("index")


def _counted(data: Any, ids: list[int], table: pd.DataFrame, coming: tuple[Array, Array] | None = None) -> pd.DataFrame:
    """Return the rows of the objects that exist after the write that is `coming`, with their areas and as edited."""
    areas = _areas(data, ids)
    if coming:
        lost, gained = (_areas(values, ids) for values in coming)
        areas = {label: areas[label] - lost[label] + gained[label] for label in ids}
    there = [label for label in ids if areas[label]]
    rows = table.reindex(pd.Index(there, dtype=np.int64))
    return rows.assign(area=[areas[label] for label in there], state=EDITED)


def _areas(data: Any, ids: list[int]) -> dict[int, int]:
    if len(ids) <= FEW:
        return {label: int(np.count_nonzero(data == label)) for label in ids}
    found, count = np.unique(data[np.isin(data, ids)], return_counts=True)
    return dict.fromkeys(ids, 0) | dict(zip(found.tolist(), count.tolist(), strict=True))
