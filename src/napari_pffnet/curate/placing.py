"""Putting a found mask among the objects of a label plane. Same conventions as `operations`."""

from __future__ import annotations

import numpy as np

from napari_pffnet.curate.change import Change, OperationError, Window, change, new_ids, window_around, window_of
from napari_pffnet.typing import Array

MOSTLY = 0.5
TAKEN = "another nucleus is there already; delete it first, or tick 'Replace neighbours' (a drag: hold Shift)"


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
    if not replace:
        return Change(indices, np.repeat(value, len(indices[0])))
    ids, lost = np.unique(plane[indices], return_counts=True)
    window = _window_with(plane.shape, window_of(plane, ids.tolist()), indices)
    part = plane[window]
    areas = np.array([np.count_nonzero(part == label) for label in ids])
    covered = ids[(lost > MOSTLY * areas) & (ids != 0)]
    edited = np.where(np.isin(part, covered), 0, part)
    edited[_within(window, indices)] = value
    return change(plane, window, edited)


def redraw(plane: Array, label: int, indices: tuple[Array, Array]) -> Change:
    """Give an object these pixels (rows and columns) instead of its own; other objects keep theirs.

    Raises
    ------
    OperationError
        There is no such object, or all the pixels are others'.
    """
    around = window_of(plane, [label])
    if around is None:
        raise OperationError(f"there is no nucleus {label}; point at a nucleus")
    window = _window_with(plane.shape, around, indices)
    part = plane[window]
    own = part == label
    wanted = np.zeros(part.shape, bool)
    wanted[_within(window, indices)] = True
    wanted &= own | (part == 0)
    if not wanted.any():
        raise OperationError("the network sees no nucleus of its own there")
    edited = np.where(own, 0, part)
    edited[wanted] = label
    return change(plane, window, edited)


def _window_with(shape: tuple[int, ...], around: Window | None, indices: tuple[Array, Array]) -> Window:
    """Return the smallest window that holds another one and pixels."""
    points = np.transpose(indices)
    if around is not None:
        rows, columns = around
        points = np.concatenate([points, [(rows.start, columns.start), (rows.stop - 1, columns.stop - 1)]])
    return window_around(shape, points)


def _within(window: Window, indices: tuple[Array, Array]) -> tuple[Array, Array]:
    """Rows and columns in a window's own pixels."""
    return indices[0] - window[0].start, indices[1] - window[1].start
