"""Which pixels of an image layer are meant, and where results on them belong in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from napari.components import Dims
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_pffnet._qt.layers.axes import (
    Channel,
    axis_names,
    channel_axis,
    level_data,
    level_factors,
    level_shape,
    pixel_size,
)
from napari_pffnet.io.place import Place
from napari_pffnet.io.stains import HEMATOXYLIN, Hematoxylin
from napari_pffnet.typing import Array

#: What places a layer in the world.
PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class PlaneError(ValueError):
    """No plane can be taken from the layer; the message names the fix."""


class UnreadableError(PlaneError):
    """The pixels of a plane cannot be read; those of others may be."""


class Part(NamedTuple):
    """A window of a plane: `level` of the image's pyramid (0 is the largest), the rest in pixels of that level."""

    level: int
    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class Plane:
    """One plane of an image layer, or a part of it.

    Attributes
    ----------
    pixels : array-like
        H×W or H×W×3/4, perhaps not loaded yet.
    shape : tuple of int
        Shape of a label array on this plane: 1 along the axes of a stack.
    placement : dict
        Properties of a layer of that shape that lies on the plane: scale, translate, rotate, shear, affine, units,
        axis labels.
    position : dict
        Index along each axis of the stack, by the axis' name, counted from 0.
    part : Part
        What of the image it is.
    place : Place
        Where a label array on this plane lies in the image.
    pixel_size : float, optional
        Height of a pixel in µm, where the layer's units say so.
    inside : ndarray, optional
        bool H×W: nuclei that lie mostly outside are not wanted.
    channel : int or str
        As of `take_plane`.
    """

    pixels: Any
    shape: tuple[int, ...]
    placement: dict[str, Any]
    position: dict[str, int]
    part: Part
    place: Place
    pixel_size: float | None = None
    inside: Array | None = None
    channel: Channel = "view"

    def read(self) -> Array:
        """Load the pixels, H×W or H×W×3/4; UnreadableError if what they are read from fails."""
        try:
            return np.asarray(self.pixels)
        except (MemoryError, PlaneError):
            raise
        except Exception as error:  # of whatever library reads them
            raise UnreadableError(
                f"the pixels cannot be read ({error}); check the file that the layer shows"
            ) from error


@dataclass(frozen=True)
class Stack:
    """All planes of an image layer along its stack axes (not along channels).

    Attributes
    ----------
    layer : Image
        The image.
    places : list of tuple
        Index of each plane in a label array of `shape`, the last stack axis running fastest.
    shape, placement : tuple, dict
        Of a label array on all planes; as those of `Plane`.
    position : dict
        Index along the channel axis, if one is chosen.
    part, inside : Part, ndarray
        Of each plane; as those of `Plane`.
    place : Place
        Where the label array lies in the image.
    channel : int or str
        As of `take_stack`.
    """

    layer: Image
    places: list[tuple[int | slice, ...]]
    shape: tuple[int, ...]
    placement: dict[str, Any]
    position: dict[str, int]
    part: Part
    inside: Array | None
    place: Place
    channel: Channel
    _index: list[int | slice]
    _shown: list[int]

    def plane(self, place: tuple[int | slice, ...]) -> Plane:
        """Take one of the planes; its pixels are not read before they are asked for, where the layer's data allow."""
        first = self.layer.ndim - len(self.shape)
        axes = stack_axes(self.layer, self._shown)
        index = [place[axis - first] if axis in axes else i for axis, i in enumerate(self._index)]
        return _stained(_plane(self.layer, index, self._shown, self.part, self.inside), self.layer, self.channel)

    def begins(self, place: tuple[int | slice, ...]) -> bool:
        """Whether a plane is the first along the last stack axis."""
        last = stack_axes(self.layer, self._shown)[-1]
        return bool(place[last - (self.layer.ndim - len(self.shape))] == 0)


def take_plane(
    layer: Image,
    point: Sequence[float],
    order: Sequence[int],
    channel: Channel = "view",
    part: Part | None = None,
    inside: Array | None = None,
) -> Plane:
    """Take the plane in view.

    Parameters
    ----------
    layer : Image
        Grey or RGB, of any number of dimensions, multiscale or not.
    point : sequence of float
        Position of the viewer's sliders, world coordinates (``viewer.dims.point``).
    order : sequence of int
        Order of the viewer's axes; the last two are on the screen (``viewer.dims.order``).
    channel : int, "view", "colour" or "hematoxylin"
        Index along the channel axis; the slider's; all three as red, green, blue; or, of RGB images, that stain alone.
    part, inside : Part, ndarray, optional
        As in `Plane`; all of the largest level if not given.

    Raises
    ------
    PlaneError
        The plane lies outside the layer, or the layer is not two-dimensional on the screen.
    """
    shown = on_screen(layer, order)
    index = _index(layer, level_shape(layer), point, shown, channel)
    return _stained(_plane(layer, index, shown, part or whole(layer, shown), inside), layer, channel)


