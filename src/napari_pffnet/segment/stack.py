"""Planes of a stack or frames of a series, put into one label array with one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from napari_pffnet.segment.linking import Linker
from napari_pffnet.segment.prediction import Segmentation

LOOKED_AT, THINNED = 9, 256
MEANS = ["score", "quality", "mask_score", "overlap"]
CENTRE = ["y", "x"]
Place = tuple[int | slice, ...]
P = TypeVar("P")
Array = np.ndarray[Any, Any]


def telling_place(places: Sequence[P], read: Callable[[P], Array]) -> P:
    """Return where the plane is that shows most, to tell the size of a stack's nuclei: that whose values spread most.

    Of many planes nine are looked at, evenly spaced; the first and the last of a stack are often empty.

    Parameters
    ----------
    places : sequence
        Of all planes.
    read : callable
        Gives the plane at a place, H×W or H×W×3.
    """
    count = len(places)
    numbers = np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).round().astype(int))
    return max([places[int(number)] for number in numbers], key=lambda place: _spread(read(place)))


def _spread(plane: Array) -> float:
    steps = [max(1, length // THINNED) for length in plane.shape[:2]]
    thinned = plane[:: steps[0], :: steps[1]].astype(np.float64)
    return float(np.std(thinned[np.isfinite(thinned)])) if np.isfinite(thinned).any() else 0.0


class StackComposer:
    """Takes planes one by one; ids are unique through the stack.

    Parameters
    ----------
    shape : tuple of int
        Of the label array.
    linked : bool
        Whether the same nucleus has one id on all planes.
    """

    def __init__(self, shape: tuple[int, ...], linked: bool) -> None:
        self.linked = linked
        self._labels, self._semantic = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
        self._linker, self._tables = Linker(), list[pd.DataFrame]()

    def add(self, place: Place, part: Segmentation, begins: bool) -> None:
        """Put a plane at its place in the array; one that `begins` a stack is linked to none before it."""
        if not self.linked or begins:
            self._linker.part()
        self._labels[place], ids = self._linker.add(part.labels)
        self._semantic[place] = part.semantic
        number = len(self._tables)
        known = part.table.assign(index=part.table["index"].map(ids).astype(np.int64), first=number, last=number)
        self._tables.append(known)

    def result(self) -> Segmentation:
        """Return all planes added so far, zeros on the others; the table is that of `one_row_each`."""
        return Segmentation(self._labels, self._semantic, one_row_each(self._tables))


def one_row_each(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of planes: one row for each id.

    Of an id on several planes areas are summed, centres and the figures from 0 to 1 averaged; `first` and `last` are
    the planes, counted from 0 through all of them, where it begins and ends.
    """
    rows = pd.concat(list(tables), ignore_index=True)
    means = dict.fromkeys([*CENTRE, *MEANS], "mean")
    how: dict[str, Any] = {"first": "min", "last": "max", "area": "sum", **means}
    joined: Any = rows.groupby("index", sort=True).agg({name: how[name] for name in how if name in rows})
    table: pd.DataFrame = joined.reset_index()
    return table
