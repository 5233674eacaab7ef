"""What the network knows of a plane, without a network; a review without a screen."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
from napari.components import ViewerModel

from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.review.controller import ReviewController
from napari_pffnet._qt.review.rows import Wanted
from napari_pffnet.curate.candidates import Candidate

#: Estimated fits of the nuclei of `nuclei`.
FITS = {1: 0.9, 2: 0.5, 3: 0.95, 9: 0.7}


def nuclei(dtype=np.int32):
    """Four nuclei of 10 × 10 pixels; 3 touches the upper edge."""
    labels = np.zeros((60, 80), dtype)
    labels[10:20, 10:20], labels[10:20, 30:40], labels[0:10, 50:60], labels[40:50, 10:20] = 1, 2, 3, 9
    return labels


def features():
    return {"index": list(FITS), "mask_score": list(FITS.values()), "area": [100] * 4, "state": [""] * 4}


def square(top, left, score, kind="proposal"):
    rows, columns = (axis.ravel() for axis in np.mgrid[top : top + 10, left : left + 10])
    return Candidate((rows, columns), score, kind)


def insight(*candidates, overlaps=None):
    """Knows these candidates, by default two, and a semantic map like `nuclei`."""
    found = list(candidates or (square(40, 40, 0.45), square(40, 60, 0.15)))
    return SimpleNamespace(
        semantic=(nuclei() != 0).astype(np.float16), overlaps=overlaps or {}, candidates=lambda _labels: found
    )


class FakeView(Mock):
    """Remembers what it was told to show."""

    now = Wanted()
    outlined = True

    def wanted(self):
        return self.now

    def wants_candidates(self):
        return self.outlined

    def call_later(self, action):
        action()

    def last(self, setter):
        return getattr(self, setter).call_args.args[0]

    @property
    def listed(self):
        rows = self.last("set_rows")
        return [
            ("c" if kind == "candidate" else "") + str(i) for kind, i in zip(rows["kind"], rows["index"], strict=True)
        ]


def review(layer, known=None, opened=True):
    """Review a layer in a viewer without a window."""
    viewer = ViewerModel()
    viewer.add_layer(layer)
    active = ActiveLabels(viewer)
    view = FakeView()
    controller = ReviewController(active, view, Keys(active), lambda _layer, _plane: known)
    controller.set_open(opened)
    return controller