def take_stack(
    layer: Image,
    point: Sequence[float],
    order: Sequence[int],
    channel: Channel = "view",
    part: Part | None = None,
    inside: Array | None = None,
) -> Stack:
    """Take all planes of an image that has stack axes (`plane_count` above 1); arguments and errors of `take_plane`."""
    shown, sizes = on_screen(layer, order), level_shape(layer)
    part = part or whole(layer, shown)
    extents = dict(zip(shown, (part.height, part.width), strict=True))
    axes, first = stack_axes(layer, shown), _first(layer, shown)
    index = _index(layer, sizes, point, shown, channel, every=axes)
    shape = tuple(extents.get(axis, sizes[axis] if axis in axes else 1) for axis in range(first, layer.ndim))
    places: list[tuple[int | slice, ...]] = []
    for numbers in np.ndindex(*(sizes[axis] for axis in axes)):
        number = dict(zip(axes, numbers, strict=True))
        places.append(tuple(slice(None) if a in shown else number.get(a, 0) for a in range(first, layer.ndim)))
    fixed = {axis: i for axis, i in enumerate(index[: layer.ndim]) if isinstance(i, int) and axis not in axes}
    corner = [fixed.get(axis, 0) for axis in range(layer.ndim)]
    names = axis_names(layer)
    position = {names[axis]: i for axis, i in fixed.items()}
    placement, place = placed(layer, corner, first, shown, part), _place(layer, corner, first, shown, part)
    return Stack(layer, places, shape, placement, position, part, inside, place, channel, index, shown)


def _stained(plane: Plane, layer: Image, channel: Channel) -> Plane:
    """Return the plane as the channel wants it seen: perhaps one stain of its colours."""
    stained = channel == HEMATOXYLIN and layer.rgb
    return replace(plane, channel=channel, pixels=Hematoxylin(plane.pixels) if stained else plane.pixels)


def plane_count(layer: Image, order: Sequence[int]) -> int:
    """Return how many planes an image has, over all slices and time points; 0 if it is seen from its edge."""
    try:
        shown = on_screen(layer, order)
    except PlaneError:
        return 0
    return int(np.prod([level_shape(layer)[axis] for axis in stack_axes(layer, shown)], dtype=np.int64))


def stack_axes(layer: Image, shown: Sequence[int]) -> list[int]:
    """Axes longer than 1 that are neither on the screen (`shown`) nor channels."""
    sizes, colours = level_shape(layer), channel_axis(layer)
    return [axis for axis in range(layer.ndim) if axis not in (*shown, colours) and sizes[axis] > 1]


def whole(layer: Image, shown: Sequence[int], level: int = 0) -> Part:
    """Return all of a level, on the axes that are on the screen."""
    return Part(level, 0, 0, *(int(level_shape(layer, level)[axis]) for axis in shown))


def on_screen(layer: Image, order: Sequence[int]) -> list[int]:
    """Return the axes of the layer that are on the screen, in the order of its data.

    Raises
    ------
    PlaneError
        One of them is not of the layer.
    """
    shown = sorted(axis - (len(order) - layer.ndim) for axis in list(order)[-2:])
    if shown[0] < 0:
        raise PlaneError(f"'{layer.name}' is seen from its edge; show its rows and columns (roll the dimensions)")
    return shown


def _first(layer: Image, shown: list[int]) -> int:
    """Return the first axis that results have: not that of the channels, if it leads."""
    return 1 if channel_axis(layer) == 0 and 0 not in shown else 0


def _plane(layer: Image, index: list[int | slice], shown: list[int], part: Part, inside: Array | None) -> Plane:
    data, names, first = level_data(layer, part.level), axis_names(layer), _first(layer, shown)
    windows = dict(zip(shown, (slice(part.y, part.y + part.height), slice(part.x, part.x + part.width)), strict=True))
    factors = level_factors(layer, part.level)
    place = [
        windows.get(axis, i if isinstance(i, slice) else min(int(i / factors[axis]), data.shape[axis] - 1))
        for axis, i in enumerate(index)
    ]
    pixels = data[tuple(place)]
    colour_axis = [axis for axis, i in enumerate(index) if isinstance(i, slice) and axis not in shown]
    if colour_axis and not layer.rgb:
        pixels = np.moveaxis(pixels, sum(axis < colour_axis[0] for axis in shown), -1)
    extents = dict(zip(shown, (part.height, part.width), strict=True))
    shape = tuple(extents.get(axis, 1) for axis in range(first, layer.ndim))
    corner = [i if isinstance(i, int) else 0 for i in index[: layer.ndim]]
    position = {names[axis]: corner[axis] for axis in range(layer.ndim) if isinstance(index[axis], int)}
    size = pixel_size(layer, shown)
    height = size and size * float(factors[shown[0]])
    placement, within = placed(layer, corner, first, shown, part), _place(layer, corner, first, shown, part)
    return Plane(pixels, shape, placement, position, part, within, height, inside)


