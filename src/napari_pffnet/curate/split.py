"""Splitting objects: along a drawn line, from seeds, or at the waist. Same conventions as `operations`.

The largest part, or the first seed's, keeps the id.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.draw import line as pixels_between
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from napari_pffnet.curate.change import Change, OperationError, Window, change, new_ids, nothing, window_of
from napari_pffnet.typing import Array

ALL_NEIGHBOURS = np.ones((3, 3), bool)
WAIST_DEPTH = 0.5
SMOOTHING = 1.0
SMALLEST_PART = 4
END_LENGTH = 6.0
SEED_TO_SEED = 0.4
LEAST_RISE = 0.01


def split_by_line(plane: Array, path: Array, used_up_to: int = 0) -> Change:
    """Split the objects that a drawn line crosses.

    Objects in which it only ends stay whole. If it crosses none, it is drawn on in its own direction, through the one
    object in which most of it lies. No pixel is lost: those under the line go to the nearest part.

    Parameters
    ----------
    plane : ndarray
        int H×W, 0 is background.
    path : ndarray
        float N×2, points y, x of the line, N ≥ 2.
    used_up_to : int
        Highest id in use elsewhere (other planes of a stack); new ids are above it.

    Returns
    -------
    Change
        No pixel if the line separates nothing.

    Raises
    ------
    OperationError
        The path has fewer than two points, or the dtype has no free ids.
    """
    points = np.asarray(path, np.float64)
    if len(points) < 2:
        raise OperationError("splitting needs a line; draw it across the nucleus")
    under, length = np.unique(_values_under(plane, _connected(points)), return_counts=True)
    touched = {int(i): int(n) for i, n in zip(under, length, strict=True) if i != 0}
    changes = _cut_each(plane, touched, points, used_up_to)
    if touched and not sum(len(each.values) for each in changes):
        longest = max(touched, key=lambda label: touched[label])
        far = _drawn_on(points, float(np.hypot(*plane.shape)))
        changes = _cut_each(plane, [longest], far, used_up_to)
    return _together(plane, changes)


def split_by_seeds(
    plane: Array, label: int, seeds: Array, intensity: Array | None = None, used_up_to: int = 0
) -> Change:
    """Split an object into one part per seed, by a watershed on its distance to the outside and its intensity.

    Parameters
    ----------
    plane : ndarray
        int H×W, 0 is background.
    label : int
        The object.
    seeds : ndarray
        float N×2, points y, x; those outside the object are passed over.
    intensity : ndarray, optional
        H×W, nuclei brighter or darker than what is around them; without it, the shape alone decides.
    used_up_to : int
        Highest id in use elsewhere; new ids are above it.

    Raises
    ------
    OperationError
        Fewer than two seeds lie in the object, or the dtype has no free ids.
    """
    view = _View.of(plane, label, 1)
    places = np.round(np.asarray(seeds, np.float64)).astype(np.int64).reshape(-1, 2) - view.corner
    inside = [tuple(place) for place in places if np.all(place >= 0) and np.all(place < view.mask.shape)]
    chosen = [place for place in dict.fromkeys(inside) if view.mask[place]]
    if len(chosen) < 2:
        raise OperationError("splitting needs two points inside the nucleus; click once in each part")
    height = _height(view, intensity)
    parts = watershed(-height, _climbed(np.array(chosen), height), mask=view.mask)
    return _numbered(plane, view, parts, label, used_up_to, keep=1)


def split_each_by_seeds(plane: Array, seeds: Array, intensity: Array | None = None, used_up_to: int = 0) -> Change:
    """Split every object that holds two or more of the seeds; parameters and errors as of `split_by_seeds`."""
    points = np.asarray(seeds, np.float64).reshape(-1, 2)
    places = np.round(points).astype(np.int64)
    places = places[np.all((places >= 0) & (places < plane.shape), 1)]
    under, count = np.unique(plane[tuple(places.T)], return_counts=True)
    chosen = [int(label) for label in under[(count > 1) & (under != 0)]]
    if not chosen:
        raise OperationError("splitting needs two points inside the nucleus; click once in each part")
    changes, highest = [], used_up_to
    for label in chosen:
        changes.append(split_by_seeds(plane, label, points, intensity, highest))
        highest = max(highest, int(changes[-1].values.max(initial=0)))
    return _together(plane, changes)


def split_at_waist(plane: Array, label: int, used_up_to: int = 0) -> Change:
    """Split an object where it is narrow: seeds are the peaks of its distance to the outside.

    Parameters as of `split_by_seeds`.

    Raises
    ------
    OperationError
        The object has no waist, or the dtype has no free ids.
    """
    view = _View.of(plane, label, 1)
    distance = ndimage.gaussian_filter(_distance(view.mask), SMOOTHING)
    peaks = h_maxima(distance, WAIST_DEPTH) * view.mask
    markers, count = ndimage.label(peaks, ALL_NEIGHBOURS)
    if count < 2:
        raise OperationError("this nucleus has no waist; draw a line where it should be split")
    parts = watershed(-_height(view, None), markers, mask=view.mask)
    return _numbered(plane, view, parts, label, used_up_to, keep=_largest(parts))


class _View(NamedTuple):
    """One object in a window of its plane."""

    window: Window
    mask: Array

    @classmethod
    def of(cls, plane: Array, label: int, margin: int) -> _View:
        window = window_of(plane, [label], margin)
        if window is None:
            raise OperationError(f"there is no nucleus {label}; point at a nucleus")
        return cls(window, plane[window] == label)

    @property
    def corner(self) -> Array:
        return np.array([self.window[0].start, self.window[1].start])


def _connected(points: Array) -> Array:
    """Return the pixels (int N×2) under a path, each sharing an edge with the next: no object slips through."""
    places = np.round(points).astype(np.int64)
    steps = [np.stack(pixels_between(*a, *b), 1) for a, b in pairwise(places)]
    under = np.concatenate([places[:1], *steps])
    corners = np.stack([under[:-1, 0], under[1:, 1]], 1)
    return np.concatenate([under, corners])


def _values_under(plane: Array, places: Array) -> Array:
    inside = np.all((places >= 0) & (places < plane.shape), 1)
    values: Array = plane[tuple(places[inside].T)]
    return values


def _cut_each(plane: Array, ids: Iterable[int], points: Array, used_up_to: int) -> list[Change]:
    changes, highest = [], used_up_to
    for label in sorted(ids):
        view = _View.of(plane, label, 1)
        parts = _cut(view, points)
        changes.append(_numbered(plane, view, parts, label, highest, keep=_largest(parts)))
        highest = max(highest, int(changes[-1].values.max(initial=0)))
    return changes


def _cut(view: _View, points: Array) -> Array:
    """Return the parts (1..N) of a mask after cutting.

    Crumbs go to the nearest part; components that the line does not touch stay with the largest one.
    """
    line = np.zeros(view.mask.shape, bool)
    places = _connected(points) - view.corner
    line[tuple(places[np.all((places >= 0) & (places < line.shape), 1)].T)] = True
    pieces, count = ndimage.label(view.mask & ~line, ALL_NEIGHBOURS)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    pieces[(sizes < SMALLEST_PART)[pieces]] = 0
    if not pieces.any():
        return view.mask.astype(np.int32)
    nearest = ndimage.distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    parts: Array = np.where(view.mask, pieces[tuple(nearest)], 0)
    return _apart_before(view.mask, line, parts)


def _apart_before(mask: Array, line: Array, parts: Array) -> Array:
    """Give components that the line does not touch the largest part's number, and number without gaps."""
    components, _ = ndimage.label(mask, ALL_NEIGHBOURS)
    untouched = mask & ~np.isin(components, components[line & mask])
    touched = np.where(untouched, 0, parts)
    if touched.any():
        parts = np.where(untouched, _largest(touched), parts)
    ids, place = np.unique(parts, return_inverse=True)
    numbers: Array = np.arange(len(ids)) + (ids[0] != 0)
    return np.reshape(numbers[place], parts.shape)


