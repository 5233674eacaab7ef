"""Old and new model side by side, the old one left: what each found, and what got better or worse. No Qt in here."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import DirectLabelColormap
from scipy.ndimage import find_objects

from napari_pffnet._qt.layers.camera import camera
from napari_pffnet._qt.layers.contours import OUTLINE_WIDTH
from napari_pffnet._qt.layers.selection import keep_selection, remove_if_there
from napari_pffnet.evaluate.metrics import overlaps
from napari_pffnet.typing import Array

Colour = tuple[float, float, float, float]

FOUND_IOU = 0.5
CONTENT = "comparison"
GAP = 0.03
RING, SMALLEST_RING, RING_WIDTH = 1.6, 0.04, 0.1
BRIGHTEST = 99.8
# Okabe and Ito's colours, told apart by all kinds of colour vision; what is worse has squares instead of rings too.
TRUTH_COLOUR: Colour = (0.94, 0.89, 0.26, 1.0)
OLD_COLOUR: Colour = (0.80, 0.47, 0.65, 1.0)
NEW_COLOUR: Colour = (0.34, 0.71, 0.91, 1.0)
BETTER_COLOUR: Colour = (0.0, 0.75, 0.55, 1.0)
WORSE_COLOUR: Colour = (0.95, 0.40, 0.0, 1.0)
LEGEND = "yellow: right; pink, left: old model; blue, right: new model"
CLEAR: Colour = (0.0, 0.0, 0.0, 0.0)
FOUND, LOST, GONE, FALSE = "found", "lost", "false one gone", "false"
BETTER = (FOUND, GONE)


class Mark(NamedTuple):
    """A nucleus about which the models differ.

    `kind`: `FOUND` or `LOST` by the new model; a false one, `GONE` or `FALSE` with the new model. `y`, `x`: its centre;
    `diameter`: the longer side of its box; pixels.
    """

    kind: str
    y: float
    x: float
    diameter: float


class Difference(NamedTuple):
    """How two results differ against the truth."""

    marks: tuple[Mark, ...]

    def count(self, kind: str) -> int:
        """Return how many nuclei of a kind there are."""
        return sum(mark.kind == kind for mark in self.marks)

    def headline(self) -> str:
        """Say it in words."""
        texts = {
            FOUND: "found only by the new model",
            LOST: "lost by the new model",
            GONE: "false gone",
            FALSE: "more false",
        }
        told = [f"{count} {text}" for kind, text in texts.items() if (count := self.count(kind))]
        return " · ".join(told) or "the same nuclei; their outlines may differ"


class CompareLayers:
    """Adds the layers of a comparison, and takes them away again.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are shown. Meanwhile the user's own layers are hidden; `remove` brings back visibility, selection and
        camera.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.layers: dict[str, Layer] = {}
        self._shown: list[Layer] = []
        self._selected: list[Layer] = []
        self._camera: tuple[Any, float] = (None, 1.0)

    def show(self, name: str, image: Array, truth: Array, old: Array, new: Array, difference: Difference) -> None:
        """Show a comparison instead of the one before.

        Parameters
        ----------
        name : str
            The image's.
        image : ndarray
            H×W or H×W×3.
        truth, old, new : ndarray
            int H×W: what counts as right, and what each model found.
        difference : Difference
            Of `compare_labels`, which takes a while on large images.
        """
        self.remove()
        self._set_aside()
        offset = round(image.shape[1] * (1 + GAP))
        self._add("image", _picture(name, _twice(image, offset)))
        self._add("truth", _labels(_twice(truth, offset), f"{name}: truth", TRUTH_COLOUR))
        self._add("old", _labels(old, f"{name}: old model", OLD_COLOUR))
        self._add("new", _labels(new, f"{name}: new model", NEW_COLOUR, offset))
        self._add("difference", _rings(difference, f"{name}: better and worse", offset))
        self.viewer.reset_view()

    def remove(self) -> None:
        """Take all away; the user's layers are as they were."""
        for layer in self.layers.values():
            remove_if_there(self.viewer, layer)
        if self.layers:
            for layer in self._shown:
                layer.visible = True
            self._select_again()
            view = camera(self.viewer)
            view.center, view.zoom = self._camera
        self.layers, self._shown, self._selected = {}, [], []

    def _set_aside(self) -> None:
        """Hide the user's layers, and note how they were."""
        self._selected = list(self.viewer.layers.selection)
        view = camera(self.viewer)
        self._camera = view.center, view.zoom
        self._shown = [layer for layer in self.viewer.layers if layer.visible]
        for layer in self._shown:
            layer.visible = False

    def _select_again(self) -> None:
        """Select what was selected, as far as it is still there."""
        selection = self.viewer.layers.selection
        selection.clear()
        selection.update(layer for layer in self._selected if layer in self.viewer.layers)

    def _add(self, role: str, layer: Layer) -> None:
        self.layers[role] = layer
        with keep_selection(self.viewer):
            self.viewer.add_layer(layer)


