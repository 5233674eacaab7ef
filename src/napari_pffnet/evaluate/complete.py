"""Measuring where an image is annotated, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MOST_UNKNOWN = 0.25


def within_complete(predicted: Array, truth: Array, ignored: Array | None) -> tuple[Array, Array]:
    """Take out nuclei of which nobody can say whether they are right.

    A predicted nucleus that lies partly where nothing is annotated may be one that an area's edge cuts, and that was
    left out of the truth for that: it counts only if it lies mostly on true nuclei. True nuclei that count are whole
    (see `napari_pffnet.data.project.within`), unless their pixels were marked to be ignored.

    Parameters
    ----------
    predicted : ndarray
        Integer H×W, 0 background.
    truth : ndarray
        Integer H×W: the true nuclei.
    ignored : ndarray or None
        bool H×W: not annotated; None if everything is.

    Returns
    -------
    predicted : ndarray
        Without nuclei that have more than a quarter of their pixels in ignored ones, and less than half of them on true
        nuclei.
    truth : ndarray
        Without nuclei that lie mostly in ignored pixels.
    """
    if ignored is None or not ignored.any():
        return predicted, truth
    truth = _keep(truth, _share(truth, ignored) <= 0.5)
    kept = (_share(predicted, ignored) <= MOST_UNKNOWN) | (_share(predicted, truth > 0) >= 0.5)
    return _keep(predicted, kept), truth


def _share(labels: Array, mask: Array) -> Array:
    """Share of each id's pixels that lie in a mask, in the order of the ids."""
    _, codes, areas = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(codes.ravel(), mask.ravel(), len(areas)) / areas)


def _keep(labels: Array, kept: Array) -> Array:
    """Keep some of the ids, in their order."""
    ids, codes = np.unique(labels, return_inverse=True)
    return np.asarray(np.where(kept, ids, 0)[codes].reshape(labels.shape).astype(labels.dtype))
