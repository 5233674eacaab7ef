"""The layers that show a result. Layers that the user has changed or renamed are the user's and are left alone."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_pffnet._qt.layers.axes import is_image
from napari_pffnet._qt.layers.contours import OUTLINE_WIDTH
from napari_pffnet._qt.layers.label_rows import is_worked_on
from napari_pffnet._qt.layers.planes import PLACEMENT, Plane, Stack
from napari_pffnet._qt.layers.searched import note_searched
from napari_pffnet.readers import FEATURES, IN_PROJECT, NUCLEI_OPACITY, semantic_look

if TYPE_CHECKING:
    from napari_pffnet.segment.prediction import Segmentation

_FINGERPRINTS: WeakKeyDictionary[Labels, tuple[str, int]] = WeakKeyDictionary()


class ResultLayers:
    """The ``nuclei`` and ``semantic`` layers of one run.

    Parameters
    ----------
    viewer : ViewerModel
        Where they are added.
    plane : Plane or Stack
        Where they belong.
    complete : bool
        Whether they hold all nuclei there: then our earlier layers under them are hidden.
    about : str
        Put behind their names.
    """

    def __init__(self, viewer: ViewerModel, plane: Plane | Stack, complete: bool = False, about: str = "") -> None:
        self.viewer = viewer
        self.plane = plane
        self._nuclei = _Output(viewer, f"nuclei{about}", complete)
        self._semantic = _Output(viewer, f"semantic{about}", complete)

    def show(self, result: Segmentation, outlines: bool, source: dict[str, Any]) -> bool:
        """Show a result; `source` (image, model, …) is noted in the layers' metadata.

        Returns
        -------
        bool
            A ``nuclei`` layer that has become the user's is kept, hidden, below the present one.
        """
        common: dict[str, Any] = {**self.plane.placement, "metadata": {"napari-pffnet": source}}
        classes = {**common, "metadata": {"napari-pffnet": {**source, "content": "semantic"}}}
        self._semantic.show(
            result.semantic.reshape(self.plane.shape),
            {**semantic_look(), **classes},
        )
        kept = self._nuclei.show(
            result.labels.reshape(self.plane.shape),
            {"opacity": NUCLEI_OPACITY, **common},
            result.table[FEATURES],
        )
        self.draw_outlines(outlines)
        if isinstance(self.plane, Plane) and self.nuclei is not None and self._semantic.layer is not None:
            note_searched(self.nuclei, self._semantic.layer, self.plane)
        return kept

    @property
    def nuclei(self) -> Labels | None:
        """The layer of the nuclei; None before they were shown."""
        return self._nuclei.layer

    def corrected(self) -> Labels | None:
        """Return the layer of the nuclei, if the user has painted in it or accepted some."""
        layer = self.nuclei
        if layer is None or layer not in self.viewer.layers:
            return None
        painted = _FINGERPRINTS[layer][1] != _fingerprint(layer)[1]
        return layer if painted or is_worked_on(layer) else None

    def draw_outlines(self, outlines: bool) -> None:
        """Switch between outlines and filled nuclei."""
        if self._nuclei.layer is not None:
            self._nuclei.layer.contour = OUTLINE_WIDTH * outlines


def about_image(viewer: ViewerModel, image: Image) -> str:
    """Return what the name of a result says of its image: nothing where there is no other."""
    return f" of {image.name}" if sum(map(is_image, viewer.layers)) > 1 else ""


class _Output:
    """One Labels layer of ours, with a fingerprint of what we put there."""

    def __init__(self, viewer: ViewerModel, title: str, complete: bool) -> None:
        self.viewer = viewer
        self.title = title
        self.complete = complete
        self.layer: Labels | None = None
        self._kept: Labels | None = None

    def show(self, data: np.ndarray[Any, Any], arguments: dict[str, Any], features: Any = None) -> bool:
        """Put `data` into our layer, or into a new one if ours is gone or has become the user's, which is hidden.

        What the user has made of the same `data` stays, if it has no table. Returns True as long as one of the user's
        is hidden there.
        """
        there = self.layer in self.viewer.layers
        if there and self.layer is not None and _is_untouched(self.layer):
            # metadata and table first: who hears of data reads them
            self.layer.metadata = {**self.layer.metadata, **arguments["metadata"]}
            if features is not None:
                self.layer.features = features
            self.layer.data = data
            for name in PLACEMENT:
                if not np.array_equal(getattr(self.layer, name), arguments[name]):  # napari draws anew each time
                    setattr(self.layer, name, arguments[name])
        elif there and self.layer is not None and features is None and _FINGERPRINTS[self.layer][1] == _checksum(data):
            return self._kept in self.viewer.layers
        else:
            if there and self.layer is not None:
                self._kept, self.layer.visible = self.layer, False
            self.layer = Labels(data, name=self.title, features=features, **arguments)
            self.viewer.add_layer(self.layer)
            if self.complete:
                self._hide_what_is_under(self.layer)
        _FINGERPRINTS[self.layer] = _fingerprint(self.layer)
        return self._kept in self.viewer.layers

    def _hide_what_is_under(self, layer: Labels) -> None:
        """Hide earlier results of the image that ours covers whole: their outlines would show through corrections."""
        for other in self.viewer.layers:
            if other is layer or not isinstance(other, Labels) or not other.visible:
                continue
            kept = IN_PROJECT in other.metadata
            if not kept and _same_origin(other, layer) and _covers(layer, other) and _is_untouched(other):
                other.visible = False


def _fingerprint(layer: Labels) -> tuple[str, int]:
    return layer.name, _checksum(layer.data)


def _checksum(data: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(data).data)


def _is_untouched(layer: Labels) -> bool:
    """Whether a layer is as we have left it, and not the user's: neither painted in nor renamed, nothing accepted."""
    known = layer in _FINGERPRINTS and _FINGERPRINTS[layer] == _fingerprint(layer)
    return known and not is_worked_on(layer)


def _same_origin(a: Labels, b: Labels) -> bool:
    """Whether two layers of ours show the same content of one image, and of the same channel."""
    notes = [layer.metadata.get("napari-pffnet", {}) for layer in (a, b)]
    first, second = (note.get("position", {}) for note in notes)
    same_place = all(first[axis] == second[axis] for axis in first.keys() & second.keys())
    return same_place and all(notes[0].get(key) == notes[1].get(key) for key in ("image_id", "content"))


def _covers(layer: Labels, other: Labels) -> bool:
    if layer.ndim != other.ndim:
        return False
    (first, last), (least, most) = layer.extent.world, other.extent.world
    slack = 0.5 * np.abs(layer.scale)
    return bool((first <= least + slack).all() and (most <= last + slack).all())
