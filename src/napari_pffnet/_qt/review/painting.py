"""Candidates become nuclei. No Qt in here."""

from __future__ import annotations

import numpy as np

from napari_pffnet._qt.layers.label_rows import LabelRows
from napari_pffnet._qt.review.rows import ReviewList
from napari_pffnet.curate.change import Change, new_ids
from napari_pffnet.curate.queue import CANDIDATE


def paint_candidate(review: ReviewList, rows: LabelRows, number: int) -> int:
    """Paint what is free of a candidate as a new nucleus; return its id.

    Raises
    ------
    OperationError
        The layer has no id left.
    """
    plane, (ys, xs) = review.candidate_plane, review.candidates[number].indices
    free = plane.pixels[ys, xs] == 0
    label = int(new_ids(plane.pixels, 1, plane.used_up_to)[0])
    with rows.made_by(CANDIDATE):
        plane.write(Change((ys[free], xs[free]), np.full(int(free.sum()), label, plane.pixels.dtype)))
    return label
