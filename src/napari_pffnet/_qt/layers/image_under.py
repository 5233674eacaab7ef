"""The images under a plane of labels: those of which the plane shows a part, or all, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pint
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_pffnet._qt.layers.axes import is_image, level_count, level_factors, level_shape
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet._qt.layers.origin import made_of
from napari_pffnet._qt.layers.planes import Part, Plane, PlaneError, in_level, on_screen, take_plane
from napari_pffnet.typing import Array

SAME = 0.1
NEAR = 0.5
#: sizes of pixels are rounded in files
ROUNDED = 1e-4
ELSEWHERE = (
    "'{}' has the size of these labels, but another scale or place. If they belong together: right-click it in the "
    "layer list, Copy scale and transforms › Copy all to clipboard; then the labels, Apply scale/transforms from "
    "Clipboard."
)


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


def lies_elsewhere(layer: Labels, image: Image, shown: Sequence[int]) -> bool:
    """Whether labels of an image's size were put elsewhere than the image: moved, rotated or of other pixels.

    Labels whose file says nothing of their place lie on it all the same, as do those that were found in it, and those
    that alone of both have a size of pixels. `shown`: the image's axes on the screen.
    """
    if made_of(layer, image):
        return False
    height, width = (level_shape(image)[axis] for axis in shown)
    corners = np.array([(0, 0), (0, width - 1), (height - 1, 0)], float)
    own = [axis - (image.ndim - layer.ndim) for axis in shown]
    own = own if own[0] >= 0 else [layer.ndim - 2, layer.ndim - 1]
    theirs, ours = _in_world(layer, own, corners), _in_world(image, shown, corners)
    pixel, their_pixel = np.abs(np.asarray(image.scale)[list(shown)]), np.abs(np.asarray(layer.scale)[own])
    unplaced = np.allclose(ours, corners) and (np.abs(theirs - corners * their_pixel) <= NEAR * their_pixel).all()
    units = [_unit(image, axis) / _unit(layer, other) for axis, other in zip(shown, own, strict=True)]
    near = np.abs(ours * units - theirs) <= NEAR * pixel * units + ROUNDED * np.abs(theirs)
    return not (unplaced or np.allclose(theirs, corners) or bool(near.all()))


def _unit(layer: Image | Labels, axis: int) -> float:
    """Return the length of a layer's unit along an axis in µm; 1 of what is no length."""
    unit = pint.Unit(str(layer.units[axis]))
    return float((1 * unit).to("micrometer").magnitude) if unit.is_compatible_with("micrometer") else 1.0


def _in_world(layer: Image | Labels, shown: Sequence[int], corners: Array) -> Array:
    """Return the places of rows and columns of a layer along the two axes of the world that are shown."""
    data = np.zeros((len(corners), layer.ndim))
    data[:, shown] = corners
    return np.array([np.asarray(layer.data_to_world(place))[list(shown)] for place in data])


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
