"""Which part of an image is to be segmented: all of it, what is in view, or what was drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_pffnet._qt.layers.axes import level_factors
from napari_pffnet._qt.layers.camera import view_corners
from napari_pffnet._qt.layers.planes import Part, PlaneError, in_level, on_screen, whole
from napari_pffnet._qt.layers.shapes import outlines
from napari_pffnet.io.regions import Area, Regions
from napari_pffnet.typing import Array
from napari_pffnet.wording import CTRL

Where = Literal["whole", "view", "drawn"]
MARGIN = 64
CHOOSING = ("select", "direct")
BOXES = ("rectangle", "ellipse")


def wanted_part(viewer: ViewerModel, image: Image, where: Where, level: int = 0) -> tuple[Part, Array | None]:
    """Return the part of an image that is meant.

    Parameters
    ----------
    viewer : ViewerModel
        Its camera, sliders and Shapes layers.
    image : Image
        Of any number of dimensions, multiscale or not.
    where : "whole", "view" or "drawn"
        All of the image; what of it is on the screen; or what is drawn on the slice in view: in the active Shapes
        layer, else the topmost visible one, all shapes, or those picked with its selection tools.
    level : int
        Of the image's pyramid.

    Returns
    -------
    part : Part
        With 64 pixels more on each side, where there are some: nuclei at the edge are seen whole.
    inside : ndarray or None
        bool, the part's height and width: what is in view, or in the shapes.

    Raises
    ------
    PlaneError
        The image is not in view, nothing is drawn on it, or the part is too large; the message names the fix.
    """
    shown = on_screen(image, viewer.dims.order)
    full = whole(image, shown, level)
    if where == "whole":
        return full, None
    if viewer.dims.ndisplay != 2:
        raise PlaneError(f"a part of an image is seen in two dimensions; switch to the 2D view ({CTRL}+Y)")
    factors = level_factors(image, level)[shown]

    def places(world: Array) -> Array:
        data = np.array([np.asarray(image.world_to_data(point))[-image.ndim :] for point in world])
        return in_level(data[:, shown], factors)

    if where == "view":
        areas, fault = [places(view_corners(viewer))], f"'{image.name}' is not in view; move the camera onto it"
        fix = "zoom in"
    else:
        areas = [places(corners) for corners in _drawn(viewer)]
        fault = f"what is drawn does not lie on '{image.name}'; draw on the image"
        fix = "draw areas that lie closer together"
    part = _window(full, np.concatenate(areas), fault)
    if is_large(part):
        much = f"a part of {part.height * part.width / 1e6:.0f} Mpx is too much"
        raise PlaneError(f"{much}: {fix}, choose a lower resolution, or the whole image")
    corners = [area - (part.y, part.x) for area in areas]
    regions = Regions(areas=tuple(Area(corners=tuple((float(y), float(x)) for y, x in each)) for each in corners))
    inside = regions.mask((part.height, part.width))
    if not inside.any():
        raise PlaneError(fault)
    return part, inside


def is_large(part: Part) -> bool:
    """Whether a part is too large for the memory: it is segmented from disk to disk."""
    from napari_pffnet.io.lazy import LARGE

    return part.height * part.width > LARGE


def _window(full: Part, places: Array, fault: str) -> Part:
    """The smallest window that holds all places, with a margin, cut to the image."""
    limits, start, stop = np.array([full.height, full.width]), np.floor(places.min(0)), np.ceil(places.max(0)) + 1
    if np.any(stop <= 0) or np.any(start >= limits):
        raise PlaneError(fault)
    y, x = np.clip(start - MARGIN, 0, limits).astype(int).tolist()
    bottom, right = np.clip(stop + MARGIN, 0, limits).astype(int).tolist()
    return Part(full.level, y, x, bottom - y, right - x)


def _drawn(viewer: ViewerModel) -> list[Array]:
    """Corners of the shapes that are meant, in the world, each N×D with one column for each axis of the viewer."""
    layers = list(_with_areas(viewer))
    active = viewer.layers.selection.active
    for layer in [active] if active in layers else layers:
        found = dict(_areas(layer, viewer))
        # a shape that was just drawn stays selected: only with the selection tools is a selection a choice
        chosen = layer.selected_data & found.keys() if layer.mode in CHOOSING else ()
        if found:
            return [found[number] for number in chosen or found]
    if layers:
        raise PlaneError("nothing is drawn on the slice in view; draw a rectangle or polygon around the nuclei there")
    raise PlaneError("nothing is drawn; add a Shapes layer and draw a rectangle or polygon around the nuclei")


def _with_areas(viewer: ViewerModel) -> Iterator[Shapes]:
    """Shapes layers that hold areas on any slice, the topmost first; hidden ones only if they are active."""
    for layer in reversed(viewer.layers):
        seen = layer.visible or layer is viewer.layers.selection.active
        if isinstance(layer, Shapes) and seen and any(True for _ in outlines(layer)):
            yield layer


def _areas(layer: Shapes, viewer: ViewerModel) -> Iterator[tuple[int, Array]]:
    """Number and corners of the shapes on the slice in view, as napari chooses which ones it shows."""
    axes = [axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.not_displayed]
    hidden = [axis for axis in axes if axis >= 0]
    slider = np.asarray(layer.world_to_data(viewer.dims.point))[-layer.ndim :]
    for number, kind, corners in outlines(layer):
        place = np.trunc(corners[0]) if kind in BOXES else np.rint(corners[0])
        if np.all(np.abs(place - slider)[hidden] < 0.5):
            world = np.tile(np.array(viewer.dims.point, float), (len(corners), 1))
            world[:, -layer.ndim :] = [layer.data_to_world(corner) for corner in corners]
            yield number, world
