"""The images under a plane of labels: those whose pixels are the plane's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_pffnet._qt.label_plane import LabelPlane
from napari_pffnet._qt.planes import Plane, PlaneError, is_image, take_plane
from napari_pffnet.curate.change import Array

SAME = 0.1


def images_under(viewer: ViewerModel, plane: LabelPlane) -> Iterator[tuple[Image, Plane]]:
    """Find the images with the plane's pixels, each with its plane in view.

    The image that the labels were made from goes first, then visible ones from top to bottom.
    """
    facts: dict[str, Any] = plane.layer.metadata.get("napari-pffnet", {})
    images = [layer for layer in reversed(viewer.layers) if is_image(layer)]
    images.sort(key=lambda layer: (layer.name != facts.get("image"), not layer.visible))
    for image in images:
        try:
            taken = take_plane(image, viewer.dims.point, viewer.dims.order)
        except PlaneError:
            continue
        if tuple(taken.pixels.shape[:2]) == plane.pixels.shape and _on_same_grid(viewer, image, plane):
            yield image, taken


def grey_under(viewer: ViewerModel, plane: LabelPlane) -> Array | None:
    """Return the pixels (H×W) of the first grey image under the plane; None if there is none."""
    greys = (taken.read() for _, taken in images_under(viewer, plane) if len(taken.pixels.shape) == 2)
    return next(greys, None)


def _on_same_grid(viewer: ViewerModel, image: Image, plane: LabelPlane) -> bool:
    height, width = plane.pixels.shape
    corners = np.array([(0, 0), (0, width - 1), (height - 1, 0)], float)
    return bool(np.allclose([_place_in(viewer, image, plane, corner) for corner in corners], corners, atol=SAME))


def _place_in(viewer: ViewerModel, image: Image, plane: LabelPlane, corner: Array) -> Array:
    """Return row and column in the image of a row and column of the plane."""
    world = np.array(viewer.dims.point)
    world[len(world) - plane.layer.ndim :] = plane.position(corner)
    place = np.asarray(image.world_to_data(world))[-image.ndim :]
    shown = sorted(axis - (viewer.dims.ndim - image.ndim) for axis in viewer.dims.order[-2:])
    return place[shown]