def _drawn_on(points: Array, length: float) -> Array:
    """Return the path with both ends drawn on by `length` pixels."""
    ends = [path[0] - length * _direction(path) for path in (points, points[::-1])]
    return np.concatenate([ends[:1], points, ends[1:]])


def _direction(points: Array) -> Array:
    """Return the unit vector in which a path sets out; a hand's shaking over the first pixels does not count."""
    away = points - points[0]
    distance = np.hypot(*away.T)
    beyond = np.flatnonzero(distance >= END_LENGTH)
    step = int(beyond[0]) if len(beyond) else int(distance.argmax())
    direction: Array = away[step] / max(float(distance[step]), 1e-9)
    return direction


def _distance(mask: Array) -> Array:
    """Return the distance of each pixel to the outside, the edge of the image included."""
    distance: Array = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return distance


def _height(view: _View, intensity: Array | None) -> Array:
    """Return what parts are the hills of: distance to the outside, 0 to 1, plus brightness, 0 to 1."""
    height = _distance(view.mask)
    height = height / height.max()
    values = None if intensity is None else np.asarray(intensity[view.window], np.float64)
    if values is not None and np.isfinite(values).all():  # one that is not would spread over the nucleus
        bright = ndimage.gaussian_filter(_bright(values, view.mask), SMOOTHING)
        low, high = bright[view.mask].min(), bright[view.mask].max()
        height = height + (bright - low) / max(high - low, 1e-9)
    result: Array = np.where(view.mask, height, 0)
    return result


