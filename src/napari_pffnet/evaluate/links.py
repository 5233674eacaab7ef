"""Whether the ids of stacks that are compared go on from plane to plane in both, or in one only."""

from __future__ import annotations

from collections import Counter

import numpy as np

from napari_pffnet.evaluate.label_files import LabelFile

#: shares of the ids that are on one plane only: at least of labels that are not linked, at most of linked ones
NOT_LINKED, IS_LINKED = 0.9, 0.5
BY_PLANES = "compare each plane by itself (evaluate --planes)"


def note_on_links(truth: LabelFile, prediction: LabelFile) -> str:
    """Say that one of two stacks has an id for each nucleus and the other for each nucleus and plane, and the fix.

    Empty if they are alike, or no stacks.
    """
    if len(truth.shape) == 2:
        return ""
    (single, found), (truly_single, true) = _on_one_plane(prediction), _on_one_plane(truth)
    if not found or not true:
        return ""
    counts = f"{single} of {found} ids of the prediction are on one plane only, {truly_single} of {true} of the truth"
    if single >= NOT_LINKED * found and truly_single <= IS_LINKED * true:
        return f"{counts}: link the prediction (segment --all-planes --link), or {BY_PLANES}"
    if truly_single >= NOT_LINKED * true and single <= IS_LINKED * found:
        return f"{counts}: leave out --link for the prediction, or {BY_PLANES}"
    return ""


def _on_one_plane(file: LabelFile) -> tuple[int, int]:
    """Return how many ids are on one plane only, and how many there are."""
    planes = Counter[int]()
    for part in file.parts():
        for plane in part.reshape(-1, *part.shape[-2:]):
            planes.update(np.unique(plane[plane > 0]).tolist())
    return sum(count == 1 for count in planes.values()), len(planes)
