"""Parts of a plane: boxes of rows, windows around what was written. No Qt in here."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from napari_pffnet._qt.layers.history import Write
from napari_pffnet.curate.change import Window
from napari_pffnet.typing import Array

#: Boxes that share so much are of the same object, which edits beside it may have cut.
SAME = 0.5


class ObjectPlace(NamedTuple):
    """Where an object lies: the number of its plane and its box there."""

    plane: int
    rows: slice
    columns: slice

    def is_at(self, other: ObjectPlace) -> bool:
        """Whether it is the place of the same object."""
        pairs = (self.rows, other.rows), (self.columns, other.columns)
        common = np.prod([max(min(a.stop, b.stop) - max(a.start, b.start), 0) for a, b in pairs])
        areas = [(a.stop - a.start) * (b.stop - b.start) for _, a, b in (self, other)]
        return self.plane == other.plane and bool(common >= SAME * (sum(areas) - common))


def box_of(row: pd.Series[Any]) -> Window:
    """Box of a row."""
    top, left = int(row["top"]), int(row["left"])
    return slice(top, top + int(row["height"])), slice(left, left + int(row["width"]))


def hull(writes: list[Write]) -> Window:
    """Smallest window that holds all writes."""
    rows, columns = (np.concatenate([write.indices[axis] for write in writes]) for axis in (0, 1))
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def meets(rows: pd.DataFrame, window: Window) -> Array:
    """Whose boxes share a pixel with the window."""
    top, left = rows["top"].to_numpy(), rows["left"].to_numpy()
    below, right = top + rows["height"].to_numpy(), left + rows["width"].to_numpy()
    inside = (top < window[0].stop) & (below > window[0].start)
    return np.asarray(inside & (left < window[1].stop) & (right > window[1].start))


def around(window: Window, *tables: pd.DataFrame) -> Window:
    """Smallest window that holds the window and all boxes."""
    top, left, below, right = window[0].start, window[1].start, window[0].stop, window[1].stop
    for rows in (table for table in tables if len(table)):
        top, left = min(top, int(rows["top"].min())), min(left, int(rows["left"].min()))
        below = max(below, int((rows["top"] + rows["height"]).max()))
        right = max(right, int((rows["left"] + rows["width"]).max()))
    return slice(top, below), slice(left, right)


def written(pixels: Array, window: Window, writes: list[Write]) -> Array:
    """Return a copy of the window after the writes."""
    part = pixels[window].copy()
    for write in writes:
        rows, columns = write.indices
        inside = (rows >= window[0].start) & (rows < window[0].stop)
        inside &= (columns >= window[1].start) & (columns < window[1].stop)
        part[rows[inside] - window[0].start, columns[inside] - window[1].start] = write.values[inside]
    return part
