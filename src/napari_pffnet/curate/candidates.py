"""Likely misses: what the network saw as a nucleus, but the labels do not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from napari_pffnet.labels import paste
from napari_pffnet.typing import Array

LOWEST_SCORE = 0.1
FREE_SHARE = 0.5
SMALLEST_SHARE = 0.25
SMALLEST_AREA = 12


@dataclass(frozen=True)
class Candidate:
    """A nucleus that may be missing.

    Attributes
    ----------
    indices : (ndarray, ndarray)
        int64 rows and columns of its pixels; all were background.
    score : float
        In [0, 1]: class probability × predicted mask quality, or the mean of the semantic map.
    kind : str
        "proposal": a detection under the score threshold, or left out for its overlap; "foreground": an area that the
        semantic map calls nucleus, without a detection.
    """

    indices: tuple[Array, Array]
    score: float
    kind: Literal["proposal", "foreground"]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return len(self.indices[0])

    @property
    def centre(self) -> tuple[float, float]:
        """Mean row and column."""
        return float(self.indices[0].mean()), float(self.indices[1].mean())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row, first column, and one past the last ones."""
        rows, columns = self.indices
        return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


def candidates(
    labels: Array,
    boxes: Array,
    masks: Array,
    scores: Array,
    semantic: Array,
    *,
    mask_threshold: float = 0.5,
) -> list[Candidate]:
    """Find nuclei that may be missing, the most likely first; they do not overlap one another or the labels.

    Parameters
    ----------
    labels : ndarray
        int H×W, 0 is background; what the user has by now.
    boxes, masks, scores : ndarray
        All detections as in `segment.Prediction`: float N×4 xyxy, float N×S×S, float N (`mask_scores`).
    semantic : ndarray
        float H×W, probability of nucleus.
    mask_threshold : float
        Lowest probability that counts as nucleus.
    """
    taken = labels != 0
    smallest = _smallest(labels)
    found = _from_detections(taken, boxes, masks, scores, smallest, mask_threshold)
    found += _from_foreground(taken, semantic, smallest, mask_threshold)
    return sorted(found, key=lambda each: -each.score)


def _smallest(labels: Array) -> float:
    """Least area of a candidate: a share of the median nucleus."""
    counts = np.unique(labels[labels != 0], return_counts=True)[1]
    return max(SMALLEST_AREA, SMALLEST_SHARE * float(np.median(counts))) if len(counts) else SMALLEST_AREA


def _from_detections(
    taken: Array, boxes: Array, masks: Array, scores: Array, smallest: float, threshold: float
) -> list[Candidate]:
    """Detections of which at least `FREE_SHARE` lies on what is not taken, best first; their pixels are taken then."""
    found = []
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= LOWEST_SCORE]
    for row, (window, probability) in zip(order, paste(boxes[order], masks[order], taken.shape), strict=True):
        inside = probability >= threshold
        free = inside & ~taken[window]
        if np.count_nonzero(free) < FREE_SHARE * np.count_nonzero(inside):
            continue
        free = _largest_piece(free)
        if np.count_nonzero(free) < smallest:
            continue
        taken[window] |= free
        found.append(_candidate(free, window, float(scores[row]), "proposal"))
    return found


def _from_foreground(taken: Array, semantic: Array, smallest: float, threshold: float) -> list[Candidate]:
    """Pieces of foreground that are not taken, large and thick enough for a nucleus."""
    radius = np.sqrt(smallest / np.pi)
    rest = (semantic >= threshold) & ~taken
    if not rest.any():
        return []
    core = _core(rest, smallest, max(1.5, radius / 2))
    pieces, _ = ndimage.label(ndimage.binary_dilation(core, iterations=max(1, round(radius / 2))) & rest)
    found = []
    for number, window in enumerate(ndimage.find_objects(pieces), start=1):
        mask = pieces[window] == number
        if np.count_nonzero(mask) >= smallest:
            mean = float(semantic[window][mask].astype(np.float64).mean())
            found.append(_candidate(mask, window, mean, "foreground"))
    return found


def _core(rest: Array, smallest: float, depth: float) -> Array:
    """Return the pixels at least so deep in pieces that are large enough; each piece in a window of its own."""
    pieces, _ = ndimage.label(rest, np.ones((3, 3)))
    large = np.bincount(pieces.ravel()) >= smallest
    core = np.zeros(rest.shape, bool)
    for number, window in enumerate(ndimage.find_objects(pieces), start=1):
        if large[number]:
            piece = np.pad(pieces[window] == number, 1)
            core[window] |= ndimage.distance_transform_edt(piece)[1:-1, 1:-1] >= depth
    return core


def _largest_piece(mask: Array) -> Array:
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    largest: Array = pieces == np.bincount(pieces[mask]).argmax()
    return largest


def _candidate(
    mask: Array, window: tuple[slice, ...], score: float, kind: Literal["proposal", "foreground"]
) -> Candidate:
    rows, columns = np.nonzero(mask)
    return Candidate((rows + window[0].start, columns + window[1].start), score, kind)