def with_difference(
    image: Array, truth: Array, old: Array, new: Array
) -> tuple[Array, Array, Array, Array, Difference]:
    """Add the difference to what `CompareLayers.show` needs; for a thread in the background."""
    return image, truth, old, new, compare_labels(truth, old, new)


def compare_labels(truth: Array, old: Array, new: Array) -> Difference:
    """Find where two results differ; a nucleus is found if one of the result has an IoU of 0.5 or more with it.

    Parameters
    ----------
    truth, old, new : ndarray
        int H×W, 0 background. Not changed.
    """
    (found_old, right_old), (found_new, right_new) = _found(truth, old), _found(truth, new)
    return Difference(
        (
            *_marks(FOUND, truth, found_new - found_old),
            *_marks(LOST, truth, found_old - found_new),
            *_marks(GONE, old, _lonely(old, right_old, new, right_new)),
            *_marks(FALSE, new, _lonely(new, right_new, old, right_old)),
        )
    )


def _marks(kind: str, labels: Array, ids: set[int]) -> list[Mark]:
    boxes = find_objects(np.where(np.isin(labels, list(ids)), labels, 0)) if ids else []
    found = []
    for label in sorted(ids):
        rows, columns = boxes[label - 1]
        y, x = ((part.start + part.stop - 1) / 2 for part in (rows, columns))
        found.append(Mark(kind, y, x, float(max(part.stop - part.start for part in (rows, columns)))))
    return found


def _found(truth: Array, labels: Array) -> tuple[set[int], set[int]]:
    """Return the ids of the true nuclei that were found, and of those that found them."""
    table = overlaps(truth, labels)
    good = table.iou >= FOUND_IOU
    true_ids, ids = table.truth_ids[table.truth[good]], table.prediction_ids[table.prediction[good]]
    return set(true_ids.tolist()), set(ids.tolist())


def _lonely(labels: Array, right: set[int], other: Array, other_right: set[int]) -> set[int]:
    """Return the ids of false nuclei to which none of the other model's false ones corresponds."""
    false = np.where(np.isin(labels, list(right)), 0, labels)
    other_false = np.where(np.isin(other, list(other_right)), 0, other)
    table = overlaps(other_false, false)
    both = table.prediction[table.iou >= FOUND_IOU]
    return set(np.delete(table.prediction_ids, both).tolist())


def _twice(values: Array, offset: int) -> Array:
    """Return an image and, `offset` pixels to the right, itself again; zeros between."""
    width = values.shape[1]
    result = np.zeros((values.shape[0], offset + width, *values.shape[2:]), values.dtype)
    result[:, :width] = result[:, offset:] = values
    return result


def _picture(name: str, image: Array) -> Image:
    layer = Image(image, name=f"{name}: old (left), new (right)", rgb=image.ndim == 3, metadata=_metadata("image"))
    if image.ndim == 2 and image.size:
        low, high = np.percentile(image, (0, BRIGHTEST))
        if high > low:
            layer.contrast_limits = (low, high)
    return layer


def _labels(labels: Array, name: str, colour: Colour, offset: int = 0) -> Labels:
    layer = Labels(
        labels,
        name=name,
        colormap=DirectLabelColormap(color_dict={None: colour, 0: CLEAR}),
        opacity=1,
        translate=(0, offset),
        metadata=_metadata("labels"),
    )
    layer.contour = OUTLINE_WIDTH
    layer.editable = False
    return layer


def _rings(difference: Difference, name: str, offset: int) -> Points:
    """Return marks around the nuclei that differ, in both pictures; in the right one words for what is worse."""
    marks = difference.marks
    here = np.array([(mark.y, mark.x) for mark in marks], float).reshape(-1, 2)
    colours = np.array([BETTER_COLOUR if mark.kind in BETTER else WORSE_COLOUR for mark in marks]).reshape(-1, 4)
    words = ["" for _ in marks] + ["" if mark.kind in BETTER else mark.kind for mark in marks]
    layer = Points(
        np.concatenate([here, here + np.array([0, offset])]),
        name=name,
        size=[max(RING * mark.diameter, SMALLEST_RING * offset) for mark in marks] * 2 or 1,
        symbol=["o" if mark.kind in BETTER else "s" for mark in marks] * 2 or "o",
        border_width=RING_WIDTH,
        face_color="transparent",
        features=pd.DataFrame({"what": words}),
        metadata=_metadata("difference"),
    )
    if marks:
        layer.border_color = np.concatenate([colours, colours])
        layer.text = {
            "string": words,
            "color": np.concatenate([colours, colours]),
            "size": 8,
            "anchor": "upper_left",
        }
    layer.editable = False
    return layer


def _metadata(role: str) -> dict[str, Any]:
    return {"napari-pffnet": {"content": CONTENT, "role": role}}
