"""The step *Correct*: edits of the selected Labels layer, by key or by click. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from app_model.types import KeyBinding, KeyCode, KeyMod
from napari.layers import Labels

from napari_pffnet._qt.active_labels import ActiveLabels
from napari_pffnet._qt.keys import Keys
from napari_pffnet._qt.label_plane import LabelPlane, label_plane
from napari_pffnet._qt.planes import PlaneError
from napari_pffnet.curate.change import Array, Change, OperationError
from napari_pffnet.curate.operations import delete, fill_holes, grow, merge, shrink, smooth
from napari_pffnet.curate.split import split_at_waist, split_by_line

NO_LAYER = "Select a Labels layer: the nuclei of Segment, or any other."
NO_NUCLEUS = "No nucleus there."
CLICK_SLACK = 4
UNDO = str(KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.KeyZ))
REDO = str(KeyBinding.from_int(KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ))


@dataclass(frozen=True)
class Tool:
    """One tool: its key (as napari writes it), its title, what is said while it waits for clicks, and when done."""

    name: str
    key: str
    title: str
    hint: str
    done: str


TOOLS = (
    Tool("delete", "D", "Delete", "Click the nuclei to delete.", "deleted"),
    Tool("merge", "J", "Merge", "Click the nuclei that belong together.", "merged"),
    Tool("split", "S", "Split", "Draw a line across, or click to split at the waist.", "split"),
    Tool("fill_holes", "H", "Fill holes", "Click nuclei with holes.", "filled"),
    Tool("smooth", "R", "Smooth", "Click the nuclei to smooth.", "smoothed"),
    Tool("grow", "G", "Grow", "Click the nuclei to grow.", "grown"),
    Tool("shrink", "Shift-G", "Shrink", "Click the nuclei to shrink.", "shrunk"),
)
BY_NAME = {tool.name: tool for tool in TOOLS}


class View(Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    tool_chosen: Any
    undo_requested: Any

    def pixels(self) -> int:
        """By how much to grow or shrink."""

    def set_layer(self, name: str | None) -> None:
        """Name the layer being corrected; None disables the tools."""

    def set_tool(self, name: str | None) -> None:
        """Show which tool waits for clicks."""

    def set_status(self, text: str) -> None:
        """Show one line."""


class CorrectController:
    """Connects viewer, view and edit operations.

    Parameters
    ----------
    active : ActiveLabels
        The layer to correct.
    view : View
        Shows the tools and the state.
    keys : Keys
        Gets the tools' keys.
    """

    def __init__(self, active: ActiveLabels, view: View, keys: Keys) -> None:
        self.active, self.viewer, self.view, self.keys = active, active.viewer, view, keys
        self._layer: Labels | None = None
        self._tool: Tool | None = None
        self._mode_before = ""
        self._first = 0
        self._connections: list[tuple[Any, Callable[..., None]]] = [
            (active.switched, self._switch),
            (self.viewer.layers.events.renamed, self._show_layer),
            (view.tool_chosen, self.choose),
            (view.undo_requested, self.undo),
        ]
        for signal, slot in self._connections:
            signal.connect(slot)
        for tool in TOOLS:
            keys.add(tool.name, tool.key, tool.title, self._key(tool))
        keys.hold("undo", UNDO, self.undo)  # napari's own would leave the table behind
        keys.hold("redo", REDO, self.redo)
        self._switch(active.layer)

    def close(self) -> None:
        """Let go of the viewer and its layers."""
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self.end()

    def undo(self) -> None:
        """Undo the last edit of the layer."""
        if self.active.rows:
            self.view.set_status("Undone." if self.active.rows.undo() else "Nothing to undo.")

    def redo(self) -> None:
        """Redo what was undone last."""
        if self.active.rows:
            self.view.set_status("Done again." if self.active.rows.redo() else "Nothing to do again.")

    def choose(self, name: str) -> None:
        """Let a tool wait for clicks; the same one again, or Escape, ends it."""
        again = self._tool is not None and self._tool.name == name
        self.end()
        if not again and self._layer is not None:
            self._begin(BY_NAME[name], self._layer)

    def end(self, _layer: Any = None) -> None:
        """Let no tool wait for clicks."""
        layer, tool = self._layer, self._tool
        self._tool, self._first = None, 0
        if layer is None or tool is None:
            return
        layer.events.mode.disconnect(self.end)
        layer.mouse_drag_callbacks.remove(self._on_mouse)
        self.keys.release("tool")
        self._draw(layer, [])
        if layer.mode == "pan_zoom":
            layer.cursor, layer.mouse_pan = "standard", True
            layer.mode = self._mode_before
        self.view.set_tool(None)
        self.view.set_status("")

    def press(self, tool: Tool) -> None:
        """Do what a tool's key does, with what is under the cursor."""
        if tool.name == "split" or (tool.name == "merge" and self._tool is not tool):
            self.choose(tool.name)
        if tool.name != "split":
            self.apply(tool, self.viewer.cursor.position)
        if tool.name == "merge" and self._first == 0:
            self.view.set_status(tool.hint)

    def _key(self, tool: Tool) -> Callable[[], None]:
        return lambda: self.press(tool)

    def apply(self, tool: Tool, position: Sequence[float], start: Sequence[float] | None = None) -> None:
        """Use a tool at a position in the world, or along the line from `start` to there; errors become the status."""
        if self._layer is None:
            return
        try:
            plane = label_plane(self._layer, self.viewer.dims)
            text = self._split_along(plane, start, position) if start is not None else self._at(tool, plane, position)
        except (OperationError, PlaneError) as error:
            text = f"Not done: {error}."
        self.view.set_status(text)

    def _at(self, tool: Tool, plane: LabelPlane, position: Sequence[float]) -> str:
        label = plane.label_at(position)
        if label == 0:
            return NO_NUCLEUS
        if tool.name == "merge" and self._first in (0, label):
            self._first = label
            return f"Nucleus {label}: now click those that belong to it, Esc when done."
        return _write(plane, self._change(tool.name, plane, label), f"Nucleus {label} {tool.done}.")

    def _change(self, name: str, plane: LabelPlane, label: int) -> Change:
        pixels = plane.pixels
        operations: dict[str, Callable[[], Change]] = {
            "delete": lambda: delete(pixels, [label]),
            "merge": lambda: merge(pixels, [self._first, label]),
            "split": lambda: split_at_waist(pixels, label, used_up_to=plane.used_up_to),
            "fill_holes": lambda: fill_holes(pixels, label),
            "smooth": lambda: smooth(pixels, label),
            "grow": lambda: grow(pixels, label, self.view.pixels()),
            "shrink": lambda: shrink(pixels, label, self.view.pixels()),
        }
        return operations[name]()

    def _split_along(self, plane: LabelPlane, start: Sequence[float], end: Sequence[float]) -> str:
        path = np.stack([plane.place(start), plane.place(end)])
        change = split_by_line(plane.pixels, path, used_up_to=plane.used_up_to)
        parts = len(np.unique(change.values))
        return _write(plane, change, f"Split: {parts} new {'nucleus' if parts == 1 else 'nuclei'}.")

    def _begin(self, tool: Tool, layer: Labels) -> None:
        self._tool, self._mode_before = tool, str(layer.mode)
        layer.mode = "pan_zoom"
        layer.cursor = "cross" if tool.name == "split" else "pointing"
        layer.mouse_pan = tool.name != "split"
        layer.events.mode.connect(self.end)
        layer.mouse_drag_callbacks.append(self._on_mouse)
        self.keys.hold("tool", "Escape", self.end)
        self.view.set_tool(tool.name)
        self.view.set_status(tool.hint)

    def _on_mouse(self, layer: Labels, event: Any) -> Iterator[None]:
        """Tell a click from a drag; a drag with Split draws its line."""
        tool, start, pressed = self._tool, tuple(event.position), np.array(event.pos)
        if tool is None or event.button != 1:
            return
        dragged = False
        yield
        while event.type == "mouse_move":
            dragged = dragged or float(np.abs(np.array(event.pos) - pressed).max()) > CLICK_SLACK
            if dragged and tool.name == "split":
                self._draw(layer, [start, tuple(event.position)])
            yield
        self._draw(layer, [])
        if self._tool is not tool:
            return
        if not dragged:
            self.apply(tool, start)
        elif tool.name == "split":
            self.apply(tool, tuple(event.position), start)

    def _draw(self, layer: Labels, ends: list[Sequence[float]]) -> None:
        """Show a line with napari's own outline of a polygon, whose corners of pixels are whole numbers."""
        points: list[Array] = [np.asarray(layer.world_to_data(end))[-layer.ndim :] + 0.5 for end in ends]
        layer._overlays["polygon"].points = [point.tolist() for point in points]

    def _switch(self, layer: Labels | None) -> None:
        self.end()
        self._layer = layer
        self.view.set_status("")
        self._show_layer()

    def _show_layer(self, _event: Any = None) -> None:
        self.view.set_layer(self._layer.name if self._layer is not None else None)
        if self._layer is None:
            self.view.set_status(NO_LAYER)


def _write(plane: LabelPlane, change: Change, text: str) -> str:
    if not len(change.values):
        return "Nothing to change there."
    plane.write(change)
    return text
