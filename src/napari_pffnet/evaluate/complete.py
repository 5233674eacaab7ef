"""Measuring where an image is annotated, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MOST_UNKNOWN = 0.25


def within_complete(predicted: Array, truth: Array, ignored: Array | None) -> Array:
    """Take out predicted nuclei of which nobody can say whether they are right.

    A nucleus that lies partly where nothing is annotated may be one that an area's edge cuts, and that was left out of
    the truth for that: it counts only if it lies mostly on true nuclei. True nuclei that count are whole (see
    `napari_pffnet.data.project.within`), so these need no such rule.

    Parameters
    ----------
    predicted : ndarray
        Integer H×W, 0 background.
    truth : ndarray
        Integer H×W: the true nuclei that count.
    ignored : ndarray or None
        bool H×W: not annotated; None if everything is.

    Returns
    -------
    ndarray
        `predicted` without nuclei that have more than a quarter of their pixels in ignored ones, and less than half of
        them on true nuclei.
    """
    if ignored is None or not ignored.any():
        return predicted
    ids, codes = np.unique(predicted, return_inverse=True)
    areas = np.bincount(codes.ravel(), minlength=len(ids))
    unknown = np.bincount(codes.ravel(), ignored.ravel(), len(ids)) / areas
    on_truth = np.bincount(codes.ravel(), truth.ravel() > 0, len(ids)) / areas
    kept = (unknown <= MOST_UNKNOWN) | (on_truth >= 0.5)
    return np.where(kept, ids, 0)[codes].reshape(predicted.shape).astype(predicted.dtype)
