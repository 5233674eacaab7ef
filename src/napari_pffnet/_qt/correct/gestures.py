"""Mouse and keys on a layer, read as the gestures that a tool takes. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels

from napari_pffnet._qt.correct.keys import Keys, napari_keys
from napari_pffnet._qt.correct.tools import Gesture, Kind, Tool, gesture_of, line_of
from napari_pffnet._qt.layers.label_plane import LabelPlane, plane_to_edit
from napari_pffnet._qt.layers.planes import PlaneError
from napari_pffnet.typing import Array
from napari_pffnet.wording import counted

NOTHING = np.zeros((0, 2))
CLICK_SLACK = 4


class Canvas(Protocol):
    """Where gestures are shown while they are made."""

    def show(self, line: Array, dots: Array) -> None:
        """Draw a line and points (float N×2: world coordinates, down and across) instead of what was there."""

    def clear(self) -> None:
        """Draw nothing."""


class Gestures:
    """Lets one tool at a time wait for gestures on a layer.

    Parameters
    ----------
    viewer : ViewerModel
        Has the layer.
    keys : Keys
        Escape, Enter and Space are taken while a tool waits.
    canvas : Canvas
        Shows the gesture being made.
    made : callable
        ``made(tool, gesture)`` is called when one is complete.
    told : callable
        ``told(text)`` is called with what the user should know.
    changed : callable
        ``changed(name)`` is called with the name of the tool that waits from now on, or None.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        keys: Keys,
        canvas: Canvas,
        made: Callable[[Tool, Gesture], object],
        told: Callable[[str], None],
        changed: Callable[[str | None], None],
    ) -> None:
        self.viewer, self.keys, self.canvas = viewer, keys, canvas
        self.made, self.told, self.changed = made, told, changed
        self.tool: Tool | None = None
        self._layer: Labels | None = None
        self._mode_before = ""
        self._seeds: list[Array] = []
        self._zoomers: list[Any] = []

    def begin(self, tool: Tool, layer: Labels) -> None:
        """Let a tool wait, instead of the one before."""
        self.end()
        self.tool, self._layer, self._mode_before = tool, layer, str(layer.mode)
        tool.forget()
        layer.mode = "pan_zoom"
        layer.cursor = "cross" if tool.dragged or "seeds" in tool.gestures else "pointing"
        layer.mouse_pan = not tool.dragged
        layer.mouse_drag_callbacks.append(self._on_mouse)
        layer.mouse_double_click_callbacks.append(self._on_double_click)
        self._zoomers = list(self.viewer.mouse_double_click_callbacks)
        self.viewer.mouse_double_click_callbacks.clear()  # two quick clicks with a tool are two clicks, not a zoom
        layer.events.mode.connect(self.end)
        for event in self._planes():
            event.connect(self._forget_seeds)
        self.keys.hold("tool", "Escape", self._escape)
        for key in napari_keys("activate_labels_pan_zoom_mode"):  # the mode is that already: napari tells nobody
            self.keys.hold(f"tool {key}", key, self.end)
        if tool.dragged:
            self.keys.hold("pan", "Space", self._pan)
        self.changed(tool.name)
        self.told(tool.hint)

    def end(self, _event: Any = None) -> None:
        """Let no tool wait."""
        tool, layer = self.tool, self._layer
        if tool is None or layer is None:
            return
        self._forget_seeds()
        self.tool = self._layer = None
        tool.forget()
        layer.events.mode.disconnect(self.end)
        for event in self._planes():
            event.disconnect(self._forget_seeds)
        layer.mouse_drag_callbacks.remove(self._on_mouse)
        layer.mouse_double_click_callbacks.remove(self._on_double_click)
        self.viewer.mouse_double_click_callbacks.extend(self._zoomers)
        for held in self.keys.held():
            if held == "pan" or held.startswith("tool"):
                self.keys.release(held)
        self.canvas.clear()
        if layer.mode == "pan_zoom":
            layer.cursor, layer.mouse_pan = "standard", True
            layer.mode = self._mode_before
        self.changed(None)
        self.told("")

    def _planes(self) -> tuple[Any, ...]:
        events = self.viewer.dims.events
        return events.point, events.order, events.ndisplay

    def _on_mouse(self, layer: Labels, event: Any) -> Iterator[None]:
        """Tell a click from a drag; a drag is shown while it goes on."""
        tool, pressed, moves_camera = self.tool, np.array(event.pos), layer.mouse_pan
        shift = "Shift" in event.modifiers
        if tool is None or event.button != 1 or "Alt" in event.modifiers:
            return
        passed, dragged = [tuple(event.position)], False
        yield
        while event.type == "mouse_move":
            passed.append(tuple(event.position))
            dragged = dragged or float(np.abs(np.array(event.pos) - pressed).max()) > CLICK_SLACK
            if dragged and not moves_camera and self.tool is tool:
                self._show(tool, layer, passed)
            yield
        if self.tool is not tool:
            return
        if not dragged:
            self._click(tool, layer, passed[0], shift)
        elif tool.dragged and not moves_camera:
            self.canvas.clear()
            self._finish(tool, layer, tool.dragged, passed, shift)

    def _on_double_click(self, layer: Labels, event: Any) -> None:
        if event.button == 1 and self.tool:
            self._click(self.tool, layer, event.position, "Shift" in event.modifiers)

    def _click(self, tool: Tool, layer: Labels, position: Sequence[float], shift: bool) -> None:
        if "seeds" in tool.gestures:
            self._sow(tool, layer, position)
        elif "click" in tool.gestures:
            self._finish(tool, layer, "click", [position], shift)
        else:
            self.told(tool.hint)

    def _finish(self, tool: Tool, layer: Labels, kind: Kind, positions: Sequence[Sequence[float]], shift: bool) -> None:
        plane = self._plane(tool, layer)
        if plane:
            self.made(tool, gesture_of(kind, _places(plane, positions), shift))

    def _show(self, tool: Tool, layer: Labels, positions: Sequence[Sequence[float]]) -> None:
        plane = self._plane(tool, layer)
        if not plane or not tool.dragged:
            return
        if tool.dragged == "box":
            line = self._on_screen(plane, line_of(gesture_of("box", _places(plane, [positions[0], positions[-1]]))))
        else:
            shown = list(self.viewer.dims.order[-2:])
            line = line_of(Gesture(tool.dragged, np.array(positions)[:, shown]))
        self.canvas.show(line, NOTHING)

    def _plane(self, tool: Tool, layer: Labels) -> LabelPlane | None:
        """Return the plane in view; None, and why as text, if there is none."""
        try:
            return plane_to_edit(layer, self.viewer.dims, tool.content)
        except PlaneError as error:
            self.told(f"Not done: {error}.")
            return None

    def _on_screen(self, plane: LabelPlane, places: Array) -> Array:
        """Return where rows and columns are in the world, along the axes on the screen: down, across."""
        world = np.stack([plane.position(place) for place in places])
        dims = self.viewer.dims
        return world[:, [axis - (dims.ndim - world.shape[1]) for axis in dims.order[-2:]]]

    def _sow(self, tool: Tool, layer: Labels, position: Sequence[float]) -> None:
        plane = self._plane(tool, layer)
        if not plane:
            return
        self._seeds.append(plane.place(position))
        self.keys.hold("seeds", "Enter", self._seeds_are_placed)
        self.canvas.show(NOTHING, self._on_screen(plane, np.stack(self._seeds)))
        self.told(f"{counted(len(self._seeds), 'point')}; Enter when every part has one, Esc forgets them.")

    def _seeds_are_placed(self) -> None:
        tool, seeds = self.tool, np.stack(self._seeds)
        self._forget_seeds()
        if tool:
            self.made(tool, Gesture("seeds", seeds))

    def _forget_seeds(self, _event: Any = None) -> None:
        if self._seeds:
            self._seeds = []
            self.keys.release("seeds")
            self.canvas.clear()

    def _escape(self) -> None:
        """Forget the seeds, or end the tool."""
        if self._seeds and self.tool:
            self._forget_seeds()
            self.told(self.tool.hint)
        else:
            self.end()

    def _pan(self) -> Iterator[None]:
        """While the key is down, drags move the camera."""
        layer, tool = self._layer, self.tool
        if layer is None:
            return
        layer.mouse_pan = True
        yield
        if self.tool is tool:
            layer.mouse_pan = False


def _places(plane: LabelPlane, positions: Sequence[Sequence[float]]) -> Array:
    return np.stack([plane.place(position) for position in positions])
