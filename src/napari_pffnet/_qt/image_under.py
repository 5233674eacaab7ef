"""The grey image under a plane of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_pffnet._qt.label_plane import LabelPlane
from napari_pffnet._qt.planes import PlaneError, take_plane
from napari_pffnet.curate.change import Array

SAME = 0.1


def grey_under(viewer: ViewerModel, plane: LabelPlane) -> Array | None:
    """Return the pixels (H×W) of the grey image whose pixels are those of the plane; None if there is none.

    The image that the labels were made from goes first, then visible ones from top to bottom.
    """
    facts: dict[str, Any] = plane.layer.metadata.get("napari-pffnet", {})
    images = [layer for layer in reversed(viewer.layers) if isinstance(layer, Image)]
    images.sort(key=lambda layer: (layer.name != facts.get("image"), not layer.visible))
    for image in images:
        pixels = _on_same_grid(viewer, image, plane)
        if pixels is not None:
            return pixels
    return None


def _on_same_grid(viewer: ViewerModel, image: Image, plane: LabelPlane) -> Array | None:
    try:
        taken = take_plane(image, viewer.dims.point, viewer.dims.order)
    except PlaneError:
        return None
    if tuple(taken.pixels.shape) != plane.pixels.shape:
        return None
    height, width = plane.pixels.shape
    corners = np.array([(0, 0), (0, width - 1), (height - 1, 0)], float)
    places = [_place_in(viewer, image, plane, corner) for corner in corners]
    return taken.read() if np.allclose(places, corners, atol=SAME) else None


def _place_in(viewer: ViewerModel, image: Image, plane: LabelPlane, corner: Array) -> Array:
    """Return row and column in the image of a row and column of the plane."""
    world = np.array(viewer.dims.point)
    world[len(world) - plane.layer.ndim :] = plane.position(corner)
    place = np.asarray(image.world_to_data(world))[-image.ndim :]
    shown = sorted(axis - (viewer.dims.ndim - image.ndim) for axis in viewer.dims.order[-2:])
    return place[shown]
