"""Planes of a stack or frames of a series, put into one label array with one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from napari_pffnet.data.normalize import as_image, limits
from napari_pffnet.evaluate.linking import Linker
from napari_pffnet.segment.blank import is_blank, nothing
from napari_pffnet.segment.features import TileFeatures
from napari_pffnet.segment.prediction import Prediction, Segmentation
from napari_pffnet.segment.segmenter import Segmenter
from napari_pffnet.segment.size import liveliness
from napari_pffnet.typing import Array

LOOKED_AT = 9
MEANS = ["score", "quality", "mask_score", "overlap"]
Place = tuple[int | slice, ...]
P = TypeVar("P")


def telling_place(places: Sequence[P], read: Callable[[P], Array | None]) -> P:
    """Return where the plane is that shows most, to tell the size of a stack's nuclei: the liveliest.

    Of many planes nine are looked at, evenly spaced; the first and the last of a stack are often empty.

    Parameters
    ----------
    places : sequence
        Of all planes.
    read : callable
        Gives the plane at a place, H×W or H×W×3; None if it cannot be read.
    """

    def shown(place: P) -> float:
        pixels = read(place)
        return -1.0 if pixels is None else liveliness(pixels)

    count = len(places)
    numbers = np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).round().astype(int))
    return max([places[int(number)] for number in numbers], key=shown)


def predict_plane(
    segmenter: Segmenter,
    image: Array,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    keep: Callable[[TileFeatures], None] | None = None,
    wanted: Array | None = None,
) -> Prediction:
    """Find the nuclei of a plane of a stack; one that is blank has none, and the network does not look at it.

    Blank is what `is_blank` says, at the plane's own limits. Arguments and errors of `Segmenter.predict`.
    """
    pixels = as_image(image)
    bounds = limits(pixels, segmenter.model.config.input.percentiles)
    if is_blank(pixels, bounds, segmenter.typical_diameter):
        return Prediction(
            **nothing(), semantic=np.zeros(pixels.shape[:2], np.float16), config=segmenter.config, bounds=bounds
        )
    return segmenter.predict(image, progress, cancelled, keep, wanted)


class StackComposer:
    """Takes planes one by one; ids are unique through the stack.

    Parameters
    ----------
    shape : tuple of int
        Of the label array.
    linked : bool
        Whether the same nucleus has one id on all planes.

    Attributes
    ----------
    tables : list of DataFrame
        Of each plane that was added, by the ids of the stack.
    """

    def __init__(self, shape: tuple[int, ...], linked: bool) -> None:
        self.linked = linked
        self._labels, self._semantic = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
        self._linker, self.tables = Linker(), list[pd.DataFrame]()

    def add(self, place: Place, part: Segmentation, begins: bool) -> None:
        """Put a plane at its place in the array; one that `begins` a stack is linked to none before it."""
        if not self.linked or begins:
            self._linker.part()
        self._labels[place], ids = self._linker.add(part.labels)
        self._semantic[place] = part.semantic
        known = part.table.assign(index=part.table["index"].map(ids).astype(np.int64))
        self.tables.append(known.sort_values("index", ignore_index=True))

    def leave_out(self, begins: bool) -> None:
        """Go past a plane of which nothing is known; the planes beside it are linked, unless it `begins` a stack."""
        if begins:
            self._linker.part()

    def result(self) -> Segmentation:
        """Return all planes added so far, zeros on the others; the table is that of `one_row_each`."""
        return Segmentation(self._labels, self._semantic, one_row_each(self.tables))


def one_row_each(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of planes: one row for each id, areas are summed, the figures from 0 to 1 averaged."""
    rows = pd.concat(list(tables), ignore_index=True)
    how: dict[str, Any] = {"area": "sum", **dict.fromkeys(MEANS, "mean")}
    joined: Any = rows.groupby("index", sort=True).agg({name: how[name] for name in how if name in rows})
    table: pd.DataFrame = joined.reset_index()
    return table
