"""Which image and which nuclei that are open in napari belong together. No Qt in here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_pffnet._qt.layers.label_plane import label_plane
from napari_pffnet._qt.layers.origin import made_of, nuclei_of
from napari_pffnet._qt.layers.planes import (
    Array,
    Channel,
    Plane,
    PlaneError,
    axis_names,
    channel_axis,
    is_image,
    on_screen,
    placement,
    take_plane,
    whole,
)
from napari_pffnet._qt.project.layers import OpenImage, as_plane, plane_of
from napari_pffnet.io.project import LayerPlace


class Pair(NamedTuple):
    """An image, its plane in view, and the nuclei on it (H×W) with their layer, if there are some."""

    image: Image
    plane: Plane
    layer: Labels | None
    labels: Array | None


def find_pair(viewer: ViewerModel, own: Collection[Layer]) -> Pair | None:
    """Return an image and its nuclei, of what is selected, else the topmost; None if no image is open.

    A selected image and Labels layer, both, belong together. Of a Labels layer alone the image is that it was made of,
    else the topmost visible one of its size. Nuclei of an image alone are those made of it, first of the channel in
    view, else the topmost of unknown origin, if no other visible image is of that size.

    Parameters
    ----------
    viewer : ViewerModel
        Its layers, and the plane in view.
    own : collection of Layer
        Layers of the project, which belong to its image in view.

    Raises
    ------
    PlaneError
        No plane of the image is in view, or the selected Labels layer does not lie on it.
    """
    others = [layer for layer in reversed(viewer.layers) if layer not in own]
    images = [layer for layer in others if is_image(layer)]
    nuclei = [layer for layer in others if isinstance(layer, Labels) and plane_of(layer) == "labels"]
    selected = viewer.layers.selection
    image = next((layer for layer in images if layer in selected), None)
    layer = next((layer for layer in nuclei if layer in selected), None)
    if image is None:
        image = _image_of(viewer, layer, images) if layer else next(iter(images), None)
    if image is None:
        return None
    shape, plane = _shape(viewer, image), _plane(viewer, image, "view")
    if layer is not None:
        labels = _labels(viewer, layer, shape)
        if labels is None:
            raise PlaneError(f"'{layer.name}' does not lie on the plane of '{image.name}' that is in view")
        return Pair(image, _plane(viewer, image, _channel(layer, image)), layer, labels)
    made = [each for each in nuclei if made_of(each, image)]
    made.sort(key=lambda each: not _position(each).items() <= plane.position.items())
    alone = all(each is image or not each.visible or _shape(viewer, each) != shape for each in images)
    for each in [*made, *(each for each in nuclei if alone and made_of(each, image) is None)]:
        labels = _labels(viewer, each, shape)
        if labels is not None:
            return Pair(image, _plane(viewer, image, _channel(each, image)), each, labels)
    return Pair(image, plane, None, None)


def place_of(image: Image, order: Sequence[int]) -> LayerPlace | None:
    """Return where an image's rows and columns lie; None if others of its axes are on the screen."""
    if on_screen(image, order) != [image.ndim - 2, image.ndim - 1]:
        return None
    place = {name: np.asarray(value).tolist() for name, value in placement(image, first=image.ndim - 2).items()}
    return LayerPlace.model_validate({**place, "units": [str(unit) for unit in image.units[-2:]]})


def beside(viewer: ViewerModel, image: OpenImage) -> list[Labels]:
    """Return visible nuclei that were found in an image of a project and lie beside its annotation, not in it."""
    shown = image.layers.get("image")
    if not isinstance(shown, Image) or "labels" not in image.layers:
        return []
    return [layer for layer in nuclei_of(viewer, shown) if image.role(layer) is None]


def _image_of(viewer: ViewerModel, layer: Labels, images: list[Image]) -> Image | None:
    """Return the image of a Labels layer."""
    fits = [image for image in images if _labels(viewer, layer, _shape(viewer, image)) is not None]
    fits.sort(key=lambda image: (not made_of(layer, image), not image.visible))
    return next(iter(fits or images), None)


def _plane(viewer: ViewerModel, image: Image, channel: Channel) -> Plane:
    return take_plane(image, viewer.dims.point, viewer.dims.order, channel)


def _shape(viewer: ViewerModel, image: Image) -> tuple[int, int] | None:
    try:
        part = whole(image, on_screen(image, viewer.dims.order))
    except PlaneError:
        return None
    return part.height, part.width


def _labels(viewer: ViewerModel, layer: Labels, shape: tuple[int, int] | None) -> Array | None:
    """Return the layer's plane in view, if it is of that size."""
    if shape is None:
        return None
    if layer.ndim == len(shape):
        return as_plane(layer, shape)
    try:
        pixels = label_plane(layer, viewer.dims).pixels
    except PlaneError:
        return None
    return pixels if pixels.shape == shape else None


def _position(layer: Labels) -> dict[str, int]:
    """Return where in its image a result was found: index by axis, as `Plane.position`."""
    position: dict[str, int] = layer.metadata.get("napari-pffnet", {}).get("position", {})
    return position


def _channel(layer: Labels, image: Image) -> Channel:
    """Return the channel in which nuclei were found; of labels that are no result the one in view."""
    axis = channel_axis(image)
    if axis is None or not made_of(layer, image):
        return "view"
    return _position(layer).get(axis_names(image)[axis], "colour")