def placed(layer: Image, corner: list[int], first: int, shown: list[int], part: Part) -> dict[str, Any]:
    """Arguments for a new layer on a part of a plane; `corner` is the plane's, in pixels of the largest level.

    It has no axes before `first`; `shown` are those on the screen.
    """
    factors, place = np.ones(layer.ndim), np.array(corner, float)
    factors[shown] = level_factors(layer, part.level)[shown]
    place[shown] = in_full((part.y, part.x), factors[shown])
    return placement(layer, place, first, factors)


def _place(layer: Image, corner: list[int], first: int, shown: list[int], part: Part) -> Place:
    """Return where labels on a part of a plane, or of all planes, lie in the image; arguments of `placed`."""
    start, steps = np.array(corner), np.ones(layer.ndim)
    start[shown], steps[shown] = (part.y, part.x), level_factors(layer, part.level)[shown]
    return Place(
        axes=tuple(axis_names(layer)[first:]),
        start=tuple(start[first:].tolist()),
        step=tuple(steps[first:].tolist()),
        whole=level_shape(layer)[first : layer.ndim],
        channels=channel_axis(layer) is not None,
    )


def show_channel(dims: Dims, layer: Image, channel: Channel) -> None:
    """Move the slider of an image's channels to the one that was chosen, if labels of that channel lie there alone."""
    axis = channel_axis(layer)
    if not axis or not isinstance(channel, int):  # of a leading axis results have none
        return
    place = np.zeros(layer.ndim)
    place[axis] = channel
    dims.set_point(dims.ndim - layer.ndim + axis, float(layer.data_to_world(place)[axis]))


def in_full(place: Sequence[float] | Array, factors: Array) -> Array:
    """Return where a place on a level (the centre of a pixel is a whole number) lies on the largest one."""
    return np.asarray((np.asarray(place) + 0.5) * factors - 0.5)


def in_level(place: Sequence[float] | Array, factors: Array) -> Array:
    """Return where a place on the largest level lies on a smaller one."""
    return np.asarray((np.asarray(place) + 0.5) / factors - 0.5)


def placement(
    layer: Image, corner: Sequence[float] | Array | None = None, first: int = 0, factors: Array | None = None
) -> dict[str, Any]:
    """Arguments for a new layer that lies on `layer` from the pixel `corner` on, without the axes before `first`.

    Its pixels are larger by `factors`, one for each axis of `layer`.
    """
    axes = range(first, layer.ndim)
    own = Affine(
        scale=layer.scale, translate=layer.translate, rotate=layer.rotate, shear=_shear(layer), ndim=layer.ndim
    )
    start = own(np.zeros(layer.ndim) if corner is None else np.asarray(corner, float))
    kept = own.set_slice(axes)
    # where nothing is rotated the signs are in `scale`; what napari calls the rotation of a flip would undo them
    rotated = np.any(kept.linear_matrix - np.diag(np.diag(kept.linear_matrix)))
    return {
        "scale": kept.scale * (1 if factors is None else factors[first:]),
        "rotate": kept.rotate if rotated else np.eye(kept.ndim),
        "shear": _shear(kept),
        "translate": np.asarray(start)[first:],
        "affine": layer.affine.set_slice(axes).affine_matrix,
        "units": layer.units[first:],
        "axis_labels": layer.axis_labels[first:],
    }


def _shear(transform: Image | Affine) -> Array:
    """Shear as napari takes it; where there is none, it gives a vector of a length that it refuses."""
    if np.any(transform.shear):
        return np.asarray(transform.shear)
    return np.zeros(transform.ndim * (transform.ndim - 1) // 2)


def _index(
    layer: Image,
    shape: tuple[int, ...],
    point: Sequence[float],
    shown: list[int],
    channel: Channel,
    every: Sequence[int] = (),
) -> list[int | slice]:
    """What to take along each axis of the data: all of the shown ones, one place of the others.

    Of `every`, all planes are taken in the end, wherever their sliders are.
    """
    place = np.round(layer.world_to_data(point)).astype(int)[-layer.ndim :]
    index: list[int | slice] = [slice(None) if axis in shown else int(place[axis]) for axis in range(layer.ndim)]
    colours = channel_axis(layer)
    if colours is not None and colours not in shown and (channel == "colour" or isinstance(channel, int)):
        index[colours] = slice(None) if channel == "colour" else channel
    for axis, i in enumerate(index):
        if isinstance(i, int) and axis not in every and not 0 <= i < shape[axis]:
            name = axis_names(layer)[axis]
            raise PlaneError(f"the slider '{name}' is outside '{layer.name}'; move it back onto the image")
    return [*index, slice(None)] if layer.rgb else index
