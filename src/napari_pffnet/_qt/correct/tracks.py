"""Edits of nuclei on all planes of a stack: joining them, linking, and parts that go on. No Qt in here."""

from __future__ import annotations

import numpy as np

from napari_pffnet._qt.correct.continuing import are_linked
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet._qt.torch_import import import_torch
from napari_pffnet.curate.change import Change
from napari_pffnet.typing import Array


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
    """Link the nuclei of all planes; see `segment.linking.link_planes`.

    Returns
    -------
    change : Change
        Of `LabelPlane.everything`.
    count : int
        Nuclei that there are then.
    """
    import_torch()
    from napari_pffnet.segment.linking import link_planes

    data = np.maximum(plane.layer.data, 0)
    planes = plane.planes(data)
    *outer, height, width = planes.shape
    long = [axis for axis, size in enumerate(outer) if size > 1]
    last = outer[long[-1]] if long else 1
    linked, count = link_planes(planes.reshape(-1, height, width), last)
    data = np.array(data)
    plane.planes(data)[:] = linked.reshape(planes.shape)
    before, after = plane.everything, data.reshape(-1, data.shape[-1])
    places = np.nonzero(before != after)
    return Change((places[0], places[1]), after[places].astype(before.dtype)), count


def go_on(plane: LabelPlane, change: Change) -> Change:
    """Give parts of nuclei that a change splits the ids that they have on the plane beside, where planes are linked."""
    import_torch()
    from napari_pffnet.segment.linking import pairs

    pixels = plane.pixels
    after = np.array(pixels)
    after[change.indices] = change.values
    parts = np.union1d(change.values, pixels[change.indices])
    others = np.setdiff1d(after, parts).tolist()
    mine = np.where(np.isin(after, parts), after, 0)
    names: dict[int, int] = {}
    for beside in plane.beside():
        if are_linked(pixels, beside, change.indices):
            found = {part: label for part, label in pairs(beside, mine).items() if label not in others}
            names = max(names, found, key=len)
    free = [label for label in parts.tolist() if label not in names.values()]
    names |= dict(zip([part for part in parts.tolist() if part not in names], free, strict=False))
    named = _renamed(mine, names)
    places = np.nonzero((mine != 0) & (named != pixels))
    return Change((places[0], places[1]), named[places].astype(pixels.dtype))


def _renamed(labels: Array, names: dict[int, int]) -> Array:
    old, place = np.unique(labels, return_inverse=True)
    return np.array([names.get(label, label) for label in old.tolist()], labels.dtype)[place].reshape(labels.shape)
