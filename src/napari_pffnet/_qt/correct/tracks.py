"""Edits of nuclei that go on through the planes of a stack. No Qt in here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_pffnet._qt.correct.continuing import are_linked
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet.curate.change import Change, require
from napari_pffnet.evaluate.linking import link_planes, pairs, relabel


def delete_everywhere(plane: LabelPlane, ids: Sequence[int]) -> Change:
    """Make nuclei background on all planes; the change is one of `LabelPlane.everything`."""
    places = np.nonzero(np.isin(plane.everything, ids))
    return Change((places[0], places[1]), np.zeros(len(places[0]), plane.layer.data.dtype))


def merge_everywhere(plane: LabelPlane, kept: int, label: int) -> tuple[Change, int]:
    """Give a nucleus another one's id on all planes, except those that hold both.

    Returns
    -------
    change : Change
        Of `LabelPlane.everything`.
    left : int
        On how many planes both are.
    """
    data = plane.layer.data
    wanted = data == label
    planes = plane.planes(wanted)
    both = (plane.planes(data) == kept).any((-2, -1))
    left = int(np.count_nonzero(planes[both].any((-2, -1))))
    planes[both] = False
    places = np.nonzero(wanted.reshape(-1, data.shape[-1]))
    return Change((places[0], places[1]), np.full(len(places[0]), kept, data.dtype)), left


def link_everywhere(plane: LabelPlane) -> tuple[Change, int]:
    """Link the nuclei of all planes; see `evaluate.linking.link_planes`.

    Returns
    -------
    change : Change
        Of `LabelPlane.everything`.
    count : int
        Nuclei that there are then.

    Raises
    ------
    OperationError
        The layer's type cannot hold their ids.
    """
    data, axis = plane.layer.data, plane.stack_axis
    planes = plane.planes(np.maximum(data, 0))
    length = 1 if axis is None else data.shape[axis]
    linked, count = link_planes(planes.reshape(-1, *planes.shape[-2:]), length)
    require(data.dtype, int(linked.max(initial=0)))
    after = np.array(data)
    view = plane.planes(after)
    view[:] = np.where(view > 0, linked.reshape(planes.shape), view)
    after = after.reshape(plane.everything.shape)
    places = np.nonzero(plane.everything != after)
    return Change((places[0], places[1]), after[places]), count


def named_as_beside(plane: LabelPlane, change: Change) -> Change:
    """Give parts of nuclei that a change splits the ids that they have on the plane beside, where planes are linked."""
    pixels = plane.pixels
    after = np.array(pixels)
    after[change.indices] = change.values
    parts = np.union1d(change.values, pixels[change.indices])
    of_others = np.setdiff1d(after, parts).tolist()
    mine = np.where(np.isin(after, parts), after, 0)
    names: dict[int, int] = {}
    for beside in plane.beside():
        if are_linked(pixels, beside, change.indices):
            found = pairs(np.maximum(beside, 0), mine)
            names = max(names, {part: label for part, label in found.items() if label not in of_others}, key=len)
    taken, rest = set(names.values()), [part for part in parts.tolist() if part not in names]
    free = iter([part for part in names if part not in taken])
    names |= {part: next(free) if part in taken else part for part in rest}
    named = relabel(mine, names)
    places = np.nonzero((mine != 0) & (named != pixels))
    return Change((places[0], places[1]), named[places].astype(pixels.dtype))
