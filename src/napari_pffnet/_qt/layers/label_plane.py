"""The plane in view of a Labels layer: what is under the cursor, and writing changes so that napari can undo them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from napari.components import Dims
from napari.layers import Labels

from napari_pffnet._qt.layers.editable import hindrance
from napari_pffnet._qt.layers.planes import PlaneError
from napari_pffnet.curate.change import Change
from napari_pffnet.typing import Array
from napari_pffnet.wording import CTRL

Content = Literal["nuclei", "semantic"]
OTHER_CONTENT: dict[Content, str] = {
    "nuclei": "foreground, not single nuclei; select the layer of the nuclei",
    "semantic": "single nuclei, not foreground; select the semantic layer",
}


@dataclass(frozen=True)
class LabelPlane:
    """One plane of a Labels layer.

    Attributes
    ----------
    layer : Labels
        The layer.
    index : tuple
        Index along each axis of the data: a slice for the two that are shown, a number for the others.
    """

    layer: Labels
    index: tuple[int | slice, ...]

    @property
    def pixels(self) -> Array:
        """The plane, int H×W; a view of the layer's data."""
        pixels: Array = self.layer.data[self.index]
        return pixels

    @property
    def used_up_to(self) -> int:
        """Highest id on any plane."""
        return int(self.layer.data.max(initial=0))

    @property
    def stack_axis(self) -> int | None:
        """The last axis of a stack that is longer than 1; None if there is but one plane."""
        sizes = self.layer.data.shape
        return max((axis for axis, i in enumerate(self.index) if isinstance(i, int) and sizes[axis] > 1), default=None)

    def beside(self) -> list[Array]:
        """Return the planes before and after this one along the axis of the stack, those that there are.

        Instead of an empty one that behind it, as linking goes over one plane, too.
        """
        data, axis, found = self.layer.data, self.stack_axis, list[Array]()
        here = None if axis is None else self.index[axis]
        if axis is None or not isinstance(here, int):
            return found
        for step in (-1, 1):
            there = [i for i in (here + step, here + 2 * step) if 0 <= i < data.shape[axis]]
            planes = [data[(*self.index[:axis], i, *self.index[axis + 1 :])] for i in there]
            found += [next(filter(np.any, planes), planes[0])] if planes else []
        return found

    def place(self, position: Sequence[float]) -> Array:
        """Return row and column (float; centres are whole numbers) of a position in the world."""
        data = np.asarray(self.layer.world_to_data(position))[-self.layer.ndim :]
        return data[self._shown]

    def position(self, place: Array) -> Array:
        """Return the position in the world, along the layer's axes, of a row and column."""
        data = np.array([0.0 if isinstance(i, slice) else i for i in self.index])
        data[self._shown] = place
        return np.asarray(self.layer.data_to_world(data))

    @property
    def _shown(self) -> list[int]:
        return [axis for axis, i in enumerate(self.index) if isinstance(i, slice)]

    def id_at(self, place: Array) -> int:
        """Return the id at a row and column; 0 on background and outside."""
        row, column = np.round(place).astype(int)
        pixels = self.pixels
        inside = 0 <= row < pixels.shape[0] and 0 <= column < pixels.shape[1]
        return int(pixels[row, column]) if inside else 0

    @property
    def everything(self) -> Array:
        """All planes of the layer, one under the other, int N×W."""
        data: Array = self.layer.data
        return data.reshape(-1, data.shape[-1])

    def planes(self, data: Array) -> Array:
        """Return an array of the layer's shape with the axes that are shown last; a view."""
        return np.moveaxis(data, self._shown, (-2, -1))

    def write(self, change: Change) -> None:
        """Write a change as one step of napari's undo history."""
        shown = iter(change.indices)
        self.layer.data_setitem(
            tuple(next(shown) if isinstance(i, slice) else np.full(len(change.values), i) for i in self.index),
            change.values,
        )

    def write_everywhere(self, change: Change) -> None:
        """Write a change of `everything` as one step of napari's undo history."""
        rows, columns = change.indices
        self.layer.data_setitem((*np.unravel_index(rows, self.layer.data.shape[:-1]), columns), change.values)


def content_of(layer: Labels) -> Content:
    """Return what the ids of a layer are: single nuclei, or the classes of a semantic map."""
    facts: dict[str, Any] = layer.metadata.get("napari-pffnet", {})
    return "semantic" if facts.get("content") == "semantic" else "nuclei"


def label_plane(layer: Labels, dims: Dims, content: Content = "nuclei") -> LabelPlane:
    """Take the plane in view.

    Parameters
    ----------
    layer : Labels
        Of any number of dimensions and any integer type.
    dims : Dims
        The viewer's.
    content : "nuclei" or "semantic"
        What is to be edited.

    Raises
    ------
    PlaneError
        The layer cannot be edited, or no plane of it is in view; the message names the fix.
    """
    _check_editable(layer, content)
    if dims.ndisplay != 2:
        raise PlaneError(f"nuclei are corrected plane by plane; switch to the 2D view ({CTRL}+Y)")
    shown = [axis - (dims.ndim - layer.ndim) for axis in dims.order[-2:]]
    if min(shown) < 0:
        raise PlaneError(f"'{layer.name}' is seen from its edge; show its rows and columns (roll the dimensions)")
    place = np.round(np.asarray(layer.world_to_data(dims.point))[-layer.ndim :]).astype(int)
    index = tuple(slice(None) if axis in shown else int(place[axis]) for axis in range(layer.ndim))
    for axis, i in enumerate(index):
        if isinstance(i, int) and not 0 <= i < layer.data.shape[axis]:
            raise PlaneError(f"'{layer.name}' is not in view; move the sliders back onto it")
    return LabelPlane(layer, index)


def plane_to_edit(layer: Labels, dims: Dims, content: Content = "nuclei") -> LabelPlane:
    """Take the plane in view as `label_plane` does, of a layer that is seen.

    Raises
    ------
    PlaneError
        As `label_plane`, and if the layer is hidden.
    """
    check_to_edit(layer, content)
    return label_plane(layer, dims, content)


def check_to_edit(layer: Labels, content: Content = "nuclei") -> None:
    """Raise the PlaneError of `plane_to_edit`, unless only its plane is not in view."""
    if not layer.visible:
        raise PlaneError(f"'{layer.name}' is hidden; show it first (the eye in the layer list)")
    _check_editable(layer, content)


def _check_editable(layer: Labels, content: Content) -> None:
    if content != content_of(layer):
        raise PlaneError(f"'{layer.name}' shows {OTHER_CONTENT[content]}")
    if reason := hindrance(layer):
        raise PlaneError(f"{reason}; press 'Edit a copy'")
