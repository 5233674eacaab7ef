"""A new nucleus on one plane of a linked stack goes on with the one that lies on the plane beside. No Qt in here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet.curate.change import Change
from napari_pffnet.labels import are_one
from napari_pffnet.typing import Array

#: pixels around a nucleus in which its neighbours tell whether planes are linked
AROUND = 256


class Continued(NamedTuple):
    """`change`: paints the nucleus; `label`: its id; `name`: what it is called."""

    change: Change
    label: int
    name: str


def continued(plane: LabelPlane, change: Change) -> Continued:
    """Give the nucleus that a change paints, under the highest of its values, the id of the one that it goes on with.

    That is one on a plane beside, of which nothing is left on this plane, and which linking would pair with it; where
    planes share no ids, nothing is linked.
    """
    made = int(change.values.max())
    painted = (change.indices[0][change.values == made], change.indices[1][change.values == made])
    for other in plane.beside():
        label = _under(other, painted)
        if label and not _remains(label, plane.pixels, change) and are_linked(plane.pixels, other, painted):
            values = np.where(change.values == made, label, change.values).astype(change.values.dtype)
            return Continued(Change(change.indices, values), label, f"Nucleus {label}, as on the plane beside,")
    return Continued(change, made, f"Nucleus {made}")


def _under(other: Array, painted: tuple[Array, Array]) -> int:
    """Return the id of the object under most of the pixels, if they are one nucleus; else 0."""
    ids, common = np.unique(other[painted], return_counts=True)
    common[ids == 0] = 0
    best = int(common.argmax())
    label, shared = int(ids[best]), int(common[best])
    area = int(np.count_nonzero(other == label)) if shared else 0
    return label if shared and are_one(shared, area, len(painted[0])) else 0


def _remains(label: int, pixels: Array, change: Change) -> bool:
    """Whether a change leaves something of an object."""
    there = pixels == label
    there[change.indices] = False
    return bool(there.any())


def are_linked(pixels: Array, other: Array, painted: tuple[Array, Array]) -> bool:
    """Whether planes share ids near the painted pixels, or anywhere if one of them is empty there.

    Most of these ids are those of objects that touch: planes that are numbered by themselves share numbers, too.
    """
    window = tuple(slice(max(0, int(part.min()) - AROUND), int(part.max()) + AROUND) for part in painted)
    here, beside = pixels[window], other[window]
    if not here.any() or not beside.any():
        here, beside = pixels, other
    shared = np.intersect1d(_ids(here), _ids(beside))
    return 0 < len(shared) <= 2 * len(_ids(here[here == beside]))


def _ids(pixels: Array) -> Array:
    ids: Array = np.unique(pixels)
    return np.asarray(ids[ids != 0])
