"""The results that are shown, one of each image, and their thresholds. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from psygnal import Signal

from napari_pffnet._qt.background import Background
from napari_pffnet._qt.engine import Engine, LargeRequest, Outcome, Request
from napari_pffnet._qt.insight import Insights
from napari_pffnet._qt.layers.covering import uncover
from napari_pffnet._qt.layers.origin import image_facts, model_origin
from napari_pffnet._qt.layers.planes import Plane, Stack
from napari_pffnet._qt.layers.selection import keep_selection
from napari_pffnet._qt.segment.protocol import THRESHOLDS, View
from napari_pffnet._qt.segment.results import ResultLayers, about_image
from napari_pffnet._qt.segment.stack_run import StackOutcome, StackRequest
from napari_pffnet._qt.segment.summary import summary
from napari_pffnet.config import SegmentConfig

if TYPE_CHECKING:
    from napari_pffnet.segment.prediction import Segmentation

CORRECTED = "'{}' holds your corrections and stays as it is: press Segment for another result beside it."
TOO_LARGE = "The stack is too large to keep what was found: press Segment to apply this."
MB = 1e6


@dataclass
class _Shown:
    """`pixels`: those of the image layer in which it was found."""

    outcome: Outcome | StackOutcome
    layers: ResultLayers
    pixels: Any


class ShownResults:
    """Shows outcomes in layers, and applies other thresholds to them without the network.

    Parameters
    ----------
    viewer : ViewerModel
        Where layers are added.
    view : View
        Has the thresholds; says how it went.
    engine : Engine
        Knows how much memory it keeps.
    background : Background
        Where many planes are composed.
    insights : Insights
        Is told what runs have found.
    running : callable
        Whether a run is under way: results then wait.
    """

    #: Nuclei of a run are shown, and nobody works in another layer: their layer.
    found = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        view: View,
        engine: Engine,
        background: Background,
        insights: Insights,
        running: Callable[[], bool],
    ) -> None:
        self.viewer, self.view, self.engine, self.background = viewer, view, engine, background
        self.insights, self.running = insights, running
        self._shown: WeakKeyDictionary[Image, _Shown] = WeakKeyDictionary()
        self._composing = False
        self._next: Image | None = None
        self._uncovered = ""

    def __contains__(self, image: Image) -> bool:
        return image in self._shown and self._shown[image].pixels is image.data

    def add(self, image: Image, outcome: Outcome | StackOutcome, quietly: bool = False) -> None:
        """Show an outcome; it takes the place of an earlier one of the same planes and area.

        Images that cover its image are hidden. `quietly`: they are not, and the selected layer stays selected.
        """
        hidden = [] if quietly else uncover(self.viewer, image)
        self._uncovered = f" · hid {', '.join(hidden)}, which lay over it" if hidden else ""
        with keep_selection(self.viewer) if quietly else nullcontext():
            self._add(image, outcome)
        self._uncovered = ""
        layer = self._shown[image].layers.nuclei
        if not quietly and layer is not None:
            self.found.emit(layer)
            if layer not in self.viewer.layers:  # its nuclei are in a project's annotation now
                self.forget(image)

    def _add(self, image: Image, outcome: Outcome | StackOutcome) -> None:
        for each in outcome.outcomes if isinstance(outcome, StackOutcome) else [outcome]:
            self.insights.remember(image, each)
        before = self._shown.get(image)
        if before and _replaces(outcome, before):
            before.outcome, before.layers.plane, before.pixels = outcome, outcome.request.plane, image.data
        else:
            plane, cut_short = outcome.request.plane, isinstance(outcome, StackOutcome) and outcome.error is not None
            complete = plane.inside is None and not cut_short
            layers = ResultLayers(self.viewer, plane, complete, about_image(self.viewer, image))
            self._shown[image] = _Shown(outcome, layers, image.data)
        if isinstance(outcome, StackOutcome):
            self._show(self._shown[image], outcome.result, outcome.request.config, image)
            self._catch_up(image, outcome.request)
        else:
            self.recompose(image)

    def forget(self, image: Image) -> None:
        """Let go of an image's result; its layers stay. A stack's result would else keep the image in memory."""
        self._shown.pop(image, None)

    def is_elsewhere(self, image: Image, here: Mapping[str, int]) -> bool:
        """Whether an image's result is that of one slice, and not of this one: index by the name of the axis."""
        shown = self._shown.get(image)
        if shown is None or isinstance(shown.outcome, StackOutcome):
            return False
        return any(shown.layers.plane.position.get(name, i) != i for name, i in here.items())

    def corrected(self, image: Image) -> Labels | None:
        """Return the layer of an image's result, if the user has painted in it or accepted some."""
        return self._shown[image].layers.corrected() if image in self else None

    def recompose(self, image: Image) -> None:
        """Apply the thresholds to an image's result; the network is not run."""
        shown, config = self._shown.get(image), self.view.options().config
        if not shown or image not in self or self.running():
            return
        if isinstance(shown.outcome, StackOutcome):
            self._recompose_stack(image, shown, shown.outcome)
        else:
            self._show(shown, shown.outcome.compose(config), config, image)

    def draw_outlines(self, outlines: bool) -> None:
        """Switch between outlines and filled nuclei."""
        for shown in self._shown.values():
            shown.layers.draw_outlines(outlines)

    def _recompose_stack(self, image: Image, shown: _Shown, outcome: StackOutcome) -> None:
        """Compose many planes in the background; what is asked for meanwhile comes after that."""
        if not outcome.outcomes:
            self.view.set_status(TOO_LARGE)
            return
        self._next = image if self._composing else None
        if self._composing:
            return
        self._composing = True
        options = self.view.options()

        def done(result: Segmentation) -> None:
            self._composing = False
            current = self._shown.get(image) is shown and shown.outcome is outcome and not self.running()
            if current and (corrected := shown.layers.corrected()) is not None:
                self.view.set_status(CORRECTED.format(corrected.name))
            elif current:
                self._show(shown, result, options.config, image)
            if self._next is not None:
                self.recompose(self._next)

        self.background(
            "PFFNet: thresholds",
            lambda _report: outcome.compose(options.config, options.linked),
            done=done,
            failed=self._not_composed,
        )

    def _not_composed(self, error: Exception) -> None:
        self._composing, self._next = False, None
        self.view.set_status(f"Thresholds not applied: {error}")

    def _catch_up(self, image: Image, request: StackRequest) -> None:
        """Apply thresholds that were changed while a stack was worked on."""
        options = self.view.options()
        now, then = ([getattr(config, name) for name in THRESHOLDS] for config in (options.config, request.config))
        if (now, options.linked) != (then, request.linked):
            self.recompose(image)

    def _show(self, shown: _Shown, result: Segmentation, config: SegmentConfig, image: Image) -> None:
        outcome = shown.outcome
        kept = shown.layers.show(result, self.view.options().outlines, source(image, outcome.request, config))
        text = summary(len(result.table), outcome, kept)
        self.view.set_status(f"{text} · {self.engine.memory() / MB:.0f} MB kept{self._uncovered}")


def source(
    image: Image, request: Request | StackRequest | LargeRequest, config: SegmentConfig | None = None
) -> dict[str, Any]:
    """Say where a result comes from, for its layers' metadata."""
    return {
        **image_facts(image),
        "model": request.model,
        "origin": model_origin(request.model),
        "position": request.plane.position,
        "channel": request.plane.channel,
        "place": request.plane.place.note(request.plane.shape),
        "partial": request.plane.inside is not None,
        "config": (config or request.config).model_dump(mode="json"),
    }


def _replaces(outcome: Outcome | StackOutcome, before: _Shown) -> bool:
    """Whether a result takes the place of the one shown: of the same planes and area, and not cut short."""
    now, then = outcome.request.plane, before.layers.plane
    if type(outcome) is not type(before.outcome) or now.position != then.position:
        return False
    return _same_area(now, then) and not (isinstance(outcome, StackOutcome) and outcome.error)


def _same_area(now: Plane | Stack, then: Plane | Stack) -> bool:
    if now.inside is None or then.inside is None:
        return now.inside is then.inside
    return now.part == then.part and np.array_equal(now.inside, then.inside)
