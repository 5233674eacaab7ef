"""The step *Segment*: from an image layer to ``nuclei`` and ``semantic`` layers. No Qt in here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.notifications import ErrorNotification, notification_manager, show_error
from psygnal import Signal

from napari_pffnet._qt.background import Background
from napari_pffnet._qt.connections import Connections
from napari_pffnet._qt.engine import Choices, Engine, LargeOutcome, LargeRequest, Outcome, Request
from napari_pffnet._qt.insight import Insights
from napari_pffnet._qt.layers.axes import level_count, level_factors
from napari_pffnet._qt.layers.origin import made_of, nuclei_of
from napari_pffnet._qt.layers.parts import Where, is_large, wanted_part
from napari_pffnet._qt.layers.planes import (
    PlaneError,
    Stack,
    on_screen,
    plane_count,
    show_channel,
    take_plane,
    take_stack,
)
from napari_pffnet._qt.segment.choice import ImageChoice
from napari_pffnet._qt.segment.large_run import LargeRuns
from napari_pffnet._qt.segment.protocol import View
from napari_pffnet._qt.segment.shown import CORRECTED, ShownResults, source
from napari_pffnet._qt.segment.stack_run import StackOutcome, StackRequest, run_stack
from napari_pffnet._qt.segment.summary import short
from napari_pffnet.config import SegmentConfig
from napari_pffnet.io.errors import Cancelled

NO_IMAGE = "Open an image, or take one from File › Open Sample › PFFNet."
STARTING = "Starting PyTorch…"
ON_DISK = "Large results are kept on disk: press Segment to apply this."
NOT_KEPT = "What was found in this image is not kept: press Segment to apply this."
ELSEWHERE = "What is kept was found on another slice: press Segment to apply this here."
CLOSED = "Stopped: '{}' was closed."
REPLACED = "Not shown: '{}' was given other pixels meanwhile. Press Segment again."


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

    #: The user has asked for a run.
    starting = Signal()

    def __init__(
        self, viewer: ViewerModel, view: View, engine: Engine, background: Background, insights: Insights | None = None
    ) -> None:
        self.viewer, self.view, self.engine, self.background = viewer, view, engine, background
        self.insights = insights or Insights(viewer)
        self._ready: bool = False
        self._running: bool = False
        self._in_work: Image | None = None
        self._waiting: Image | None = None
        self._cancel = threading.Event()
        self.choice = ImageChoice(viewer, view, self._image_changed)
        self.shown = ShownResults(viewer, view, engine, background, self.insights, lambda: self._running)
        self.large = LargeRuns(viewer, view)
        self._connections = Connections(
            (view.run_requested, self.run),
            (view.cancel_requested, self.cancel),
            (view.thresholds_changed, self.recompose),
            (view.outlines_changed, self._draw_outlines),
            (viewer.layers.events.removed, self._forget),
        )
        self.choice.refresh()
        self._find_choices()

    def _forget(self, event: Any) -> None:
        if isinstance(event.value, Image):
            self.shown.forget(event.value)
            if event.value is self._in_work:
                self.cancel()

    def close(self) -> None:
        """Let go of the viewer and stop a run."""
        self._cancel.set()
        self.choice.close()
        self._connections.close()

    def run(self) -> None:
        """Segment what the user wants of the chosen image: a plane or all, the whole or a part."""
        image, level = self.choice.image, self.view.options().level
        if image is None or self._running or not self._ready:
            return
        self.starting.emit()
        if level is None and level_count(image) > 1:
            self._find_level(image)
        else:
            self._segment(image, level or 0)

    def run_soon(self, image: Image) -> None:
        """Segment an image as soon as nothing else runs, unless it is gone or has nuclei by then; only one waits."""
        self._waiting = image
        self._run_waiting()

    def _run_waiting(self) -> None:
        image = self._waiting
        if not self._ready or self._running or image is None:
            return
        self._waiting = None
        if image in self.viewer.layers and not nuclei_of(self.viewer, image):
            self.choice.choose(image)
            self._segment(image, 0, "whole")

    def _find_level(self, image: Image) -> None:
        """Let the engine choose the level of a pyramid, then segment."""
        try:
            levels = self.choice.levels(image)
            request = self.choice.request(image, levels[0].part)
        except PlaneError as error:
            show_error(str(error))
            return
        cancel = self._start(request.model, image)
        self.view.set_status("Looking at the size of the nuclei…")
        self.background(
            f"PFFNet: {image.name}",
            lambda _report: self.engine.level(request, levels),
            done=lambda level: self._found_level(image, level, cancel),
            failed=lambda error: self._fail(error, image),
            cancel=self.cancel,
        )

    def _found_level(self, image: Image, level: int, cancel: threading.Event) -> None:
        self._set_running(False)
        if cancel.is_set():
            self.view.set_status(self._stopped(image))
            self._run_waiting()
        else:
            self._segment(image, level)

    def _segment(self, image: Image, level: int, where: Where | None = None) -> None:
        """Segment a level of an image: where the view says, or all of it."""
        try:
            request = self._wanted(image, level, where or self.view.options().where)
        except PlaneError as error:
            self.view.set_status(f"Not done: {error}")
            show_error(str(error))
            self._run_waiting()
            return
        if isinstance(request, LargeRequest):
            self._run_large(image, request)
        elif request is not None:
            self._run(image, request)
        else:
            self.view.set_status(self._idle())

    def _run(self, image: Image, request: Request | StackRequest) -> None:
        cancel = self._start(request.model, image)
        before, data = self.viewer.layers.selection.active, image.data
        self.background(
            f"PFFNet: {image.name}",
            lambda report: self._work(request, report, cancel),
            done=lambda outcome: self._finish(image, outcome, cancel, before, image.data is data),
            failed=lambda error: self._fail(error, image),
            progressed=lambda done, total: self._progress(done, total, _planes_of(request)),
            cancel=self.cancel,
        )

    def _run_large(self, image: Image, request: LargeRequest) -> None:
        cancel = self._start(request.model, image)
        self.large.begin(image, request, source(image, request))
        self.background(
            f"PFFNet: {image.name}",
            lambda report: self.large.work(self.engine, request, report, cancel.is_set),
            done=lambda outcome: self._finish_large(image, outcome),
            failed=lambda error: self._fail_large(image, request, error),
            progressed=lambda done, total: self._progress_large(image, request, done, total),
            cancel=self.cancel,
        )

    def _start(self, model: str, image: Image | None = None) -> threading.Event:
        """Show that a run begins; it is stopped if `image` is removed."""
        self._cancel, self._in_work = threading.Event(), image
        self._set_running(True)
        self.view.set_status(f"Segmenting with {short(model)}…")
        return self._cancel

    def _wanted(self, image: Image, level: int, where: Where) -> Request | StackRequest | LargeRequest | None:
        """Return the run that the view asks for, on a level; None if the user does not want it after all."""
        options, dims = self.view.options(), self.viewer.dims
        part, inside = wanted_part(self.viewer, image, where, level)
        factors = level_factors(image, level)[on_screen(image, dims.order)]
        config = _on_level(options.config, float(factors.max()))
        several = options.all_planes and plane_count(image, dims.order) > 1
        take = take_stack if several else take_plane
        taken = take(image, dims.point, dims.order, options.channel, part, inside)
        if is_large(part):
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

    def recompose(self) -> None:
        """Apply the thresholds to the selected result, else the chosen image's; the network is not run."""
        image = self._of_the_selected() or self.choice.image
        if image is None or self._running:
            return
        if image not in self.shown and self.large.shows(image):
            self.view.set_status(ON_DISK)
        elif image not in self.shown and nuclei_of(self.viewer, image):
            self.view.set_status(NOT_KEPT)
        elif self.shown.is_elsewhere(image, self.choice.slice_in_view(image)):
            self.view.set_status(ELSEWHERE)
        elif (layer := self.shown.corrected(image)) is not None:
            self.view.set_status(CORRECTED.format(layer.name))
        else:
            self.shown.recompose(image)

    def _of_the_selected(self) -> Image | None:
        """Return the image in which the selected nuclei were found, if its result is kept."""
        active = self.viewer.layers.selection.active
        images = [layer for layer in self.viewer.layers if isinstance(layer, Image) and layer in self.shown]
        return next((image for image in images if isinstance(active, Labels) and made_of(active, image)), None)

    def refresh_models(self, old: str = "", new: str = "") -> None:
        """Offer the models that there are now; the chosen one stays chosen, also under a new name."""
        renamed = new if old and old == self.view.options().model else None
        self.background(
            "PFFNet: models",
            lambda _report: self.engine.choices(),
            done=lambda choices: self.view.set_choices(choices, renamed),
            failed=lambda error: self.view.set_status(f"Models not found: {error}"),
        )

    def _draw_outlines(self) -> None:
        outlines = self.view.options().outlines
        self.shown.draw_outlines(outlines)
        self.large.draw_outlines(outlines)

    def _finish(
        self,
        image: Image,
        outcome: Outcome | StackOutcome,
        cancel: threading.Event,
        before: Layer | None,
        same: bool = True,
    ) -> None:
        self._set_running(False)
        if image not in self.viewer.layers or (cancel.is_set() and not isinstance(outcome, StackOutcome)):
            self.view.set_status(self._stopped(image))
        elif not same:
            self.view.set_status(REPLACED.format(image.name))
        else:
            now = self.viewer.layers.selection.active
            in_use = isinstance(now, Labels) and _is_in_use(now, image, now is not before)
            if not in_use:
                show_channel(self.viewer.dims, image, outcome.request.plane.channel)
            self.shown.add(image, outcome, quietly=in_use)
        self._run_waiting()

    def _stopped(self, image: Image) -> str:
        return "Stopped." if image in self.viewer.layers else CLOSED.format(image.name)

    def _progress_large(self, image: Image, request: LargeRequest, done: int, total: int) -> None:
        self.view.set_progress(done, total)
        text = self.large.progressed(image, request, done, total, self.view.options().outlines)
        if not self._cancel.is_set():
            self.view.set_status(text)

    def _finish_large(self, image: Image, outcome: LargeOutcome) -> None:
        self._set_running(False)
        self.view.set_status(self.large.finish(image, outcome, self.view.options().outlines))
        self._run_waiting()

    def _fail_large(self, image: Image, request: LargeRequest, error: Exception) -> None:
        from napari_pffnet.segment.large_job import OtherWork

        if isinstance(error, OtherWork):
            self._set_running(False)
            self.view.set_status(f"Not done: {error.reason}.")
            if self.view.ask(f"{error.reason}. Give up what was done there, and start anew?"):
                self._run_large(image, replace(request, restart=True))
            return
        self.large.failed(image, request, error)
        self._fail(error)
        if isinstance(error, Cancelled):
            self.view.set_status(f"{self._stopped(image)} Segment goes on from here, also after a restart.")

    def _fail(self, error: Exception, image: Image | None = None) -> None:
        self._set_running(False)
        if isinstance(error, Cancelled):
            self.view.set_status(self._stopped(image) if image else "Stopped.")
        else:
            self.view.set_status(f"Not done: {error}")
            if isinstance(error, (ValueError, OSError)):
                show_error(str(error))
            else:
                notification_manager.dispatch(ErrorNotification(error))
        self._run_waiting()

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
        self._in_work = self._in_work if running else None
        self.view.set_state(ready=self._ready and self.choice.image is not None, running=running)

    def _find_choices(self) -> None:
        self.view.set_status(STARTING)
        self.background(
            "PFFNet: starting",
            lambda _report: self.engine.choices(),
            done=self._offer,
            failed=self._fail,
        )

    def _offer(self, choices: Choices) -> None:
        self._ready = True
        self.view.set_choices(choices)
        self.view.set_status(self._idle())
        self._set_running(False)
        self._run_waiting()

    def _idle(self) -> str:
        return "Ready." if self.choice.image is not None else NO_IMAGE

    def _image_changed(self, another: bool) -> None:
        if another and self._ready and not self._running:
            self.view.set_status(self._idle())
        self._set_running(self._running)


def _is_in_use(layer: Labels, image: Image, chosen: bool) -> bool:
    """Whether somebody works on a selected layer, `chosen` while a run was under way, rather than waits for results."""
    ours = made_of(layer, image)
    return ours is False or (ours is None and (chosen or layer.mode != "pan_zoom"))


def _on_level(config: SegmentConfig, factor: float) -> SegmentConfig:
    """Return the configuration for a level of a pyramid; the diameter is given in pixels of the largest one."""
    return config.model_copy(update={"diameter": config.diameter / factor}) if config.diameter else config


def _planes_of(request: Request | StackRequest) -> int:
    return len(request.plane.places) if isinstance(request, StackRequest) else 1
