"""Visiting objects with the camera, and coming back."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels

from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet.typing import Array

DIAMETERS_IN_VIEW = 7.0
ROOM = 1.5
ZOOMED_OUT, ZOOMED_IN = 1 / 3, 4.0
ENOUGH_IN_VIEW = 0.5


class CameraVisits:
    """Moves the camera to objects; the zoom is set at the first one and is the user's from then on.

    Parameters
    ----------
    viewer : ViewerModel
        Its camera and sliders are moved.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._before: tuple[Any, float] | None = None

    def show(self, plane: LabelPlane, box: tuple[float, float, float, float], diameter: float) -> None:
        """Bring an object into view, with the sliders on its plane.

        Parameters
        ----------
        plane : LabelPlane
            Where it is.
        box : float, float, float, float
            Top, left, height, width in pixels of the plane.
        diameter : float
            Of a usual object, pixels: about seven of them fit into the view.
        """
        view, dims = camera(self.viewer), self.viewer.dims
        centre, size = _in_world(plane, box)
        hidden = [axis for axis in range(dims.ndim) if axis not in dims.displayed]
        behind = dims.ndim - len(centre)
        moved = [axis for axis in hidden if axis >= behind]
        dims.set_point(moved, [float(centre[axis - behind]) for axis in moved])
        first = self._before is None
        if first:
            self._before = (view.center, view.zoom)
        view.center = (0.0, *(float(centre[axis - behind]) for axis in dims.displayed[-2:]))
        view.zoom = self._zoom(_pixel(plane) * diameter, size, first)

    def back(self) -> bool:
        """Return to where the camera was before the first visit; False if it is there."""
        if self._before is None:
            return False
        view = camera(self.viewer)
        view.center, view.zoom = self._before
        self._before = None
        return True

    def _zoom(self, diameter: float, size: float, first: bool) -> float:
        """Zoom for an object of `size`, both in the world; after the first, the present one where it is comfortable."""
        canvas = float(min(canvas_size(self.viewer)))
        comfortable = canvas / (DIAMETERS_IN_VIEW * max(diameter, 1e-9))
        now = float(camera(self.viewer).zoom)
        keeps = not first and ZOOMED_OUT * comfortable < now < ZOOMED_IN * comfortable
        return min(now if keeps else comfortable, canvas / (ROOM * max(size, 1e-9)))


def reveal(viewer: ViewerModel, layer: Labels, box: Array) -> None:
    """Bring a box of a layer into the 2D view; sliders and camera move only where too little of it is in view.

    Parameters
    ----------
    viewer : ViewerModel
        Has the layer.
    layer : Labels
        The layer.
    box : ndarray
        int D×2, the first and the last index along each axis of its data.
    """
    dims = viewer.dims
    if dims.ndisplay != 2:
        return
    behind = dims.ndim - layer.ndim
    here = np.round(np.asarray(layer.world_to_data(dims.point))[-layer.ndim :])
    hidden = [axis for axis in range(layer.ndim) if axis + behind not in dims.displayed]
    away = [axis for axis in hidden if not box[axis, 0] <= here[axis] <= box[axis, 1]]
    centre = box.mean(1)
    centre[hidden] = [box[axis, 0] if axis in away else here[axis] for axis in hidden]
    world = np.asarray(layer.data_to_world(centre))
    dims.set_point([axis + behind for axis in away], [float(world[axis]) for axis in away])
    shown = [axis - behind for axis in dims.displayed if axis >= behind]
    if len(shown) == 2 and _share_in_view(viewer, layer, box[shown], shown, world) < ENOUGH_IN_VIEW:
        camera(viewer).center = (0.0, *world[shown].tolist())


def _share_in_view(viewer: ViewerModel, layer: Labels, box: Array, shown: list[int], world: Array) -> float:
    """Share of a box (int 2×2) in the view, or of the view that it fills, whichever is more."""
    corners = np.tile(np.asarray(layer.world_to_data(world), float), (4, 1))
    rows, columns = box + np.array([-0.5, 0.5])
    corners[:, shown] = [(row, column) for row in rows for column in columns]
    places = np.array([layer.data_to_world(corner) for corner in corners])[:, shown]
    view = view_corners(viewer)[:, list(viewer.dims.displayed[-2:])]
    low, high = (np.stack([ends(each, 0) for each in (places, view)]) for ends in (np.min, np.max))
    common = np.prod((high.min(0) - low.max(0)).clip(0))
    return float(common / max(np.prod(high - low, axis=1).min(), 1e-9))


def camera(viewer: ViewerModel) -> Any:
    """Return the viewer's camera; napari 0.9 moved it."""
    return getattr(viewer, "scene", viewer).camera


def canvas_size(viewer: ViewerModel) -> tuple[int, int]:
    """Return height and width of the canvas, pixels of the screen."""
    canvas = getattr(viewer, "canvas", None)
    size: tuple[int, int] = canvas.size if canvas is not None else viewer._canvas_size
    return size


def view_corners(viewer: ViewerModel) -> Array:
    """Return the corners of the canvas in the world, 4×D with one column for each axis of the viewer (2D view)."""
    half = np.array(canvas_size(viewer)) / 2 / camera(viewer).zoom
    corners = np.tile(np.array(viewer.dims.point), (4, 1))
    signs = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
    corners[:, list(viewer.dims.displayed)] = np.array(camera(viewer).center[-2:]) + signs * half
    return corners


def _in_world(plane: LabelPlane, box: tuple[float, float, float, float]) -> tuple[Array, float]:
    """Return the centre of a box in the world, and its longest side there."""
    top, left, height, width = box
    corners = [(top + dy * (height - 1), left + dx * (width - 1)) for dy in (0, 1) for dx in (0, 1)]
    world = np.array([plane.position(np.array(corner)) for corner in corners])
    sides = np.linalg.norm(world[[1, 2]] - world[0], axis=1)
    return world.mean(0), float(sides.max()) + _pixel(plane)


def _pixel(plane: LabelPlane) -> float:
    """Side of a pixel in the world."""
    start = plane.position(np.zeros(2))
    return float(np.mean([np.linalg.norm(plane.position(np.array(end)) - start) for end in ((0, 1), (1, 0))]))
