"""Lines and points drawn over the image while a tool is in use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from qtpy.QtWidgets import QWidget
from vispy.scene import Node, ViewBox
from vispy.scene.visuals import Line, Markers

from napari_pffnet.typing import Array

#: A light line on a dark one is seen on any image.
STROKES = (((0.0, 0.0, 0.0, 0.7), 4.0), ((1.0, 1.0, 1.0, 1.0), 1.8))
DOTS = {"face_color": (1.0, 0.85, 0.1, 1.0), "edge_color": (0.0, 0.0, 0.0, 1.0), "edge_width": 1.5, "size": 11.0}
ABOVE_ALL = 10**6


class Sketch:
    """One line and some points, in the coordinates of the world.

    Parameters
    ----------
    widget : QWidget
        In the viewer's window, or in one that floats above it, once something is drawn.

    Notes
    -----
    napari has no public way to draw on the image without adding a layer, and none for a plugin to reach the canvas: it
    is looked for among the window's widgets. Where it is not found, nothing is drawn and the tools work all the same.
    """

    def __init__(self, widget: QWidget) -> None:
        self.widget = widget
        self._found: Any = None
        anything = np.array([(0.0, 0.0), (1.0, 1.0)])
        self._lines = [Line(anything, color=colour, width=width, method="agg") for colour, width in STROKES]
        self._dots = Markers(pos=anything, **DOTS)
        for number, visual in enumerate((*self._lines, self._dots)):
            visual.order = ABOVE_ALL + number
            visual.set_gl_state("translucent", depth_test=False)

    def show(self, line: Array, dots: Array) -> None:
        """Draw a line and points (float N×2: down, across) instead of what was drawn before."""
        path, points = _on_scene(line), _on_scene(dots)
        scene = self._scene()
        for visual in self._lines:
            visual.parent = scene if len(path) > 1 else None
            if visual.parent:
                visual.set_data(pos=path)
        self._dots.parent = scene if len(points) else None
        if self._dots.parent:
            self._dots.set_data(pos=points, **DOTS)

    def clear(self) -> None:
        """Draw nothing."""
        for visual in (*self._lines, self._dots):
            visual.parent = None

    def _scene(self) -> Any:
        if self._found is None:
            window = self.widget
            while (around := window.parentWidget()) is not None:
                window = around
            canvases = (getattr(each, "_vispy_canvas", None) for each in window.findChildren(QWidget))
            nodes = (node for canvas in canvases if canvas for node in _below(canvas.central_widget))
            self._found = next((node.scene for node in nodes if isinstance(node, ViewBox)), None)
        return self._found


def _below(node: Node) -> Iterator[Node]:
    for child in node.children:
        yield child
        yield from _below(child)


def _on_scene(points: Array) -> Array:
    """Return points as x, y; repeated ones, of which no line can be made, left out."""
    again = np.zeros(len(points), bool)
    again[1:] = np.all(np.diff(points, axis=0) == 0, 1)
    return points[~again][:, ::-1]
