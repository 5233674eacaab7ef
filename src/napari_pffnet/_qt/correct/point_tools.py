"""The tools that ask the network for single nuclei. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image

from napari_pffnet._qt.background import Background
from napari_pffnet._qt.correct.continuing import continued
from napari_pffnet._qt.correct.tools import NO_NUCLEUS, Finish, Gesture, Later, Tool, ToolEdit
from napari_pffnet._qt.engine import Engine, Request
from napari_pffnet._qt.insight import Insight, Insights
from napari_pffnet._qt.layers.image_under import ELSEWHERE
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet._qt.layers.origin import model_origin
from napari_pffnet._qt.layers.planes import Part
from napari_pffnet.curate.change import OperationError
from napari_pffnet.curate.placing import TAKEN, place, redraw

if TYPE_CHECKING:
    from napari_pffnet.segment import FoundNucleus, Pointer

Box = tuple[float, float, float, float]
NO_IMAGE = "No image lies under these labels pixel by pixel; open the image that they were drawn on."
NOT_SEEN = "The network sees no nucleus there; try a box around it, or draw its outline."
LOOKING = "Looking at this part of the image…"
SMALLEST_BOX = 2


class KeptFeatures(NamedTuple):
    """Features of an image without a run: the pixels (`Image.data`) and settings that they were computed of."""

    data: Any
    request: Request
    pointer: Pointer

    def holds(self, image: Image, wanted: Request) -> bool:
        """Whether they are those that a request for an image would give."""
        return self.data is image.data and _settings(self.request) == _settings(wanted)


class PointTools:
    """Makes the tools.

    Parameters
    ----------
    insights : Insights
        Knows the images and what runs have found in them.
    engine : Engine
        Makes pointers for images without a run.
    request : callable
        Gives the run of a part of an image as the user has set it: model, device, scale.
    background : Background
        Where features are computed that are not kept.
    replace : callable
        Whether new nuclei are painted over their neighbours.
    """

    def __init__(
        self,
        insights: Insights,
        engine: Engine,
        request: Callable[[Image, Part], Request],
        background: Background,
        replace: Callable[[], bool],
    ) -> None:
        self.insights, self.engine, self.request = insights, engine, request
        self.background, self.replace = background, replace
        self._looks: WeakKeyDictionary[Image, KeptFeatures] = WeakKeyDictionary()

    def tools(self) -> list[Tool]:
        """Return the tools."""
        return [
            Tool(
                "here",
                "W",
                "Find",
                "Click inside nuclei that are missing.",
                "Let the network find the nucleus at a point, also one that it had rejected.",
                ("click",),
                self._here,
                on_key="do",
            ),
            Tool(
                "box",
                "Q",
                "Box",
                "Drag a box around each nucleus.",
                "Let the network find the nucleus inside a box that you drag around it;\n"
                "with Shift its neighbours make room for it.",
                ("box",),
                self._in_box,
            ),
            Tool(
                "fit",
                "T",
                "Fit",
                "Click nuclei with a poor outline.",
                "Redraw the nucleus as the network sees it inside its box; it keeps its id.",
                ("click",),
                self._fit,
                on_key="do",
            ),
        ]

    def _here(self, plane: LabelPlane, gesture: Gesture) -> ToolEdit | str | Later:
        y, x = (float(value) for value in gesture.points[0])
        if not _inside((y, x), plane):
            return NO_NUCLEUS
        if plane.id_at(gesture.points[0]) and not self._replaces(gesture):
            raise OperationError(TAKEN)
        around = (y - 0.5, x - 0.5, y + 0.5, x + 0.5)
        return self._ask(plane, around, lambda pointer: pointer.nucleus_at(y, x), self._placing(gesture))

    def _in_box(self, plane: LabelPlane, gesture: Gesture) -> ToolEdit | str | Later:
        (y0, x0), (y1, x1) = gesture.points + 0.5
        height, width = plane.pixels.shape
        box = (max(float(y0), 0), max(float(x0), 0), min(float(y1), height), min(float(x1), width))
        if box[2] - box[0] < SMALLEST_BOX or box[3] - box[1] < SMALLEST_BOX:
            return "Drag a box from one corner of the nucleus to the opposite one."
        return self._ask(plane, box, lambda pointer: pointer.nucleus_in(box), self._placing(gesture))

    def _fit(self, plane: LabelPlane, gesture: Gesture) -> ToolEdit | str | Later:
        label = plane.id_at(gesture.points[0])
        if label == 0:
            return NO_NUCLEUS
        rows, columns = np.nonzero(plane.pixels == label)
        box = (float(rows.min()), float(columns.min()), float(rows.max() + 1), float(columns.max() + 1))

        def seen(pointer: Pointer) -> FoundNucleus | None:
            from napari_pffnet.segment.pointer import LEAST_SCORE

            found = pointer.nucleus_in(box)
            return found if found is not None and found.score >= LEAST_SCORE else None

        def redrawn(now: LabelPlane, found: FoundNucleus) -> ToolEdit:
            return ToolEdit(redraw(now.pixels, label, found.indices), f"Nucleus {label} redrawn")

        return self._ask(plane, box, seen, redrawn)

    def _placing(self, gesture: Gesture) -> Callable[[LabelPlane, FoundNucleus], ToolEdit]:
        """Return what puts a nucleus among the others."""

        def placed(plane: LabelPlane, found: FoundNucleus) -> ToolEdit:
            change = place(plane.pixels, found.indices, replace=self._replaces(gesture), used_up_to=plane.used_up_to)
            made = continued(plane, change)
            return ToolEdit(made.change, made.name.rstrip(","), made=made.label)

        return placed

    def _replaces(self, gesture: Gesture) -> bool:
        return gesture.shift or self.replace()

    def _ask(
        self,
        plane: LabelPlane,
        box: Box,
        find: Callable[[Pointer], FoundNucleus | None],
        edit: Callable[[LabelPlane, FoundNucleus], ToolEdit],
    ) -> ToolEdit | str | Later:
        """Answer at once from kept features; else compute those around the box first, in the background."""
        under = self.insights.image_under(plane)
        if under is None:
            other = self.insights.image_elsewhere(plane)
            return ELSEWHERE.format(other.name) if other is not None else NO_IMAGE
        image, wanted = under[0], self.request(under[0], under[1].part)
        pointer, model = self._known(plane, image, wanted)

        def answer(now: LabelPlane, pointer: Pointer) -> ToolEdit | str:
            found = find(pointer)
            if found is None:
                return NOT_SEEN
            made = edit(now, found)
            text = f"{made.text}: fit {found.quality:.2f}, score {found.score:.2f}."
            return replace(made, text=text, origin=f"{model_origin(model)}, pointed at")

        if pointer is not None and pointer.ready(box):
            return answer(plane, pointer)
        return Later(LOOKING, lambda ready: self._prepare(image, wanted, pointer, box, answer, ready))

    def _prepare(
        self,
        image: Image,
        request: Request,
        known: Pointer | None,
        box: Box,
        answer: Callable[[LabelPlane, Pointer], ToolEdit | str],
        ready: Callable[[Finish], None],
    ) -> None:
        data = image.data

        def prepared(_report: object) -> Pointer:
            pointer = known or self.engine.pointer(request)
            pointer.prepare(box)
            return pointer

        def done(pointer: Pointer) -> None:
            if known is None:
                self._looks[image] = KeptFeatures(data, request, pointer)
            ready(lambda now: answer(now, pointer))

        def failed(error: Exception) -> None:
            def say(_now: LabelPlane) -> str:
                raise OperationError(str(error))

            ready(say)

        self.background(
            f"PFFNet: {image.name}",
            prepared,
            done=done,
            failed=failed,
        )

    def _known(self, plane: LabelPlane, image: Image, wanted: Request) -> tuple[Pointer | None, str]:
        """Return the pointer of the run made on the plane, or of an earlier look, if any; and the model's name."""
        insight = self.insights.of(plane.layer, plane)
        if isinstance(insight, Insight):
            return insight.outcome.pointer, insight.outcome.request.model
        look = self._looks.get(image)
        return look.pointer if look and look.holds(image, wanted) else None, wanted.model


def _settings(request: Request) -> tuple[object, ...]:
    plane = request.plane
    return plane.part, plane.position, plane.channel, request.model, request.device, request.config


def _inside(point: tuple[float, float], plane: LabelPlane) -> bool:
    height, width = plane.pixels.shape
    return bool(0 <= round(point[0]) < height and 0 <= round(point[1]) < width)
