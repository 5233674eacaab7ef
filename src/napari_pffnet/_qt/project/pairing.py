"""Which image and which nuclei that are open in napari belong together. No Qt in here."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_pffnet._qt.layers.label_plane import label_plane
from napari_pffnet._qt.layers.origin import made_of
from napari_pffnet._qt.layers.planes import (
    Array,
    Channel,
    Plane,
    PlaneError,
    axis_names,
    channel_axis,
    is_image,
    on_screen,
    take_plane,
    whole,
)
from napari_pffnet._qt.project.layers import as_plane, plane_of


class Pair(NamedTuple):
    """An image, its plane in view, and the nuclei on it (H×W) with their layer, if there are some."""

    image: Image
    plane: Plane
    layer: Labels | None
    labels: Array | None


def find_pair(viewer: ViewerModel, own: Collection[Layer]) -> Pair | None:
    """Return the image that the selected layer is or was made of, else the topmost, with its nuclei.

    Nuclei are those of the selected layer, else the topmost that were made of the image, else the topmost of unknown
    origin, if no other image of that size is open.

    Parameters
    ----------
    viewer : ViewerModel
        Its layers, and the plane in view.
    own : collection of Layer
        Layers of the project, which belong to its image in view.

    Raises
    ------
    PlaneError
        No plane of the image is in view.
    """
    chosen = viewer.layers.selection.active
    others = [layer for layer in reversed(viewer.layers) if layer not in own]
    images = [layer for layer in others if is_image(layer)]
    nuclei = [layer for layer in others if isinstance(layer, Labels) and plane_of(layer) == "labels"]
    nuclei.sort(key=lambda layer: layer is not chosen)
    image = chosen if chosen in images else _made_from(chosen, images)
    if image is None:
        return None
    shape = _shape(viewer, image)
    for layer in [each for each in nuclei if made_of(each, image)]:
        labels = _labels(viewer, layer, shape)
        if labels is not None:
            return Pair(image, _plane(viewer, image, _channel(layer, image)), layer, labels)
    alone = sum(_shape(viewer, each) == shape for each in images) == 1
    unknown = [each for each in nuclei if made_of(each, image) is None and (alone or each is chosen)]
    found = next(((each, labels) for each in unknown if (labels := _labels(viewer, each, shape)) is not None), None)
    layer, labels = found or (None, None)
    return Pair(image, _plane(viewer, image, "view"), layer, labels)


def _made_from(chosen: Layer | None, images: list[Image]) -> Image | None:
    """Return the image of a result; the topmost for labels of unknown origin, and for other layers."""
    if isinstance(chosen, Labels) and any(made_of(chosen, image) is not None for image in images):
        return next((image for image in images if made_of(chosen, image)), None)
    return images[0] if images else None


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
    labels = as_plane(layer, shape)
    if labels is not None:
        return labels
    try:
        pixels = label_plane(layer, viewer.dims).pixels
    except PlaneError:
        return None
    return pixels if pixels.shape == shape else None


def _channel(layer: Labels, image: Image) -> Channel:
    """Return the channel in which nuclei were found."""
    axis = channel_axis(image)
    if axis is None:
        return "view"
    position: dict[str, int] = layer.metadata["napari-pffnet"].get("position", {})
    return position.get(axis_names(image)[axis], "colour")
