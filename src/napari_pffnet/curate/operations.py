"""Edit operations on a label plane: arrays in, changed pixels out. Splitting is in `napari_pffnet.curate.split`.

A plane is an integer array H×W, 0 is background; it is never changed. Points are y, x in pixels, whole numbers at the
centres of pixels. Neighbours are never painted over unless it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy import ndimage
from skimage.draw import polygon2mask

from napari_pffnet.curate.change import (
    Change,
    OperationError,
    Window,
    change,
    new_ids,
    nothing,
    require,
    window_around,
    window_of,
)
from napari_pffnet.labels import IGNORE, renumber
from napari_pffnet.typing import Array

BACKGROUND, FOREGROUND = 0, 1
#: pixels
ROUNDING = 1.5


def delete(plane: Array, ids: Iterable[int]) -> Change:
    """Make the objects background; ids that do not occur are passed over."""
    return _repaint(plane, list(ids), 0)


def merge(plane: Array, ids: Sequence[int]) -> Change:
    """Give all objects the first one's id.

    Raises
    ------
    OperationError
        Fewer than two different objects.
    """
    if len(set(ids) - {0}) < 2:
        raise OperationError("merging needs two nuclei; click a second one")
    return _repaint(plane, list(ids), ids[0])


def fill_holes(plane: Array, label: int) -> Change:
    """Fill background that the object encloses; other objects inside it stay."""
    window = window_of(plane, [label])
    if window is None:
        return nothing(plane)
    part = plane[window]
    filled = ndimage.binary_fill_holes(part == label)
    return change(plane, window, np.where(filled & (part == 0), label, part))


def smooth(plane: Array, label: int) -> Change:
    """Round the outline: bumps and notches narrower than about 2 × `ROUNDING` vanish; the area stays about equal.

    An object too small to be smoothed stays as it is.
    """
    window = window_of(plane, [label], int(np.ceil(2 * ROUNDING)) + 1)
    if window is None:
        return nothing(plane)
    part = plane[window]
    mask = part == label
    rounded = (ndimage.gaussian_filter(mask.astype(np.float32), ROUNDING, mode="nearest") > 0.5) & (mask | (part == 0))
    return change(plane, window, _redrawn(part, label, mask, rounded)) if rounded.any() else nothing(plane)


def grow(plane: Array, label: int, pixels: float = 1) -> Change:
    """Add the background within `pixels` of the object."""
    window = window_of(plane, [label], int(np.ceil(pixels)) + 1)
    if window is None:
        return nothing(plane)
    part = plane[window]
    near = ndimage.distance_transform_edt(part != label) <= pixels
    return change(plane, window, np.where(near & (part == 0), label, part))


def shrink(plane: Array, label: int, pixels: float = 1) -> Change:
    """Take away the object's pixels within `pixels` of its outside; the edge of the image is not outside.

    Raises
    ------
    OperationError
        Nothing would be left.
    """
    window = window_of(plane, [label], 1)
    if window is None:
        return nothing(plane)
    part = plane[window]
    mask = part == label
    if mask.all():
        return nothing(plane)
    left = ndimage.distance_transform_edt(mask) > pixels
    if not left.any():
        raise OperationError("the nucleus would vanish; shrink it by less, or delete it")
    return change(plane, window, _redrawn(part, label, mask, left))


def mostly_inside(plane: Array, polygon: Array) -> list[int]:
    """Return the ids of the objects with more than half of their pixels in a polygon (float N×2: y, x), largest first.

    Raises
    ------
    OperationError
        The polygon has fewer than three corners.
    """
    rows, columns = _painted(plane, polygon, lambda part, inside: inside & (part != 0))
    found, within = np.unique(plane[rows, columns], return_counts=True)
    _, area = np.unique(plane[np.isin(plane, found)], return_counts=True)
    order = np.argsort(-area, kind="stable")
    return [int(label) for label in found[order][(2 * within > area)[order]]]


def new_label(plane: Array, polygon: Array, *, replace: bool = False, used_up_to: int = 0) -> Change:
    """Paint a polygon as a new object; where neighbours cut it into pieces, only the largest one.

    Parameters
    ----------
    plane : ndarray
        int H×W.
    polygon : ndarray
        float N×2, corners y, x; parts outside the image are left out.
    replace : bool
        Paint over other objects instead of around them.
    used_up_to : int
        Highest id in use elsewhere (other planes of a stack); the new id is above it.

    Raises
    ------
    OperationError
        No pixel's centre inside the polygon is free, or the dtype has no free id.
    """
    painted = _painted(plane, polygon, lambda part, inside: inside if replace else _largest(inside & (part == 0)))
    if not len(painted[0]):
        raise OperationError("the outline holds no free pixel; draw a larger one on the background")
    value = new_ids(plane, 1, used_up_to)
    return Change(painted, np.repeat(value, len(painted[0])))


def relabel(plane: Array) -> Change:
    """Number the objects 1..N without gaps, in the order of their ids; what is negative becomes background.

    Raises
    ------
    OperationError
        The dtype cannot hold N.
    """
    numbers, ids = renumber(np.maximum(plane, 0))
    require(plane.dtype, len(ids))
    return change(plane, _everything(plane), numbers.astype(plane.dtype))


def paint_class(semantic: Array, polygon: Array, value: int) -> Change:
    """Paint a polygon (float N×2: y, x) into a semantic plane as BACKGROUND, FOREGROUND or IGNORE.

    Raises
    ------
    OperationError
        `value` is none of the three, or does not fit into the plane's dtype.
    """
    if value not in (BACKGROUND, FOREGROUND, IGNORE):
        raise OperationError(f"{value} is no class; choose background (0), foreground (1) or ignore (255)")
    require(semantic.dtype, value)
    painted = _painted(semantic, polygon, lambda part, inside: inside & (part != value))
    return Change(painted, np.full(len(painted[0]), value, semantic.dtype))


def _repaint(plane: Array, ids: list[int], value: int) -> Change:
    window = window_of(plane, ids)
    if window is None:
        return nothing(plane)
    require(plane.dtype, value)
    part = plane[window]
    return change(plane, window, np.where((part != 0) & np.isin(part, ids), value, part))


def _redrawn(part: Array, label: int, before: Array, after: Array) -> Array:
    """Return `part` with the object's pixels `before` replaced by those `after`."""
    edited = np.where(before, 0, part)
    edited[after] = label
    return edited


def _painted(plane: Array, polygon: Array, chosen: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
    """Return the pixels that ``chosen(part of the plane, inside the polygon)`` is true for."""
    corners = np.asarray(polygon, np.float64)
    if len(corners) < 3:
        raise OperationError("an outline needs at least three corners")
    window = window_around(plane.shape, corners)
    part = plane[window]
    start = np.array([window[0].start, window[1].start])
    inside = polygon2mask(part.shape, corners - start) if part.size else np.zeros(part.shape, bool)
    rows, columns = np.nonzero(chosen(part, inside))
    return rows + start[0], columns + start[1]


def _largest(mask: Array) -> Array:
    """Return the largest connected piece of a mask."""
    pieces, count = ndimage.label(mask, np.ones((3, 3), bool))
    largest: Array = pieces == 1 + np.bincount(pieces[mask])[1:].argmax() if count > 1 else mask
    return largest


def _everything(plane: Array) -> Window:
    return slice(0, plane.shape[0]), slice(0, plane.shape[1])
