"""The images under a plane of labels: those of which the plane shows a part, or all, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet._qt.layers.origin import made_of
from napari_pffnet._qt.layers.planes import (
    Part,
    Plane,
    PlaneError,
    in_level,
    is_image,
    level_count,
    level_factors,
    level_shape,
    on_screen,
    take_plane,
)
from napari_pffnet.curate.change import Array

SAME = 0.1


def images_under(viewer: ViewerModel, plane: LabelPlane) -> Iterator[tuple[Image, Plane]]:
    """Find the images with the plane's pixels, each with that part of its plane in view.

    The image that the labels were made from goes first, then visible ones from top to bottom.
    """
    images = [layer for layer in reversed(viewer.layers) if is_image(layer)]
    images.sort(key=lambda layer: (not made_of(plane.layer, layer), not layer.visible))
    for image in images:
        part = _part_under(viewer, image, plane)
        if part is None:
            continue
        try:
            yield image, take_plane(image, viewer.dims.point, viewer.dims.order, part=part)
        except PlaneError:
            continue


def grey_under(viewer: ViewerModel, plane: LabelPlane) -> Array | None:
    """Return the pixels (H×W) of the first grey image under the plane; None if there is none."""
    greys = (taken.read() for _, taken in images_under(viewer, plane) if len(taken.pixels.shape) == 2)
    return next(greys, None)


def image_elsewhere(viewer: ViewerModel, plane: LabelPlane) -> Image | None:
    """Return a visible image of the plane's size, wherever it lies; None if there is none."""
    for image in reversed(viewer.layers):
        if is_image(image) and image.visible:
            try:
                rows, columns = (level_shape(image, 0)[axis] for axis in on_screen(image, viewer.dims.order))
            except PlaneError:
                continue
            if (rows, columns) == plane.pixels.shape:
                return image
    return None


def _part_under(viewer: ViewerModel, image: Image, plane: LabelPlane) -> Part | None:
    """Return the part of an image whose pixels are the plane's; None if there is none."""
    try:
        shown = on_screen(image, viewer.dims.order)
    except PlaneError:
        return None
    height, width = plane.pixels.shape
    corners = np.array([(0, 0), (0, width - 1), (height - 1, 0)], float)
    places = np.array([_place_in(viewer, image, plane, corner) for corner in corners])
    for level in range(level_count(image)):
        here = in_level(places, level_factors(image, level)[shown])
        y, x = (round(float(start)) for start in here[0])
        rows, columns = (level_shape(image, level)[axis] for axis in shown)
        fits = 0 <= y <= rows - height and 0 <= x <= columns - width
        if fits and np.allclose(here - corners, (y, x), atol=SAME):
            return Part(level, y, x, height, width)
    return None


def _place_in(viewer: ViewerModel, image: Image, plane: LabelPlane, corner: Array) -> Array:
    """Return row and column in the image of a row and column of the plane."""
    world = np.array(viewer.dims.point)
    world[len(world) - plane.layer.ndim :] = plane.position(corner)
    place = np.asarray(image.world_to_data(world))[-image.ndim :]
    shown = sorted(axis - (viewer.dims.ndim - image.ndim) for axis in viewer.dims.order[-2:])
    return place[shown]
