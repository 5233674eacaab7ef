"""Linking of the same nucleus through the planes of a stack or the frames of a series."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_pffnet.evaluate.metrics import assign, overlaps
from napari_pffnet.labels import are_one, renumber
from napari_pffnet.typing import Array

#: planes on which a nucleus may be missing
GAP = 1
#: objects that a shift of all must pair
FEWEST = 3
#: pixels along a side at which the shift is looked for
LARGEST = 1024


class Linked(NamedTuple):
    """One plane after linking.

    `labels` is an int32 H×W array (int64 if int32 does not hold the given type) with the stable ids, 0 is background;
    `ids` maps each id of the given plane to its stable id, so that tables can follow.
    """

    labels: Array
    ids: dict[int, int]


class Linker:
    """Gives objects that overlap from plane to plane the same id, for planes that come one by one.

    Objects of neighbouring planes are paired as `pairs` says; each belongs to one pair at most. Of a nucleus that
    divides (or two that merge), the better overlap keeps the id and the other gets a new one. What has no pair is
    compared with what had ended one plane before: a nucleus may be missing on one plane, or that plane be empty; after
    two it comes back under a new id. Ids are never used twice. Three planes are in memory at a time.
    """

    def __init__(self) -> None:
        self._highest = 0
        self._previous: Array | None = None
        self._ended: Array | None = None

    def add(self, plane: Array) -> Linked:
        """Link the next plane, integer H×W, 0 is background, to the one before; ValueError if shapes differ.

        The given plane is not changed; new ids count on from 1.
        """
        before = self._previous
        if before is not None and before.shape != plane.shape:
            raise ValueError(f"planes have shapes {before.shape} and {plane.shape}; give planes of one shape")
        known = {} if before is None else pairs(before, plane)
        if self._ended is not None:
            known |= pairs(self._ended, _without(plane, list(known)))
        found = _ids(plane).tolist()
        new = [label for label in found if label not in known]
        known |= {label: self._highest + i for i, label in enumerate(new, 1)}
        self._highest += len(new)
        ids = {label: known[label] for label in found}
        self._previous = relabel(plane, ids)
        self._ended = None if before is None else _without(before, list(ids.values()))
        return Linked(self._previous, ids)

    def part(self) -> None:
        """Begin another stack: the next plane is linked to none, and its ids are new."""
        self._previous = self._ended = None


def link_planes(planes: Array, length: int) -> tuple[Array, int]:
    """Link planes that are labelled already.

    Where ids go on from plane to plane, they stay, and objects that begin where others end get their ids. Where equal
    ids of neighbouring planes do not even touch, each plane is numbered by itself: all are linked anew.

    Parameters
    ----------
    planes : ndarray
        integer N×H×W, 0 is background.
    length : int
        Planes in a stack; every so many planes another one begins.

    Returns
    -------
    labels : ndarray
        N×H×W, of the type of `planes`; int32 if they are linked anew.
    count : int
        Different ids.
    """
    begins = [number % length == 0 for number in range(len(planes))]
    if not _are_linked(planes, begins):
        linker, linked = Linker(), np.zeros(planes.shape, np.int32)
        for number, plane in enumerate(planes):
            if begins[number]:
                linker.part()
            linked[number] = linker.add(plane).labels
        return linked, int(linked.max(initial=0))
    names = _joined(planes, begins)
    return np.stack([relabel(plane, names) for plane in planes]).astype(planes.dtype), len(set(names.values()))


def _are_linked(planes: Array, begins: list[bool]) -> bool:
    """Whether most ids that neighbouring planes share are those of objects that touch; True if they share none."""
    shared = touching = 0
    for number in range(1, len(planes)):
        if not begins[number]:
            before, after = planes[number - 1], planes[number]
            shared += len(np.intersect1d(_ids(before), _ids(after)))
            touching += len(_ids(np.where(before == after, after, 0)))
    return 2 * touching >= shared


def _joined(planes: Array, begins: list[bool]) -> dict[int, int]:
    """Give objects that begin on a plane the ids of those that end one or two planes before; return new id by old."""
    found = [_ids(plane).tolist() for plane in planes]
    names = {label: label for labels in found for label in labels}
    members = {label: [label] for label in names}
    where: dict[int, set[int]] = {label: set() for label in names}
    for number, labels in enumerate(found):
        for label in labels:
            where[label].add(number)

    for number in range(1, len(planes)):
        for back in range(1, GAP + 2):
            if back > number or any(begins[number - back + 1 : number + 1]):
                break
            since = range(number - back + 1, number + 1)
            former = {label: names[label] for label in found[number - back]}
            ended = {label: name for label, name in former.items() if where[name].isdisjoint(since)}
            now = {label: names[label] for label in found[number]}
            begun = {label: name for label, name in now.items() if min(where[name]) == number}
            if not ended or not begun:
                continue
            joined = pairs(relabel(planes[number - back], ended), relabel(planes[number], begun))
            for new, old in joined.items():
                if where[new].isdisjoint(where[old]):
                    where[old] |= where.pop(new)
                    names |= dict.fromkeys(members[new], old)
                    members[old] += members.pop(new)
    return names


def _ids(labels: Array) -> Array:
    return renumber(np.maximum(labels, 0))[1]


def pairs(before: Array, after: Array) -> dict[int, int]:
    """Pair objects of two label images, H×W each, that `are_one`, so that the sum of their IoU is largest.

    Where that pairs fewer than half of the objects, all may have moved together (a stage that was shifted): the shift
    under which most pixels lie on each other is tried, and taken if it pairs half of the objects of both, and three.

    Returns
    -------
    dict
        Id in `after`: id in `before`.
    """
    found = _overlapping(before, after)
    fewer, more = sorted(len(_ids(labels)) for labels in (before, after))
    if fewer < FEWEST or 2 * len(found) >= fewer:
        return found
    moved = _overlapping(_shifted(before, _shift(before > 0, after > 0)), after)
    return moved if len(moved) >= FEWEST and 2 * len(moved) >= more else found


def _without(labels: Array, ids: list[int]) -> Array:
    """Return a label image without these objects."""
    return np.where(np.isin(labels, ids), 0, labels)


def _shift(before: Array, after: Array) -> tuple[int, int]:
    """Return by how many rows and columns one mask is to be moved to lie on another."""
    from skimage.registration import phase_cross_correlation

    step = max(1, -(-max(before.shape) // LARGEST))
    small = (mask[::step, ::step].astype(np.float32) for mask in (after, before))
    rows, columns = phase_cross_correlation(*small, normalization=None)[0]
    return int(rows) * step, int(columns) * step


def _shifted(labels: Array, shift: tuple[int, int]) -> Array:
    moved = np.zeros_like(labels)
    to = tuple(slice(max(0, s), max(0, n + min(0, s))) for s, n in zip(shift, labels.shape, strict=True))
    whence = tuple(slice(max(0, -s), max(0, n - max(0, s))) for s, n in zip(shift, labels.shape, strict=True))
    moved[to] = labels[whence]
    return moved


def _overlapping(before: Array, after: Array) -> dict[int, int]:
    table = overlaps(before, after)
    areas = table.truth_areas[table.truth], table.prediction_areas[table.prediction]
    alike = np.flatnonzero(are_one(table.common, *areas))
    chosen = assign(table, alike, table.iou[alike])
    old, new = table.truth_ids[table.truth[chosen]], table.prediction_ids[table.prediction[chosen]]
    return dict(zip(new.tolist(), old.tolist(), strict=True))


def relabel(labels: Array, ids: dict[int, int]) -> Array:
    """Return a label image with other ids, old: new; ids that are not named become background."""
    numbers, there = renumber(labels)
    dtype = np.int32 if np.can_cast(labels.dtype, np.int32) else np.int64
    return np.array([0, *(ids.get(label, 0) for label in there.tolist())], dtype)[numbers]
