"""The layers that a review adds above the nuclei: outlines of candidates, and disagreement. They are never selected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import Colormap, DirectLabelColormap

from napari_pffnet._qt.layers.contours import OUTLINE_WIDTH
from napari_pffnet._qt.layers.history import Write
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet._qt.layers.planes import placement
from napari_pffnet._qt.layers.selection import keep_selection, remove_if_there
from napari_pffnet._qt.review.rows import Key, ReviewList
from napari_pffnet.curate.candidates import Candidate
from napari_pffnet.curate.disagreement import disagreement
from napari_pffnet.curate.queue import CANDIDATE
from napari_pffnet.typing import Array

CURRENT, FIRST = 1, 2
CANDIDATE_COLOUR = (0.90, 0.62, 0.0, 1.0)
CURRENT_COLOUR = (0.0, 1.0, 1.0, 1.0)
MISSING_COLOUR, FALSE_COLOUR = (0.90, 0.62, 0.0), (0.0, 0.45, 0.70)
MOST_VISIBLE = 0.9


class ReviewLayers:
    """The layers of one review.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are added, on demand.
    review : ReviewList
        What they show.
    """

    def __init__(self, viewer: ViewerModel, review: ReviewList) -> None:
        self.viewer, self.review = viewer, review
        self._outlines = Outlines(viewer, review.candidate_plane)
        self._difference: Image | None = None
        self._outlined = False

    def owns(self, layer: Layer | None) -> bool:
        """Whether a layer is one of these."""
        return layer is not None and layer in (self._outlines.layer, self._difference)

    def outline(self, shown: bool) -> None:
        """Outline the open candidates, or none."""
        self._outlined = shown
        numbers = self.review.open_candidates() if shown and self._on_candidates else []
        if numbers or self._outlines.layer is not None:
            self._outlines.show({number: self.review.candidates[number] for number in numbers})

    def follow(self, keys: Iterable[Key]) -> None:
        """Outline what is open of some rows and no longer what is not."""
        for key in keys:
            if key.kind == CANDIDATE and self._outlined and self._on_candidates:
                row = self.review.row(key)
                is_open = row is not None and row["state"] == ""
                self._outlines.set_candidate(key.number, self.review.candidates[key.number], is_open)

    def mark(self, key: Key | None, writes: Sequence[Write] = ()) -> None:
        """Mark an object as it is after `writes`, on its plane; None: no object."""
        if key is None:
            self._outlines.mark(None)
            return
        plane = self.review.plane(key.plane)
        if self._outlines.plane != plane:
            self._outlines.remove()
            self._outlines = Outlines(self.viewer, plane)
            self.outline(self._outlined)
        self._outlines.mark(self.review.indices(key, writes))

    def show_disagreement(self, shown: bool) -> bool:
        """Add or remove the layer of where semantic map and nuclei differ; return whether it is there."""
        remove_if_there(self.viewer, self._difference)
        self._difference = None
        semantic = self.review.insight.semantic if self.review.insight else None
        if shown and semantic is not None:
            plane = self.review.candidate_plane
            self._difference = disagreement_layer(disagreement(plane.pixels, semantic), plane)
            with keep_selection(self.viewer):
                self.viewer.add_layer(self._difference)
        return self._difference is not None

    def remove(self) -> None:
        """Take all away."""
        self._outlines.remove()
        self.show_disagreement(False)

    @property
    def _on_candidates(self) -> bool:
        return bool(self._outlines.plane == self.review.candidate_plane)


def _value(number: int) -> np.uint16:
    """Return the pixel value of a candidate; of very many, some share one."""
    return np.uint16(FIRST + number % (np.iinfo(np.uint16).max - FIRST))


class Outlines:
    """Outlines of candidates and of the object being looked at, on one plane.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layer ``candidates`` is added, once there is something to show.
    plane : LabelPlane
        Where it lies.
    """

    def __init__(self, viewer: ViewerModel, plane: LabelPlane) -> None:
        self.viewer, self.plane = viewer, plane
        self.layer: Labels | None = None
        self._marked: tuple[tuple[Array, Array], Array] | None = None

    def show(self, candidates: dict[int, Candidate]) -> None:
        """Outline these candidates (by their numbers), and no others."""
        data = np.zeros(self.plane.pixels.shape, np.uint16)
        for number, candidate in candidates.items():
            data[candidate.indices] = _value(number)
        if self._marked:
            self._marked = (self._marked[0], data[self._marked[0]])
            data[self._marked[0]] = CURRENT
        if self.layer is None:
            self.layer = self._layer(data)
            with keep_selection(self.viewer):
                self.viewer.add_layer(self.layer)
        else:
            self.layer.data = data.reshape(self.layer.data.shape)

    def set_candidate(self, number: int, candidate: Candidate, shown: bool) -> None:
        """Add or take away one candidate."""
        if self.layer is None:
            self.show({number: candidate} if shown else {})
            return
        marked = self._marked[0] if self._marked else None
        self.mark(None)
        self._paint(candidate.indices, _value(number) if shown else np.uint16(0))
        self.mark(marked)

    def mark(self, indices: tuple[Array, Array] | None) -> None:
        """Mark the pixels (rows, columns) of the object being looked at, instead of those before."""
        if self._marked and self.layer is not None:
            self._paint(*self._marked)
        self._marked = None
        if indices is None or not len(indices[0]):
            return
        if self.layer is None:
            self.show({})
        assert self.layer is not None
        before = self.layer.data.reshape(self.plane.pixels.shape)[indices]
        self._marked = (indices, before)
        self._paint(indices, np.uint16(CURRENT))

    def remove(self) -> None:
        """Take the layer away."""
        remove_if_there(self.viewer, self.layer)
        self.layer, self._marked = None, None

    def _paint(self, indices: tuple[Array, ...], values: Any) -> None:
        assert self.layer is not None
        if self.layer not in self.viewer.layers:
            return
        shown, flat = iter(indices), np.zeros(len(indices[0]), np.int64)
        self.layer.data_setitem(tuple(next(shown) if isinstance(i, slice) else flat for i in self.plane.index), values)

    def _layer(self, data: Array) -> Labels:
        colours = {None: CANDIDATE_COLOUR, 0: (0, 0, 0, 0), CURRENT: CURRENT_COLOUR}
        layer = Labels(
            in_stack(data, self.plane),
            name="candidates",
            colormap=DirectLabelColormap(color_dict=colours),
            opacity=1,
            metadata={"napari-pffnet": {"content": "candidates"}},
            **on_plane(self.plane),
        )
        layer.contour = OUTLINE_WIDTH
        layer.editable = False
        return layer


def disagreement_layer(values: Array, plane: LabelPlane) -> Image:
    """Return an image layer of `curate.disagreement` (float16 H×W): orange is missed, blue is false."""
    ends = [(*FALSE_COLOUR, MOST_VISIBLE), (*FALSE_COLOUR, 0), (*MISSING_COLOUR, 0), (*MISSING_COLOUR, MOST_VISIBLE)]
    return Image(
        in_stack(values.astype(np.float32), plane),
        name="disagreement",
        metadata={"napari-pffnet": {"content": "disagreement"}},
        colormap=Colormap(np.array(ends), controls=[0, 0.5, 0.5, 1], name="disagreement"),
        contrast_limits=(-1, 1),
        blending="translucent",
        interpolation2d="nearest",
        **on_plane(plane),
    )


def on_plane(plane: LabelPlane) -> dict[str, Any]:
    """Arguments for a layer that lies on a plane of a Labels layer."""
    return placement(plane.layer, [i if isinstance(i, int) else 0 for i in plane.index])


def in_stack(values: Array, plane: LabelPlane) -> Array:
    """Return H×W values with axes of length 1 where the plane's layer has axes of a stack."""
    sizes = iter(values.shape)
    return values.reshape([next(sizes) if isinstance(i, slice) else 1 for i in plane.index])
