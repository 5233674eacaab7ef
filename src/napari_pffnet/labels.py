"""Label-image arithmetic in pure numpy: masks to labels, and simple facts about labelled objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from napari_pffnet.config import SegmentConfig
from napari_pffnet.typing import Array

BOXES_AT_ONCE = 256
PIXELS_AT_ONCE = 2**20
#: pixels of a semantic map that count in no loss
IGNORE = 255
LEAST_IOU, LEAST_SHARE = 0.3, 0.75


class Composed(NamedTuple):
    """A label image and where its objects came from.

    `labels` int32 H×W, 0 is background, ids 1..M; `kept` int64 M: object i + 1 is detection ``kept[i]``; `overlaps`
    float64 M: the fraction of its mask that better ones had taken.
    """

    labels: Array
    kept: Array
    overlaps: Array


def compose(boxes: Array, masks: Array, scores: Array, shape: tuple[int, int], config: SegmentConfig) -> Composed:
    """Turn detections into a label image (rule of Liu et al., IEEE TIP 30, 2021).

    The best comes first. A mask of which more than the `overlap_threshold` of the configuration is taken already is
    dropped, else only its free part is painted.

    Parameters
    ----------
    boxes : ndarray
        float N×4, xyxy in pixels; parts outside the image are left out.
    masks : ndarray
        float N×S×S, probabilities in [0, 1] inside each box.
    scores : ndarray
        float N in [0, 1]; of equal ones the earlier detection is better.
    shape : (int, int)
        Height and width of the label image.
    config : SegmentConfig
        Thresholds of score, mask and overlap, and the smallest area of what is painted (at least 1).
    """
    labels = np.zeros(shape, np.int32)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= config.score_threshold]
    kept: list[int] = []
    overlaps: list[float] = []
    for row, (window, probability) in zip(order, paste(boxes[order], masks[order], shape), strict=True):
        place = labels[window]
        inside = probability >= config.mask_threshold
        free = inside & (place == 0)
        area, left = np.count_nonzero(inside), np.count_nonzero(free)
        if left >= max(1, config.min_area) and area - left <= config.overlap_threshold * area:
            kept.append(int(row))
            overlaps.append(1 - left / area)
            place[free] = len(kept)
    return Composed(labels, np.array(kept, np.int64), np.array(overlaps, np.float64))


def paste(boxes: Array, masks: Array, shape: tuple[int, int]) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """Resize each mask to its box, bilinearly, edges repeated.

    Parameters
    ----------
    boxes : ndarray
        float N×4, xyxy in pixels.
    masks : ndarray
        float N×S×S.
    shape : (int, int)
        Height and width of the image.

    Yields
    ------
    window : (slice, slice)
        The pixels of the image whose centres lie in the box; empty for a box outside the image.
    values : ndarray
        float32, the mask at these pixels.
    """
    for start in range(0, len(boxes), BOXES_AT_ONCE):
        part = slice(start, start + BOXES_AT_ONCE)
        x0, y0, x1, y1 = boxes[part].astype(np.float64).T
        rows = _weights(y0, y1, shape[0], masks.shape[1])
        columns = _weights(x0, x1, shape[1], masks.shape[2])
        for mask, (y, down), (x, across) in zip(masks[part].astype(np.float32), rows, columns, strict=True):
            yield (y, x), down @ mask @ across.T


def renumber(labels: Array) -> tuple[Array, Array]:
    """Give ids (0 and more) 1..N without gaps, in the order of the old ones: (int32 H×W, int64 N old ids)."""
    if labels.size and labels.max() > 4 * labels.size:
        ids, inverse = np.unique(np.append(labels.ravel(), labels.dtype.type(0)), return_inverse=True)
        return inverse[:-1].reshape(labels.shape).astype(np.int32), ids[1:].astype(np.int64)
    flat, numbers = labels.ravel(), np.empty(labels.size, np.int32)
    parts = [slice(start, start + PIXELS_AT_ONCE) for start in range(0, labels.size, PIXELS_AT_ONCE)]
    present = np.zeros(int(labels.max(initial=0)) + 1, bool)
    for part in parts:  # as a whole, the indices would take twice the memory of the labels
        present[flat[part].astype(np.int64)] = True
    present[0] = False
    table = np.where(present, np.cumsum(present), 0).astype(np.int32)
    for part in parts:
        numbers[part] = table[flat[part].astype(np.int64)]
    return numbers.reshape(labels.shape), np.flatnonzero(present)


def areas(labels: Array) -> Array:
    """Area in pixels of ids 1..max, int64 (0 for an id that does not occur)."""
    return np.bincount(labels[labels > 0])[1:]


def share_inside(labels: Array, mask: Array) -> Array:
    """Share of the pixels of ids 0..max that lie in a mask (bool), float64 max+1; 0 for an id that does not occur."""
    sizes = np.bincount(labels.ravel(), minlength=1)
    return np.asarray(np.bincount(labels[mask], minlength=len(sizes)) / np.maximum(sizes, 1))


def centroids(labels: Array) -> Array:
    """Centre (y, x) of ids 1..max in pixels, float64 max×2; NaN for an id that does not occur."""
    place = np.flatnonzero(labels)
    ids = labels.ravel()[place]
    count = np.bincount(ids)[1:]
    with np.errstate(invalid="ignore"):
        centres = [np.bincount(ids, weights=axis)[1:] / count for axis in np.divmod(place, labels.shape[1])]
    return np.stack(centres, 1).reshape(-1, 2)


def _weights(low: Array, high: Array, length: int, size: int) -> list[tuple[slice, Array]]:
    """Return, for each interval, its pixels along one axis and their bilinear weights, float32 pixels×size."""
    first, last = (np.clip(np.ceil(edge - 0.5), 0, length).astype(np.int64) for edge in (low, high))
    count = np.maximum(last - first, 0)
    end = np.cumsum(count)
    box = np.repeat(np.arange(len(low)), count)
    pixel = np.arange(len(box)) - (end - count - first)[box]
    source = np.clip((pixel + 0.5 - low[box]) / (high - low)[box] * size - 0.5, 0, size - 1)
    distance = np.abs(source[:, None] - np.arange(size)).astype(np.float32)
    weights = np.maximum(1 - distance, 0)
    return [(slice(f, f + n), weights[e - n : e]) for f, n, e in zip(first, count, end, strict=True)]


def are_one(common: Array | int, first: Array | int, second: Array | int) -> Array:
    """Tell which objects of neighbouring planes are one nucleus.

    Parameters
    ----------
    common, first, second : ndarray or int
        Shared pixels of each pair, and the areas of both objects.

    Returns
    -------
    ndarray
        bool: an IoU of at least 0.3, or at least three quarters of the smaller one inside the larger. The first and
        last slices of a nucleus are small, and lie within the slice beside them.
    """
    overlap = common / (first + second - common) >= LEAST_IOU
    return np.asarray(overlap | (common >= LEAST_SHARE * np.minimum(first, second)))
