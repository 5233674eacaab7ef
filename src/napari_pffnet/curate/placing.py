"""Putting a found mask among the objects of a label plane. Same conventions as `operations`."""

from __future__ import annotations

import numpy as np

from napari_pffnet.curate.change import Array, Change, OperationError, change, new_ids, window_of

MOSTLY = 0.5
TAKEN = "another nucleus is there already; delete it first, or let new nuclei replace others"


def place(plane: Array, indices: tuple[Array, Array], *, replace: bool = False, used_up_to: int = 0) -> Change:
    """Paint pixels as a new object.

    Parameters
    ----------
    plane : ndarray
        int H×W, 0 is background.
    indices : (ndarray, ndarray)
        int rows and columns of the new object, inside the plane.
    replace : bool
        False: only background is painted, at least half of the pixels. True: other objects lose these pixels, and
        those that lose more than half of theirs vanish.
    used_up_to : int
        Highest id in use elsewhere (other planes of a stack); the new id is above it.

    Raises
    ------
    OperationError
        Fewer than half of the pixels are free, or the dtype has no free id.
    """
    wanted = len(indices[0])
    if not replace:
        free = plane[indices] == 0
        indices = indices[0][free], indices[1][free]
    if not len(indices[0]) or len(indices[0]) < MOSTLY * wanted:
        raise OperationError(TAKEN)
    value = new_ids(plane, 1, used_up_to)
    covered = _mostly_covered(plane, indices) if replace else []
    window = window_of(plane, covered)
    painted = Change(indices, np.repeat(value, len(indices[0])))
    if window is None:
        return painted
    edited = painted.applied_to(plane)
    edited[np.isin(edited, covered)] = 0
    return change(plane, (slice(0, plane.shape[0]), slice(0, plane.shape[1])), edited)


def redraw(plane: Array, label: int, indices: tuple[Array, Array]) -> Change:
    """Give an object these pixels (rows and columns) instead of its own; other objects keep theirs.

    Raises
    ------
    OperationError
        There is no such object, or all the pixels are others'.
    """
    own = plane == label
    if label == 0 or not own.any():
        raise OperationError(f"there is no nucleus {label}; point at a nucleus")
    wanted = np.zeros(plane.shape, bool)
    wanted[indices] = True
    wanted &= own | (plane == 0)
    if not wanted.any():
        raise OperationError("the network sees no nucleus of its own there")
    edited = np.where(own, 0, plane)
    edited[wanted] = label
    return change(plane, (slice(0, plane.shape[0]), slice(0, plane.shape[1])), edited)


def _mostly_covered(plane: Array, indices: tuple[Array, Array]) -> list[int]:
    """Objects that lose more than `MOSTLY` of their pixels."""
    ids, lost = np.unique(plane[indices], return_counts=True)
    return [
        int(label)
        for label, count in zip(ids, lost, strict=True)
        if label != 0 and count > MOSTLY * np.count_nonzero(plane == label)
    ]
