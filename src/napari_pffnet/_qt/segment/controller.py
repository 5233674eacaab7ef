"""The step *Segment*: from an image layer to ``nuclei`` and ``semantic`` layers. No Qt in here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import ErrorNotification, notification_manager, show_error

from napari_pffnet._qt.background import Background
from napari_pffnet._qt.engine import Choices, Engine, LargeOutcome, LargeRequest, Outcome, Request
from napari_pffnet._qt.insight import Insights
from napari_pffnet._qt.layers.origin import model_origin
from napari_pffnet._qt.layers.parts import wanted_part
from napari_pffnet._qt.layers.planes import (
    Array,
    Part,
    Plane,
    PlaneError,
    Stack,
    channels,
    describe,
    is_image,
    level_count,
    level_factors,
    level_titles,
    on_screen,
    pixel_size,
    plane_count,
    take_plane,
    take_stack,
    whole,
)
from napari_pffnet._qt.segment.large_run import LargeRuns, is_large
from napari_pffnet._qt.segment.protocol import View
from napari_pffnet._qt.segment.results import ResultLayers
from napari_pffnet._qt.segment.stack_run import StackOutcome, StackRequest, run_stack
from napari_pffnet._qt.segment.summary import short, summary
from napari_pffnet.config import SegmentConfig

if TYPE_CHECKING:
    from napari_pffnet.segment.prediction import Segmentation

NO_IMAGE = "Open an image, or take one from File › Open Sample › PFFNet."
STARTING = "Starting PyTorch…"
TOO_LARGE = "The stack is too large to keep what was found: press Segment to apply this."
ON_DISK = "Large results are kept on disk: press Segment to apply this."
MB = 1e6


@dataclass
class _Shown:
    outcome: Outcome | StackOutcome
    layers: ResultLayers


class SegmentController:
    """Connects viewer, view and engine.

    Parameters
    ----------
    viewer : ViewerModel
        Its image layers are offered; results are added to it.
    view : View
        Shows the state and tells what the user wants.
    engine : Engine
        Finds models and devices and runs the network.
    background : Background
        Where long work runs.
    insights : Insights, optional
        Is told what runs have found.
    """

    def __init__(
        self, viewer: ViewerModel, view: View, engine: Engine, background: Background, insights: Insights | None = None
    ) -> None:
        self.viewer, self.view, self.engine, self.background = viewer, view, engine, background
        self.insights = insights or Insights(viewer)
        self._images: list[Image] = []
        self._image: Image | None = None
        self._shown: WeakKeyDictionary[Image, _Shown] = WeakKeyDictionary()
        self.large = LargeRuns(viewer, view)
        self._cancel = threading.Event()
        self._ready = self._running = self._composing = self._again = False
        self._connections = self._connect()
        self._refresh_images()
        self._find_choices()

    def close(self) -> None:
        """Let go of the viewer and stop a run."""
        self._cancel.set()
        for signal, slot in self._connections:
            signal.disconnect(slot)

    def run(self) -> None:
        """Segment what the user wants of the chosen image: a plane or all, the whole or a part."""
        if self._image is None or self._running:
            return
        level = self.view.options().level
        if level is None and level_count(self._image) > 1:
            self._find_level(self._image)
        else:
            self._segment(self._image, level or 0)

    def _find_level(self, image: Image) -> None:
        """Let the engine choose the level of a pyramid, then segment."""
        try:
            shown = on_screen(image, self.viewer.dims.order)
            parts = [whole(image, shown, level) for level in range(level_count(image))]
            levels, request = [self._plane(image, part) for part in parts], self.request(image, parts[0])
        except PlaneError as error:
            show_error(str(error))
            return
        size = pixel_size(image)
        cancel = self._start(request.model)
        self.view.set_status("Looking at the size of the nuclei…")
        self.background(
            f"PFFNet: {image.name}",
            lambda _report: self.engine.level(request, levels, size),
            done=lambda level: self._found_level(image, level, cancel),
            failed=self._fail,
            progressed=lambda _done, _total: None,
            cancel=self.cancel,
        )

    def _found_level(self, image: Image, level: int, cancel: threading.Event) -> None:
        self._set_running(False)
        if cancel.is_set():
            self.view.set_status("Stopped.")
        else:
            self._segment(image, level)

    def _segment(self, image: Image, level: int) -> None:
        try:
            request = self._wanted(image, level)
        except PlaneError as error:
            self.view.set_status(f"Not done: {error}")
            show_error(str(error))
            return
        if isinstance(request, LargeRequest):
            self._run_large(image, request)
        elif request is not None:
            self._run(image, request)
        else:
            self.view.set_status(self._idle())

    def _run(self, image: Image, request: Request | StackRequest) -> None:
        cancel = self._start(request.model)
        self.background(
            f"PFFNet: {image.name}",
            lambda report: self._work(request, report, cancel),
            done=lambda outcome: self._finish(image, outcome, cancel),
            failed=self._fail,
            progressed=lambda done, total: self._progress(done, total, _planes_of(request)),
            cancel=self.cancel,
        )

    def _run_large(self, image: Image, request: LargeRequest) -> None:
        cancel = self._start(request.model)
        self.large.begin(image, request, self._source(image.name, request))
        self.background(
            f"PFFNet: {image.name}",
            lambda report: self.large.work(self.engine, request, report, cancel.is_set),
            done=lambda outcome: self._finish_large(image, outcome),
            failed=lambda error: self._fail_large(image, request, error),
            progressed=lambda done, total: self._progress_large(image, done, total),
            cancel=self.cancel,
        )

    def _start(self, model: str) -> threading.Event:
        self._cancel = threading.Event()
        self._set_running(True)
        self.view.set_status(f"Segmenting with {short(model)}…")
        return self._cancel

    def request(self, image: Image, part: Part) -> Request:
        """Return the run of a part of an image as the view has it now; PlaneError if no plane of it is in view."""
        options = self.view.options()
        return Request(self._plane(image, part), options.model, options.device, options.config)

    def _wanted(self, image: Image, level: int) -> Request | StackRequest | LargeRequest | None:
        """Return the run that the view asks for, on a level; None if the user does not want it after all."""
        options, dims = self.view.options(), self.viewer.dims
        part, inside = wanted_part(self.viewer, image, options.where, level)
        config = _on_level(options.config, float(level_factors(image, level).max()))
        several = options.all_planes and plane_count(image, dims.order) > 1
        take = take_stack if several else take_plane
        taken = take(image, dims.point, dims.order, options.channel, part, inside)
        if is_large(taken):
            return self.large.request(image, taken, replace(options, config=config))
        if isinstance(taken, Stack):
            return StackRequest(taken, options.model, options.device, config, options.linked)
        return Request(taken, options.model, options.device, config)

    def _work(
        self, request: Request | StackRequest, report: Callable[[int, int], None], cancel: threading.Event
    ) -> Outcome | StackOutcome:
        if isinstance(request, StackRequest):
            return run_stack(self.engine, request, report, cancel.is_set)
        return self.engine.run(request, report, cancel.is_set)

    def cancel(self) -> None:
        """Stop the run at the next tile; finished planes of a stack are kept, of a large image finished tiles."""
        if self._running:
            self._cancel.set()
            self.view.set_status("Stopping…")

    def use_model(self, name: str) -> None:
        """Choose a model for the next run; one that is new is offered from now on."""
        self.view.choose_model(name)

    def recompose(self) -> None:
        """Apply the thresholds to the chosen image's result; the network is not run."""
        image, config = self._image, self.view.options().config
        shown = self._shown.get(image) if image else None
        if not image or self._running:
            return
        if not shown:
            if self.large.shows(image):
                self.view.set_status(ON_DISK)
            return
        if isinstance(shown.outcome, StackOutcome):
            self._recompose_stack(image.name, shown, shown.outcome)
        else:
            self._show(shown, shown.outcome.compose(config), config, image.name)

    def _recompose_stack(self, image: str, shown: _Shown, outcome: StackOutcome) -> None:
        """Compose many planes in the background; what is asked for meanwhile comes after that."""
        if not outcome.outcomes:
            self.view.set_status(TOO_LARGE)
            return
        self._again = self._composing
        if self._composing:
            return
        self._composing = True
        options = self.view.options()

        def done(result: Segmentation) -> None:
            self._composing = False
            if shown.outcome is outcome and not self._running:
                self._show(shown, result, options.config, image)
            if self._again:
                self.recompose()

        self.background(
            "PFFNet: thresholds",
            lambda _report: outcome.compose(options.config, options.linked),
            done=done,
            failed=self._not_composed,
            progressed=lambda _done, _total: None,
            cancel=lambda: None,
        )

    def _not_composed(self, error: Exception) -> None:
        self._composing = self._again = False
        self.view.set_status(f"Thresholds not applied: {error}")

    def refresh_models(self, old: str = "", new: str = "") -> None:
        """Offer the models that there are now; the chosen one stays chosen, also under a new name."""
        renamed = new if old and old == self.view.options().model else None
        self.background(
            "PFFNet: models",
            lambda _report: self.engine.choices(),
            done=lambda choices: self.view.set_choices(choices, renamed),
            failed=lambda error: self.view.set_status(f"Models not found: {error}"),
            progressed=lambda _done, _total: None,
            cancel=lambda: None,
        )

    def _draw_outlines(self) -> None:
        outlines = self.view.options().outlines
        for shown in self._shown.values():
            shown.layers.draw_outlines(outlines)
        self.large.draw_outlines(outlines)

    def _finish(self, image: Image, outcome: Outcome | StackOutcome, cancel: threading.Event) -> None:
        self._set_running(False)
        if cancel.is_set() and not isinstance(outcome, StackOutcome):
            self.view.set_status("Stopped.")
            return
        for each in outcome.outcomes if isinstance(outcome, StackOutcome) else [outcome]:
            self.insights.remember(image, each)
        before = self._shown.get(image)
        if before and _replaces(outcome, before):
            before.outcome, before.layers.plane = outcome, outcome.request.plane
        else:
            self._shown[image] = _Shown(outcome, ResultLayers(self.viewer, outcome.request.plane))
        if isinstance(outcome, StackOutcome):
            self._show(self._shown[image], outcome.result, outcome.request.config, image.name)
            self._catch_up(image, outcome.request)
        else:
            config = self.view.options().config
            self._show(self._shown[image], outcome.compose(config), config, image.name)

    def _progress_large(self, image: Image, done: int, total: int) -> None:
        self.view.set_progress(done, total)
        text = self.large.progressed(image, done, total, self.view.options().outlines)
        if not self._cancel.is_set():
            self.view.set_status(text)

    def _finish_large(self, image: Image, outcome: LargeOutcome) -> None:
        self._set_running(False)
        self.view.set_status(self.large.finish(image, outcome, self.view.options().outlines))

    def _fail_large(self, image: Image, request: LargeRequest, error: Exception) -> None:
        from napari_pffnet.segment import Cancelled
        from napari_pffnet.segment.large import OtherWork

        if isinstance(error, OtherWork):
            self._set_running(False)
            self.view.set_status(f"Not done: {error.reason}.")
            if self.view.ask(f"{error.reason}. Give up what was done there, and start anew?"):
                self._run_large(image, replace(request, restart=True))
            return
        self._fail(error)
        if isinstance(error, Cancelled):
            self.view.set_status("Stopped. Segment goes on from here, also after a restart.")

    def _catch_up(self, image: Image, request: StackRequest) -> None:
        """Apply thresholds that were changed while a stack was worked on."""
        options = self.view.options()
        names = ("score_threshold", "mask_threshold", "overlap_threshold", "min_area")
        now, then = ([getattr(config, name) for name in names] for config in (options.config, request.config))
        if image is self._image and (now, options.linked) != (then, request.linked):
            self.recompose()

    def _show(self, shown: _Shown, result: Segmentation, config: SegmentConfig, image: str) -> None:
        outcome = shown.outcome
        source = self._source(image, outcome.request, config)
        kept = shown.layers.show(result, self.view.options().outlines, source)
        text = summary(len(result.table), outcome, kept)
        self.view.set_status(f"{text} · {self.engine.memory() / MB:.0f} MB kept")

    def _source(
        self, image: str, request: Request | StackRequest | LargeRequest, config: SegmentConfig | None = None
    ) -> dict[str, Any]:
        """Say where a result comes from."""
        return {
            "image": image,
            "model": request.model,
            "origin": model_origin(request.model),
            "position": request.plane.position,
            "config": (config or request.config).model_dump(mode="json"),
        }

    def _fail(self, error: Exception) -> None:
        from napari_pffnet.segment import Cancelled

        self._set_running(False)
        if isinstance(error, Cancelled):
            self.view.set_status("Stopped.")
            return
        self.view.set_status(f"Not done: {error}")
        if isinstance(error, (ValueError, OSError)):
            show_error(str(error))
        else:
            notification_manager.dispatch(ErrorNotification(error))

    def _progress(self, done: int, total: int, planes: int = 1) -> None:
        self.view.set_progress(done, total)
        if self._cancel.is_set():
            return
        if planes > 1:
            self.view.set_status(f"Segmenting: plane {min(done * planes // total + 1, planes)} of {planes}")
        elif total > 1:
            self.view.set_status(f"Segmenting: tile {min(done + 1, total)} of {total}")

    def _set_running(self, running: bool) -> None:
        self._running = running
        self.view.set_state(ready=self._ready and self._image is not None, running=running)

    def _find_choices(self) -> None:
        self.view.set_status(STARTING)
        self.background(
            "PFFNet: starting",
            lambda _report: self.engine.choices(),
            done=self._offer,
            failed=self._fail,
            progressed=lambda _done, _total: None,
            cancel=lambda: None,
        )

    def _offer(self, choices: Choices) -> None:
        self._ready = True
        self.view.set_choices(choices)
        self.view.set_status(self._idle())
        self._set_running(False)

    def _idle(self) -> str:
        return "Ready." if self._image is not None else NO_IMAGE

    def _connect(self) -> list[tuple[Any, Callable[..., None]]]:
        layers, dims, view = self.viewer.layers.events, self.viewer.dims.events, self.view
        pairs: list[tuple[Any, Callable[..., None]]] = [
            (layers.inserted, self._refresh_images),
            (layers.removed, self._refresh_images),
            (layers.reordered, self._refresh_images),
            (layers.renamed, self._refresh_images),
            (self.viewer.layers.selection.events.active, self._follow_active),
            (dims.current_step, self._update_facts),
            (dims.order, self._update_facts),
            (dims.ndisplay, self._update_facts),
            (view.run_requested, self.run),
            (view.cancel_requested, self.cancel),
            (view.image_chosen, self._choose),
            (view.thresholds_changed, self.recompose),
            (view.outlines_changed, self._draw_outlines),
        ]
        for signal, slot in pairs:
            signal.connect(slot)
        return pairs

    def _refresh_images(self, _event: Any = None) -> None:
        """Offer the image layers; keep the chosen one, else take the topmost."""
        self._images = [layer for layer in self.viewer.layers if is_image(layer)]
        active = self.viewer.layers.selection.active
        preferred = [self._image, active, *reversed(self._images)]
        self._select(next((layer for layer in preferred if layer in self._images), None))

    def _follow_active(self, _event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        if active in self._images:
            self._select(active)

    def _choose(self, index: int) -> None:
        self._select(self._images[index] if 0 <= index < len(self._images) else None)

    def _select(self, image: Image | None) -> None:
        changed = image is not self._image
        self._image = image
        self.view.set_images([layer.name for layer in self._images], self._images.index(image) if image else -1)
        if changed:
            self.view.set_channels(channels(image) if image else [])
            self.view.set_levels(level_titles(image) if image else [])
            if self._ready and not self._running:
                self.view.set_status(self._idle())
        self._update_facts()
        self.view.set_state(ready=self._ready and image is not None, running=self._running)

    def _update_facts(self, _event: Any = None) -> None:
        if self._image is None:
            self.view.set_facts("", None)
            self.view.set_planes(0)
            return
        self.view.set_planes(plane_count(self._image, self.viewer.dims.order))
        try:
            text = describe(self._image, self._plane(self._image))
        except PlaneError:
            text = "not in view"
        self.view.set_facts(text, pixel_size(self._image))

    def _plane(self, image: Image, part: Part | None = None, inside: Array | None = None) -> Plane:
        dims = self.viewer.dims
        return take_plane(image, dims.point, dims.order, self.view.options().channel, part, inside)


def _on_level(config: SegmentConfig, factor: float) -> SegmentConfig:
    """Return the configuration for a level of a pyramid; the diameter is given in pixels of the largest one."""
    return config.model_copy(update={"diameter": config.diameter / factor}) if config.diameter else config


def _planes_of(request: Request | StackRequest) -> int:
    return len(request.plane.places) if isinstance(request, StackRequest) else 1


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
