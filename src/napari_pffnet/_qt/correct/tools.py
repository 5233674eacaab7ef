"""What a tool of the step *Correct* is: what the user does with the mouse, and what becomes of it. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_pffnet._qt.layers.label_plane import Content, LabelPlane
from napari_pffnet.curate.change import Change
from napari_pffnet.typing import Array

Kind = Literal["now", "click", "path", "lasso", "box", "seeds"]
DRAGGED: tuple[Kind, ...] = ("path", "lasso", "box")
NO_NUCLEUS = "No nucleus there."


@dataclass(frozen=True)
class Gesture:
    """What the user did on a plane.

    Attributes
    ----------
    kind : str
        "click": one point; "path": a line drawn by hand; "lasso": an outline drawn by hand; "box": a rectangle that was
        dragged; "seeds": one click per part, then Enter; "now": nothing, the tool's button or key is enough.
    points : ndarray
        float N×2, rows and columns; whole numbers are the centres of pixels. Of a box the corner of least row and
        column, then the one opposite. Points may lie outside the plane.
    shift : bool
        Shift was down: neighbours make room for what is new; a nucleus is deleted on all planes.
    """

    kind: Kind
    points: Array
    shift: bool = False


@dataclass(frozen=True)
class ToolEdit:
    """Pixels to write as one step of the undo history, and what is said then.

    `everywhere`: the change is one of `LabelPlane.everything`, all planes of the layer at once. `renumbered`: the new
    ids of objects that only get another id; their rows go along. `origin`: what made new objects, where it is not the
    user's hand. `made`: id of the one new nucleus that it makes.
    """

    change: Change
    text: str
    everywhere: bool = False
    renumbered: dict[int, int] | None = None
    origin: str = ""
    made: int = 0


#: Called on the plane as it is when the work in the background is done.
Finish = Callable[[LabelPlane], ToolEdit | str]


@dataclass(frozen=True)
class Later:
    """Work that goes on in the background.

    Attributes
    ----------
    text : str
        What is said meanwhile.
    start : callable
        ``start(ready)`` begins the work and returns at once; ``ready(finish)`` is called once, in the main thread,
        whether the work went well or not; `finish` may raise OperationError.
    """

    text: str
    start: Callable[[Callable[[Finish], None]], None]


Do = Callable[[LabelPlane, Gesture], ToolEdit | str | Later]


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes
    ----------
    name, title : str
        For the program; for the button.
    key : str
        Default key as napari writes it ("D", "Shift-G"); "" is none.
    hint : str
        Said while the tool waits.
    tip : str
        Explains the tool.
    gestures : tuple of str
        Kinds of gestures that it takes; at most one of "path", "lasso" and "box".
    do : callable
        ``do(plane, gesture)`` returns what to write, or why nothing is written. It may raise OperationError or
        PlaneError, whose message is shown.
    on_key : "do", "wait" or "both"
        Whether the key does it with what is under the cursor, lets the tool wait for gestures, or both.
    place : "first" or "more"
        Where its button is: in view, or folded away.
    content : "nuclei" or "semantic"
        Which layers it works on.
    forget : callable
        Called whenever the tool begins or ends to wait: what it remembers is forgotten.
    """

    name: str
    key: str
    title: str
    hint: str
    tip: str
    gestures: tuple[Kind, ...]
    do: Do
    on_key: Literal["do", "wait", "both"] = "wait"
    place: Literal["first", "more"] = "first"
    content: Content = "nuclei"
    forget: Callable[[], None] = lambda: None

    @property
    def dragged(self) -> Kind | None:
        """The gesture that a drag with this tool is, if it takes drags."""
        return next((kind for kind in self.gestures if kind in DRAGGED), None)


def gesture_of(kind: Kind, points: Array, shift: bool = False) -> Gesture:
    """Make a gesture of the points (float N×2) that the mouse has passed."""
    if kind == "box":
        points = np.stack([points[[0, -1]].min(0), points[[0, -1]].max(0)])
    return Gesture(kind, points, shift)


def line_of(gesture: Gesture) -> Array:
    """Return the line (float N×2) that shows a gesture while it is made; empty for points."""
    if gesture.kind == "path":
        return gesture.points
    if gesture.kind == "lasso":
        return np.concatenate([gesture.points, gesture.points[:1]])
    if gesture.kind == "box":
        (top, left), (bottom, right) = gesture.points
        return np.array([(top, left), (top, right), (bottom, right), (bottom, left), (top, left)])
    return np.zeros((0, 2))
