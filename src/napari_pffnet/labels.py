"""Label-image arithmetic in pure numpy: masks to labels, and simple facts about labelled objects."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
PIXELS_AT_ONCE = 8_000_000


class Composed(NamedTuple):
    """A label image and where its objects came from.

    `labels` int32 H×W, 0 is background, ids 1..M; `kept` int64 M: object i + 1 is detection ``kept[i]``.
    """

    labels: Array
    kept: Array


def compose(
    boxes: Array,
    masks: Array,
    scores: Array,
    shape: tuple[int, int],
    *,
    score_threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_threshold: float = 0.7,
    min_area: int = 0,
) -> Composed:
    """Turn detections into a label image (rule of Liu et al., IEEE TIP 30, 2021).

    The best comes first. A mask of which more than `overlap_threshold` is taken already is dropped, else only its
    free part
    is painted.

    Parameters
    ----------
    boxes : ndarray
        float N×4, xyxy in pixels.
    masks : ndarray
        float N×S×S, probabilities in [0, 1] inside each box.
    scores : ndarray
        float N; those under `score_threshold` are left out.
    shape : (int, int)
        Height and width of the label image.
    mask_threshold : float
        Probability that counts as nucleus.
    min_area : int
        Smallest painted object, pixels; at least 1.
    """
    labels = np.zeros(shape, np.int32)
    flat = labels.reshape(-1)
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= score_threshold]
    kept: list[int] = []
    for part in _parts(boxes[order]):
        rows = order[part]
        pixels, ends = _inside(boxes[rows], masks[rows], shape, mask_threshold)
        for row, start, end in zip(rows, [0, *ends[:-1]], ends, strict=True):
            mine = pixels[start:end]
            free = mine[flat[mine] == 0]
            taken = len(mine) - len(free)
            if len(free) >= max(1, min_area) and taken <= overlap_threshold * len(mine):
                kept.append(int(row))
                flat[free] = len(kept)
    return Composed(labels, np.array(kept, np.int64))


def areas(labels: Array) -> Array:
    """Area in pixels of ids 1..max, int64 (0 for an id that does not occur)."""
    return np.bincount(labels.ravel())[1:]


def centroids(labels: Array) -> Array:
    """Centre (y, x) of ids 1..max in pixels, float64 max×2; NaN for an id that does not occur."""
    flat = labels.ravel()
    count = np.bincount(flat)
    y, x = (grid.ravel() for grid in np.indices(labels.shape))
    with np.errstate(invalid="ignore"):
        return np.stack([np.bincount(flat, weights=axis)[1:] / count[1:] for axis in (y, x)], 1).reshape(-1, 2)


def _parts(boxes: Array) -> list[slice]:
    """Runs of boxes whose windows together hold a bounded number of pixels."""
    windows = np.prod(np.ceil(boxes[:, 2:] - boxes[:, :2]) + 1, axis=1)
    run = (np.cumsum(windows) // PIXELS_AT_ONCE).astype(np.int64)
    starts = np.flatnonzero(np.diff(run, prepend=-1)) if len(run) else np.zeros(0, np.int64)
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(boxes)], strict=True)]


def _inside(boxes: Array, masks: Array, shape: tuple[int, int], threshold: float) -> tuple[Array, list[int]]:
    """Flat indices of the pixels that each mask covers, box after box, and where each box's run ends."""
    height, width = shape
    size = masks.shape[-1]
    x0, y0 = (np.clip(np.floor(boxes[:, i]), 0, n).astype(np.int64) for i, n in ((0, width), (1, height)))
    x1, y1 = (np.clip(np.ceil(boxes[:, i]), 0, n).astype(np.int64) for i, n in ((2, width), (3, height)))
    columns, rows = np.maximum(x1 - x0, 0), np.maximum(y1 - y0, 0)
    window = columns * rows
    box = np.repeat(np.arange(len(boxes)), window)
    offset = np.arange(len(box)) - np.repeat(np.cumsum(window) - window, window)
    y = y0[box] + offset // columns[box]
    x = x0[box] + offset % columns[box]
    covered = _sample(masks, box, x, y, boxes, size) >= threshold
    counts = np.bincount(box[covered], minlength=len(boxes))
    return (y * width + x)[covered], np.cumsum(counts).tolist()


def _sample(masks: Array, box: Array, x: Array, y: Array, boxes: Array, size: int) -> Array:
    """Bilinear mask value at pixel centres; 0 outside the box."""
    extent = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)
    u = ((x + 0.5 - boxes[box, 0]) / extent[box, 0]).astype(np.float32)
    v = ((y + 0.5 - boxes[box, 1]) / extent[box, 1]).astype(np.float32)
    outside = (u < 0) | (u > 1) | (v < 0) | (v > 1)
    u, v = (np.clip(t * size - np.float32(0.5), 0, size - 1) for t in (u, v))
    left, top = u.astype(np.int32), v.astype(np.int32)
    right, bottom = np.minimum(left + 1, size - 1), np.minimum(top + 1, size - 1)
    fx, fy = u - left, v - top
    upper = masks[box, top, left] * (1 - fx) + masks[box, top, right] * fx
    lower = masks[box, bottom, left] * (1 - fx) + masks[box, bottom, right] * fx
    value = upper * (1 - fy) + lower * fy
    value[outside] = 0
    return np.asarray(value)