def _climbed(seeds: Array, height: Array) -> Array:
    """Return markers 1..N: each seed (int N×2) and its way uphill, less than half way to the nearest other seed.

    A click beside the middle of a part then counts like one in the middle.
    """
    apart = np.hypot(*(seeds[:, None] - seeds).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    markers = np.zeros(height.shape, np.int32)
    for number, (seed, reach) in enumerate(zip(seeds, SEED_TO_SEED * apart.min(1), strict=True), start=1):
        place = seed
        while np.hypot(*(place - seed)) <= reach:
            markers[tuple(place)] = number
            corner = np.maximum(place - 1, 0)
            near = height[corner[0] : place[0] + 2, corner[1] : place[1] + 2]
            best = corner + np.array(np.unravel_index(near.argmax(), near.shape))
            if height[tuple(best)] <= height[tuple(place)] + LEAST_RISE:
                break
            place = best
    return markers


def _bright(values: Array, mask: Array) -> Array:
    """Return the values such that the object is brighter than what is around it."""
    dark = not mask.all() and np.median(values[mask]) < np.median(values[~mask])
    return -values if dark else values


def _largest(parts: Array) -> int:
    return int(np.bincount(parts[parts > 0]).argmax()) if parts.any() else 0


def _numbered(plane: Array, view: _View, parts: Array, label: int, used_up_to: int, keep: int) -> Change:
    """Give every part but `keep` (and 0) a new id."""
    others = [int(part) for part in np.unique(parts[parts > 0]) if part != keep]
    if not others:
        return nothing(plane)
    edited = plane[view.window].copy()
    for part, value in zip(others, new_ids(plane, len(others), used_up_to), strict=True):
        edited[parts == part] = value
    return change(plane, view.window, edited)


def _together(plane: Array, changes: list[Change]) -> Change:
    if not changes:
        return nothing(plane)
    rows = np.concatenate([each.indices[0] for each in changes])
    columns = np.concatenate([each.indices[1] for each in changes])
    return Change((rows, columns), np.concatenate([each.values for each in changes]))
