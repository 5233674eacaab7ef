"""Putting nuclei that were found in a part of an image among those of the whole image."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from napari_pffnet.curate.change import Array, Change, Window, change, new_ids


class Joined(NamedTuple):
    """`change` of the plane; `ids`: new id by id among the found nuclei; those that had no room are not in there."""

    change: Change
    ids: dict[int, int]


def join(plane: Array, found: Array, window: Window, inside: Array | None, replaced: Collection[int]) -> Joined:
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
    """
    before = plane[window]
    wanted = np.ones(before.shape, bool) if inside is None else inside
    there, areas = np.unique(plane[np.isin(plane, np.unique(before[before != 0]))], return_counts=True)
    covered = _counts(before[wanted | (found != 0)], there)
    gone = there[(2 * covered >= areas) & np.isin(there, list(replaced))]
    edited = np.where(np.isin(before, gone), 0, before)
    free = (edited == 0) & (found != 0)
    ids, sizes = np.unique(found[found != 0], return_counts=True)
    fits = ids[2 * _counts(found[free], ids) >= sizes]
    new = new_ids(plane, len(fits))
    painted = free & np.isin(found, fits)
    edited[painted] = new[np.searchsorted(fits, found[painted])]
    return Joined(change(plane, window, edited), dict(zip(fits.tolist(), new.tolist(), strict=True)))


def _counts(values: Array, ids: Array) -> Array:
    """Return how often each of the sorted ids occurs."""
    return np.searchsorted(ordered := np.sort(values), ids, "right") - np.searchsorted(ordered, ids, "left")
