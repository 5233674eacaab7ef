"""Linking of the same nucleus through the planes of a stack or the frames of a series."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_pffnet.evaluate.metrics import assign, overlaps
from napari_pffnet.labels import are_one, renumber
from napari_pffnet.typing import Array


class Linked(NamedTuple):
    """One plane after linking.

    `labels` is an int32 H×W array (int64 if the given plane is) with the stable ids, 0 is background; `ids` maps each
    id of the given plane to its stable id, so that tables can follow.
    """

    labels: Array
    ids: dict[int, int]


class Linker:
    """Gives objects that overlap from plane to plane the same id, for planes that come one by one.

    Objects of neighbouring planes are paired so that the sum of their IoU is largest; each belongs to one pair at most.
    Of a nucleus that divides (or two that merge), the better overlap keeps the id and the other gets a new one. Only
    neighbours are compared: a nucleus that is missing in one plane, even if only there, comes back under a new id.
    Ids are never used twice. Two planes are in memory at a time.
    """

    def __init__(self) -> None:
        self._highest = 0
        self._previous: Array | None = None

    def add(self, plane: Array) -> Linked:
        """Link the next plane, integer H×W, 0 is background, to the one before; ValueError if shapes differ.

        The given plane is not changed; new ids count on from 1.
        """
        before = self._previous
        if before is not None and before.shape != plane.shape:
            raise ValueError(f"planes have shapes {before.shape} and {plane.shape}; give planes of one shape")
        known = {} if before is None else pairs(before, plane)
        found = [label for label in np.unique(plane).tolist() if label]
        new = [label for label in found if label not in known]
        known |= {label: self._highest + i for i, label in enumerate(new, 1)}
        self._highest += len(new)
        ids = {label: known[label] for label in found}
        self._previous = relabel(plane, ids)
        return Linked(self._previous, ids)

    def part(self) -> None:
        """Begin another stack: the next plane is linked to none, and its ids are new."""
        self._previous = None


def pairs(before: Array, after: Array) -> dict[int, int]:
    """Pair the objects of two label images, H×W each, that `are_one`; return id in `after` -> in `before`."""
    table = overlaps(before, after)
    areas = table.truth_areas[table.truth], table.prediction_areas[table.prediction]
    alike = np.flatnonzero(are_one(table.common, *areas))
    chosen = assign(table, alike, table.iou[alike])
    old, new = table.truth_ids[table.truth[chosen]], table.prediction_ids[table.prediction[chosen]]
    return dict(zip(new.tolist(), old.tolist(), strict=True))


def relabel(labels: Array, ids: dict[int, int]) -> Array:
    """Return a label image with other ids, old: new; ids that are not named become background."""
    numbers, there = renumber(labels)
    dtype = np.int64 if labels.dtype.itemsize == 8 else np.int32
    return np.array([0, *(ids.get(label, 0) for label in there.tolist())], dtype)[numbers]
