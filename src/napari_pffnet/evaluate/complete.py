"""Measuring where an image is annotated, and only there."""

from __future__ import annotations

import numpy as np

from napari_pffnet.labels import renumber, share_inside
from napari_pffnet.typing import Array

MOST_UNKNOWN = 0.25


def within_complete(truth: Array, predicted: Array, ignored: Array | None) -> tuple[Array, Array]:
    """Take out nuclei of which nobody can say whether they are right.

    A predicted nucleus that lies partly where nothing is annotated may be one that an area's edge cuts, and that was
    left out of the truth for that: it counts only if it lies mostly on true nuclei. True nuclei that count are whole
    (see `napari_pffnet.data.project.within`), unless their pixels were marked to be ignored.

    Parameters
    ----------
    truth : ndarray
        Integer H×W, 0 background: the true nuclei.
    predicted : ndarray
        Integer H×W.
    ignored : ndarray or None
        bool H×W: not annotated; None if everything is.

    Returns
    -------
    truth : ndarray
        Without nuclei that lie mostly in ignored pixels.
    predicted : ndarray
        Without nuclei that have more than a quarter of their pixels in ignored ones, and less than half of them on true
        nuclei.
    """
    if ignored is None or not ignored.any():
        return truth, predicted
    codes, _ = renumber(truth)
    truth = _keep(truth, codes, share_inside(codes, ignored) <= 0.5)
    codes, _ = renumber(predicted)
    kept = (share_inside(codes, ignored) <= MOST_UNKNOWN) | (share_inside(codes, truth > 0) >= 0.5)
    return truth, _keep(predicted, codes, kept)


def _keep(labels: Array, codes: Array, kept: Array) -> Array:
    """Keep the ids of some codes."""
    return np.asarray(np.where(kept[codes], labels, 0))
