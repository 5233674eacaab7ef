"""Putting nuclei that were found in an image, or a part of it, among those that are there."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from napari_pffnet.curate.change import Change, Window, change, new_ids, window_of
from napari_pffnet.typing import Array


class Joined(NamedTuple):
    """`change` of the plane; `ids`: new id by id among the found nuclei; those that are left out are not in there.

    `unwanted`: how many were left out because of where they lie.
    """

    change: Change
    ids: dict[int, int]
    unwanted: int


def join(
    plane: Array,
    found: Array,
    window: Window,
    inside: Array | None,
    replaced: Collection[int],
    unwanted: Array | None = None,
) -> Joined:
    """Put found nuclei into a label plane, in place of those there that may be replaced.

    These are gone if they lie mostly inside, or mostly under found ones. Others stay; of a found nucleus the part that
    is free is painted, if that is half of it or more.

    Parameters
    ----------
    plane : ndarray
        int H×W; it is not changed.
    found : ndarray
        int h×w, ids of the found nuclei; 0 is background.
    window : (slice, slice)
        Where `found` lies in the plane.
    inside : ndarray or None
        bool h×w, where nuclei were looked for; None: everywhere.
    replaced : collection of int
        Ids of the plane that may be replaced.
    unwanted : ndarray, optional
        bool h×w; a found nucleus of which half lies here is left out.
    """
    before = plane[window]
    wanted = np.ones(before.shape, bool) if inside is None else inside
    there, areas = np.unique(plane[np.isin(plane, np.unique(before[before != 0]))], return_counts=True)
    covered = _counts(before[wanted | (found != 0)], there)
    gone = there[(2 * covered >= areas) & np.isin(there, list(replaced))]
    around = _hull(window, window_of(plane, gone.tolist()))
    edited = np.where(np.isin(plane[around], gone), 0, plane[around])
    place = edited[tuple(slice(w.start - a.start, w.stop - a.start) for w, a in zip(window, around, strict=True))]
    free = (place == 0) & (found != 0)
    ids, sizes = np.unique(found[found != 0], return_counts=True)
    wrong = np.zeros(found.shape, bool) if unwanted is None else unwanted
    fits, refused = 2 * _counts(found[free], ids) >= sizes, 2 * _counts(found[wrong], ids) >= sizes
    left_out = int(np.count_nonzero(fits & refused))
    fits = ids[fits & ~refused]
    new = new_ids(plane, len(fits))
    painted = free & np.isin(found, fits)
    place[painted] = new[np.searchsorted(fits, found[painted])]
    return Joined(change(plane, around, edited), dict(zip(fits.tolist(), new.tolist(), strict=True)), left_out)


def _hull(window: Window, other: Window | None) -> Window:
    """Return the smallest window that holds both."""
    if other is None:
        return window
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(window, other, strict=True))
    return rows, columns


def _counts(values: Array, ids: Array) -> Array:
    """Return how often each of the sorted ids occurs."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, ids, "right") - np.searchsorted(ordered, ids, "left")
