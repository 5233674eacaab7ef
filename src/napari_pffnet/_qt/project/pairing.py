"""Which image and which nuclei that are open in napari belong together. No Qt in here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from napari.components import Dims, LayerList, ViewerModel
from napari.layers import Image, Labels, Layer

from napari_pffnet._qt.layers.axes import (
    Channel,
    axis_names,
    channel_axis,
    is_image,
    is_unnamed,
    level_factors,
    level_shape,
    pixel_sizes,
)
from napari_pffnet._qt.layers.image_under import lies_elsewhere
from napari_pffnet._qt.layers.label_plane import label_plane
from napari_pffnet._qt.layers.origin import made_of, nuclei_of
from napari_pffnet._qt.layers.planes import Part, Plane, PlaneError, on_screen, placed, stack_axes, take_plane, whole
from napari_pffnet._qt.layers.searched import Searched, searched_in
from napari_pffnet._qt.project.layers import OpenImage, as_plane, plane_of
from napari_pffnet._qt.project.texts import MISPLACED
from napari_pffnet.io.project import LayerPlace
from napari_pffnet.io.regions import Area, outlines_of
from napari_pffnet.typing import Array


class Pair(NamedTuple):
    """An image, its plane in view or a part of it, and the nuclei on it (H×W) with their layer, if there are some.

    `areas`: where nuclei were looked for, if that is not everywhere on it.
    """

    image: Image
    plane: Plane
    layer: Labels | None = None
    labels: Array | None = None
    areas: tuple[Area, ...] = ()


def find_pair(layers: LayerList, dims: Dims, own: Collection[Layer]) -> Pair | None:
    """Return an image and its nuclei, of what is selected, else the topmost; None if no image is open.

    A selected image and Labels layer, both, belong together; of nuclei that were found in a part of the image, that
    part is meant, on its level of a pyramid. Of a Labels layer alone the image is that it was made of,
    else the topmost visible one of its size. Nuclei of an image alone are those made of it, first of the channel in
    view, else the topmost of unknown origin, if no other visible image is of that size.

    Parameters
    ----------
    layers : LayerList
        The viewer's.
    dims : Dims
        Which plane is in view.
    own : collection of Layer
        Layers of the project, which belong to its image in view.

    Raises
    ------
    PlaneError
        No plane of the image is in view, or the selected Labels layer does not lie on it, pixel by pixel.
    """
    others = [layer for layer in reversed(layers) if layer not in own]
    images = [layer for layer in others if is_image(layer)]
    nuclei = [layer for layer in others if isinstance(layer, Labels) and plane_of(layer) == "labels"]
    selected = layers.selection
    image = next((layer for layer in images if layer in selected), None)
    layer = next((layer for layer in nuclei if layer in selected), None)
    if image is None:
        image = _image_of(dims, layer, images) if layer else next(iter(images), None)
    if image is None:
        return None
    plane = _plane(dims, image, "view")
    if layer is not None:
        labels = _labels(dims, layer, image)
        part = searched_in(layer)
        if labels is None and part is not None and made_of(layer, image):
            return _part_pair(dims, image, layer, part)
        same_size = layer.data.shape[-2:] == _shape(dims, image)
        if labels is None and same_size and lies_elsewhere(layer, image, on_screen(image, dims.order)):
            raise PlaneError(MISPLACED.format(layer.name, image.name))
        if labels is None:
            raise PlaneError(f"'{layer.name}' does not lie on the plane of '{image.name}' that is in view")
        return Pair(image, _plane(dims, image, _channel(layer, image)), layer, labels)
    made = [each for each in nuclei if made_of(each, image)]
    made.sort(key=lambda each: not _position(each).items() <= plane.position.items())
    shape = _shape(dims, image)
    alone = all(each is image or not each.visible or _shape(dims, each) != shape for each in images)
    for each in [*made, *(each for each in nuclei if alone and made_of(each, image) is None)]:
        labels = _labels(dims, each, image)
        if labels is not None:
            return Pair(image, _plane(dims, image, _channel(each, image)), each, labels)
    return Pair(image, plane)


def find_stack(layers: LayerList, dims: Dims, own: Collection[Layer]) -> list[Pair]:
    """Return each plane of the image that `find_pair` finds, with its nuclei; empty if no image is open.

    All planes are of one channel: that in which the nuclei of the pair were found, else the first that were made of the
    image. Labels without the axes of the stack belong to the plane in view alone.
    """
    pair = find_pair(layers, dims, own)
    if pair is None:
        return []
    image, axes = pair.image, stack_axes(pair.image, on_screen(pair.image, dims.order))
    others = [each for each in reversed(layers) if isinstance(each, Labels) and each not in (*own, pair.layer)]
    made = [each for each in others if plane_of(each) == "labels" and made_of(each, image)]
    nuclei = [*([pair.layer] if pair.layer else []), *made]
    channel = _channel(nuclei[0], image) if nuclei else "view"
    nuclei = [each for each in nuclei if _channel(each, image) == channel]
    view = np.round(image.world_to_data(dims.point))[-image.ndim :]
    pairs = []
    for numbers in np.ndindex(*(level_shape(image)[axis] for axis in axes)):
        here = view.copy()
        here[axes] = numbers
        point = [*dims.point[: dims.ndim - image.ndim], *np.asarray(image.data_to_world(here))]
        there = Dims(ndim=dims.ndim, ndisplay=dims.ndisplay, order=dims.order, range=dims.range, point=point)
        lying = [each for each in nuclei if each.ndim > len(axes) + 1 or (here == view).all()]
        pairs.append(_on_plane(there, image, channel, lying))
    return pairs


def _on_plane(dims: Dims, image: Image, channel: Channel, nuclei: Sequence[Labels]) -> Pair:
    """Return a plane of an image, with the first nuclei that lie on it."""
    plane = _plane(dims, image, channel)
    for layer in nuclei:
        labels = _labels(dims, layer, image)
        if labels is not None:
            return Pair(image, plane, layer, labels)
    return Pair(image, plane)


def _part_pair(dims: Dims, image: Image, layer: Labels, found: Searched) -> Pair:
    """Return the part of an image in which nuclei were wanted, without the margin that was only looked at."""
    rows, columns = window = found.wanted()
    height, width = rows.stop - rows.start, columns.stop - columns.start
    part = Part(found.part.level, found.part.y + rows.start, found.part.x + columns.start, height, width)
    plane = take_plane(image, dims.point, dims.order, _channel(layer, image), part)
    inside = None if found.inside is None else found.inside[window]
    areas = () if inside is None or inside.all() else outlines_of(inside)
    return Pair(image, plane, layer, label_plane(layer, dims).pixels[window], areas)


def place_of(image: Image, order: Sequence[int], part: Part) -> LayerPlace | None:
    """Return where rows and columns of a part of an image lie; None if others of its axes are on the screen."""
    shown, first = on_screen(image, order), image.ndim - 2
    if shown != [first, first + 1]:
        return None
    place = placed(image, [0] * image.ndim, first, shown, part)
    plain = {name: np.asarray(value).tolist() for name, value in place.items()}
    return LayerPlace.model_validate({**plain, "units": [str(unit) for unit in image.units[-2:]]})


def sizes_of(image: Image, order: Sequence[int], part: Part) -> dict[str, float]:
    """Return the sizes of the pixels of a part in µm along X and Y, where they are known."""
    shown = on_screen(image, order)
    down, across = level_factors(image, part.level)[shown]
    return {axis: size * float(down if axis == "Y" else across) for axis, size in pixel_sizes(image, shown).items()}


def name_of(image: Image, order: Sequence[int], plane: Plane) -> str:
    """Return the name of an image; of one of its slices and channels, or a part, with where it lies."""
    shown, names, channel = on_screen(image, order), axis_names(image), channel_axis(image)
    axes = [*stack_axes(image, shown), *([] if channel is None else [channel])]
    at = {axis: plane.position[names[axis]] for axis in axes if names[axis] in plane.position}
    place = [f"{'slice' if is_unnamed(names[axis : axis + 1]) else names[axis]}{i}" for axis, i in at.items()]
    part = [] if plane.part == whole(image, shown) else [f"y{plane.part.y} x{plane.part.x}"]
    return " ".join([image.name, *place, *part])


def beside(viewer: ViewerModel, image: OpenImage) -> list[Labels]:
    """Return visible nuclei that were found in an image of a project and lie beside its annotation, not in it."""
    shown = image.layers.get("image")
    if not isinstance(shown, Image):
        return []
    return [layer for layer in nuclei_of(viewer, shown) if image.role(layer) is None]


def _image_of(dims: Dims, layer: Labels, images: list[Image]) -> Image | None:
    """Return the image of a Labels layer."""
    fits = [image for image in images if _labels(dims, layer, image) is not None]
    fits.sort(key=lambda image: (not made_of(layer, image), not image.visible))
    return next(iter(fits or images), None)


def _plane(dims: Dims, image: Image, channel: Channel) -> Plane:
    return take_plane(image, dims.point, dims.order, channel)


def _shape(dims: Dims, image: Image) -> tuple[int, int] | None:
    try:
        part = whole(image, on_screen(image, dims.order))
    except PlaneError:
        return None
    return part.height, part.width


def _labels(dims: Dims, layer: Labels, image: Image) -> Array | None:
    """Return the layer's plane in view, if it is of the image's size and lies on it."""
    shape = _shape(dims, image)
    if shape is None or lies_elsewhere(layer, image, on_screen(image, dims.order)):
        return None
    if layer.ndim == len(shape):
        return as_plane(layer, shape)
    try:
        pixels = label_plane(layer, dims).pixels
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
    position = _position(layer)
    return position.get(axis_names(image)[axis], position.get(f"axis {axis}", "colour"))  # before it had a name
