"""What every edit operation returns, and what they share: windows around objects, free ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from napari_pffnet.typing import Array

Window = tuple[slice, slice]


class OperationError(ValueError):
    """The operation cannot be done; the message names the fix."""


class Change(NamedTuple):
    """The changed pixels of a label plane, and nothing else.

    `indices`: rows and columns, int64 N each; `values`: their new ids, N, of the plane's dtype.
    """

    indices: tuple[Array, Array]
    values: Array


def change(plane: Array, window: Window, edited: Array) -> Change:
    """Return the pixels of the window in which `edited` (H×W of the window) differs from the plane."""
    rows, columns = np.nonzero(plane[window] != edited)
    values = edited[rows, columns].astype(plane.dtype)
    return Change((rows + window[0].start, columns + window[1].start), values)


def nothing(plane: Array) -> Change:
    """Return a change of no pixel."""
    none = np.zeros(0, np.int64)
    return Change((none, none), np.zeros(0, plane.dtype))


def window_of(plane: Array, ids: Iterable[int], margin: int = 0) -> Window | None:
    """Return the smallest window that holds the objects `ids` and `margin` pixels around; None if there are none."""
    known = [label for label in set(ids) if label != 0 and _fits(plane.dtype, label)]
    mask = np.isin(plane, known) if len(known) > 1 else plane == known[0] if known else np.zeros(plane.shape, bool)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return _clipped(plane.shape, (rows[0], columns[0]), (rows[-1], columns[-1]), margin)


def window_around(shape: tuple[int, ...], points: Array) -> Window:
    """Return the window inside `shape` that holds the points (float N×2: y, x)."""
    return _clipped(shape, np.floor(points.min(0)), np.ceil(points.max(0)), 0)


def new_ids(plane: Array, count: int, used_up_to: int = 0) -> Array:
    """Return `count` ids of the plane's dtype above all of its own and above `used_up_to`.

    Raises
    ------
    OperationError
        The dtype has no such ids.
    """
    first = max(int(plane.max(initial=0)), used_up_to, 0) + 1
    require(plane.dtype, first + count - 1)
    return (np.arange(count, dtype=np.uint64) + np.uint64(first)).astype(plane.dtype)


def require(dtype: np.dtype[Any], label: int) -> None:
    """Raise OperationError if `label` does not fit into `dtype`."""
    if not _fits(dtype, label):
        raise OperationError(
            f"id {label} does not fit into a layer of type {dtype}; convert the layer to int32 "
            "(right-click it in the layer list > Convert data type)"
        )


def _fits(dtype: np.dtype[Any], label: int) -> bool:
    limits = np.iinfo(dtype)
    return int(limits.min) <= label <= int(limits.max)


def _clipped(shape: tuple[int, ...], first: Any, last: Any, margin: int) -> Window:
    low = [min(max(int(first[axis]) - margin, 0), shape[axis]) for axis in (0, 1)]
    high = [min(max(int(last[axis]) + 1 + margin, low[axis]), shape[axis]) for axis in (0, 1)]
    return slice(low[0], high[0]), slice(low[1], high[1])
