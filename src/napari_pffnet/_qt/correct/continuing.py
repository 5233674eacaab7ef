"""A new nucleus on one plane of a linked stack goes on with the one that lies on the plane beside. No Qt in here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet.curate.change import Array, Change


class Continued(NamedTuple):
    """`change`: paints the nucleus; `label`: its id; `name`: what it is called."""

    change: Change
    label: int
    name: str


def continued(plane: LabelPlane, change: Change) -> Continued:
    """Give the nucleus that a change paints, under the highest of its values, the id of the one that it goes on with.

    That is one on a plane beside, of which there is nothing on this plane, and which linking would pair with it; where
    planes share no ids, nothing is linked.
    """
    made, beside = int(change.values.max()), plane.beside()
    if not beside:
        return Continued(change, made, f"Nucleus {made}")
    from napari_pffnet.segment.linking import pairs  # brings PyTorch with it

    painted = np.zeros(plane.pixels.shape, np.int32)
    painted[tuple(part[change.values == made] for part in change.indices)] = 1
    here = _ids(plane.pixels)
    for other in beside:
        label = pairs(other, painted).get(1, 0)
        if label and label not in here and len(np.intersect1d(here, _ids(other))):
            values = np.where(change.values == made, label, change.values).astype(change.values.dtype)
            return Continued(Change(change.indices, values), label, f"Nucleus {label}, as on the plane beside,")
    return Continued(change, made, f"Nucleus {made}")


def _ids(pixels: Array) -> Array:
    ids: Array = np.unique(pixels)
    return np.asarray(ids[ids != 0])
