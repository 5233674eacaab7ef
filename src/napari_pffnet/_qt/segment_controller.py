"""The step *Segment*: from an image layer to ``nuclei`` and ``semantic`` layers. No Qt in here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import ErrorNotification, notification_manager, show_error

from napari_pffnet._qt.background import Background
from napari_pffnet._qt.engine import Choices, Engine, Outcome, Request
from napari_pffnet._qt.insight import Insights
from napari_pffnet._qt.origin import model_origin
from napari_pffnet._qt.planes import Channel, Plane, PlaneError, channels, describe, is_image, pixel_size, take_plane
from napari_pffnet._qt.results import ResultLayers
from napari_pffnet.config import SegmentConfig

NO_IMAGE = "Open an image, or take one from File › Open Sample › PFFNet."
STARTING = "Starting PyTorch…"
MB = 1e6


@dataclass(frozen=True)
class Options:
    """What the user has set."""

    model: str
    device: str
    channel: Channel
    config: SegmentConfig
    outlines: bool


class View(Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    run_requested: Any
    cancel_requested: Any
    image_chosen: Any
    thresholds_changed: Any
    outlines_changed: Any

    def options(self) -> Options:
        """Read all controls."""

    def set_choices(self, choices: Choices, model: str | None = None) -> None:
        """Offer models and devices; choose a model, or keep those chosen."""

    def choose_model(self, name: str) -> None:
        """Choose a model, offering it if it is new."""

    def set_images(self, names: list[str], chosen: int) -> None:
        """Offer images; `chosen` is -1 if there are none."""

    def set_channels(self, titles: list[tuple[str, Channel]]) -> None:
        """Offer channels; hidden if there are none."""

    def set_facts(self, text: str, pixel_size: float | None) -> None:
        """Tell what was found out about the image; µm per pixel where known."""

    def set_state(self, *, ready: bool, running: bool) -> None:
        """Enable Run, or show progress and Cancel."""

    def set_progress(self, done: int, total: int) -> None:
        """Show how far the run is."""

    def set_status(self, text: str) -> None:
        """Show one line."""


@dataclass
class _Shown:
    outcome: Outcome
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
        self._cancel = threading.Event()
        self._ready = self._running = False
        self._connections = self._connect()
        self._refresh_images()
        self._find_choices()

    def close(self) -> None:
        """Let go of the viewer and stop a run."""
        self._cancel.set()
        for signal, slot in self._connections:
            signal.disconnect(slot)

    def run(self) -> None:
        """Segment the plane in view of the chosen image."""
        if self._image is None or self._running:
            return
        try:
            image, request = self._image, self.request(self._image)
        except PlaneError as error:
            show_error(str(error))
            return
        self._cancel = cancel = threading.Event()
        self._set_running(True)
        self.view.set_status(f"Segmenting with {_short(request.model)}…")
        self.background(
            f"PFFNet: {image.name}",
            lambda report: self.engine.run(request, report, cancel.is_set),
            done=lambda outcome: self._finish(image, outcome, cancel),
            failed=self._fail,
            progressed=self._progress,
            cancel=self.cancel,
        )

    def request(self, image: Image) -> Request:
        """Return the run of an image that the view asks for now; PlaneError if no plane of it is in view."""
        options = self.view.options()
        return Request(self._plane(image), options.model, options.device, options.config)

    def cancel(self) -> None:
        """Stop the run at the next tile; its result is not used."""
        if self._running:
            self._cancel.set()
            self.view.set_status("Stopping…")

    def use_model(self, name: str) -> None:
        """Choose a model for the next run; one that is new is offered from now on."""
        self.view.choose_model(name)

    def recompose(self) -> None:
        """Apply the thresholds to the chosen image's result; the network is not run."""
        shown = self._shown.get(self._image) if self._image else None
        if shown and not self._running:
            self._show(shown)

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
        for shown in self._shown.values():
            shown.layers.draw_outlines(self.view.options().outlines)

    def _finish(self, image: Image, outcome: Outcome, cancel: threading.Event) -> None:
        self._set_running(False)
        if cancel.is_set():
            self.view.set_status("Stopped.")
            return
        self.insights.remember(image, outcome)
        before = self._shown.get(image)
        if before and before.layers.plane.position == outcome.request.plane.position:
            before.outcome, before.layers.plane = outcome, outcome.request.plane
        else:
            self._shown[image] = _Shown(outcome, ResultLayers(self.viewer, outcome.request.plane))
        self._show(self._shown[image], image.name)

    def _show(self, shown: _Shown, image: str | None = None) -> None:
        options, outcome = self.view.options(), shown.outcome
        result = outcome.prediction.compose(options.config)
        source = {
            "image": image or (self._image.name if self._image else ""),
            "model": outcome.request.model,
            "origin": model_origin(outcome.request.model),
            "position": outcome.request.plane.position,
            "config": options.config.model_dump(mode="json"),
        }
        kept = shown.layers.show(result, options.outlines, source)
        text = _summary(len(result.table), len(outcome.prediction.boxes), outcome, kept)
        self.view.set_status(f"{text} · {self.engine.memory() / MB:.0f} MB kept")

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

    def _progress(self, done: int, total: int) -> None:
        self.view.set_progress(done, total)
        if total > 1 and not self._cancel.is_set():
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
            if self._ready and not self._running:
                self.view.set_status(self._idle())
        self._update_facts()
        self.view.set_state(ready=self._ready and image is not None, running=self._running)

    def _update_facts(self, _event: Any = None) -> None:
        if self._image is None:
            self.view.set_facts("", None)
            return
        try:
            text = describe(self._image, self._plane(self._image))
        except PlaneError:
            text = "not in view"
        self.view.set_facts(text, pixel_size(self._image))

    def _plane(self, image: Image) -> Plane:
        dims = self.viewer.dims
        return take_plane(image, dims.point, dims.order, self.view.options().channel)


def _summary(count: int, found: int, outcome: Outcome, kept: bool) -> str:
    nuclei = "1 nucleus" if count == 1 else f"{count} nuclei"
    if count == 0:
        nuclei = "No nuclei: lower the score." if found else "No nuclei: set their diameter."
    seen = "" if outcome.zoom == 1 else f" · seen at {outcome.zoom:.2g}×"
    text = f"{nuclei} · {_short(outcome.request.model)} on {outcome.device}{seen} · {outcome.seconds:.1f} s"
    return f"{text} · your edited layer is kept, this is a new one" if kept else text


def _short(model: str) -> str:
    return Path(model).stem
