"""Segmenting all planes of a stack one after the other, into one label array with one table. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pffnet._qt.engine import Engine, Outcome, Progress, Request
from napari_pffnet._qt.layers.planes import Stack, UnreadableError
from napari_pffnet.config import SegmentConfig
from napari_pffnet.typing import Array

if TYPE_CHECKING:
    from napari_pffnet.segment.prediction import Segmentation

KEPT_BYTES = 512 * 2**20


@dataclass(frozen=True)
class StackRequest:
    """One run over all planes; `linked`: the same nucleus has one id on all planes. The rest as in `Request`."""

    plane: Stack
    model: str
    device: str
    config: SegmentConfig
    linked: bool


@dataclass(frozen=True)
class StackOutcome:
    """What came of a stack.

    Attributes
    ----------
    request : StackRequest
        What was asked.
    result : Segmentation
        All finished planes with the request's thresholds; zeros on the others.
    outcomes : list of Outcome
        Of the finished planes, in order; empty if they would take too much memory.
    done, found : int
        Number of finished planes, and of detections before thresholds.
    unread : list of int
        Numbers, from 0, of finished planes whose pixels cannot be read; they are left empty.
    device, seconds, zoom
        As in `Outcome`.
    error : Exception, optional
        Why it stopped early.
    """

    request: StackRequest
    result: Segmentation
    outcomes: list[Outcome]
    done: int
    found: int
    unread: list[int]
    device: str
    seconds: float
    zoom: float
    error: Exception | None

    def compose(self, config: SegmentConfig, linked: bool) -> Segmentation:
        """Apply other thresholds, or link or not; the network is not run. Needs `outcomes`."""
        from napari_pffnet.segment.stack import StackComposer

        stack = self.request.plane
        composer, outcomes = StackComposer(stack.shape, linked), iter(self.outcomes)
        for number, place in enumerate(stack.places[: self.done]):
            if number in self.unread:
                composer.leave_out(stack.begins(place))
            else:
                composer.add(place, next(outcomes).compose(config), stack.begins(place))
        return composer.result()


def run_stack(
    engine: Engine, request: StackRequest, progress: Progress, cancelled: Callable[[], bool], limit: int = KEPT_BYTES
) -> StackOutcome:
    """Segment plane by plane; the network does not look at blank ones, and those that cannot be read are left out.

    One plane at a time is read; all are seen at the zoom that suits the one that shows most. Predictions are kept up to
    `limit` bytes in all; a stack that needs more keeps none.

    Raises
    ------
    Exception
        What the first plane raised, `Cancelled` too. Later, the finished planes are returned with the error.
    """
    run = _Run(request, limit)
    error: Exception | None = None
    places = request.plane.places
    config = request.config.model_copy(update={"scale": _zoom(engine, request, cancelled)})
    for number, place in enumerate(places):
        try:
            of_all = _part_of(progress, number, len(places))
            run.add(place, engine.run(_plane(request, place, config), of_all, cancelled))
        except UnreadableError:
            run.leave_out(place)
            if len(run.unread) == len(places):
                raise
        except Exception as stopped:
            if run.done == len(run.unread):
                raise
            error = stopped
            break
    return run.outcome(error)


def _zoom(engine: Engine, request: StackRequest, cancelled: Callable[[], bool]) -> float | None:
    """Return the zoom for the plane that shows most; if none of those looked at can be read, for the first that can."""
    from napari_pffnet.segment.stack import telling_place

    places = request.plane.places
    unread: UnreadableError | None = None
    for place in (telling_place(places, lambda place: _pixels(request, place)), *places):
        try:
            return engine.zoom(_plane(request, place), cancelled)
        except UnreadableError as error:
            unread = unread or error
    assert unread is not None
    raise unread


def _pixels(request: StackRequest, place: tuple[int | slice, ...]) -> Array | None:
    """Return the pixels of a plane; None if they cannot be read."""
    try:
        return request.plane.plane(place).read()
    except UnreadableError:
        return None


def _plane(request: StackRequest, place: tuple[int | slice, ...], config: SegmentConfig | None = None) -> Request:
    return Request(request.plane.plane(place), request.model, request.device, config or request.config, of_stack=True)


class _Run:
    """What is known of a run so far."""

    def __init__(self, request: StackRequest, limit: int) -> None:
        from napari_pffnet.segment.stack import StackComposer

        self.request, self.limit = request, limit
        self.done = self.found = self.bytes = 0
        self.seconds, self.last = 0.0, ("", 1.0)
        self._composer = StackComposer(request.plane.shape, request.linked)
        self.unread: list[int] = []
        self._outcomes: list[Outcome] = []

    def add(self, place: tuple[int | slice, ...], outcome: Outcome) -> None:
        self._composer.add(place, outcome.compose(self.request.config), self.request.plane.begins(place))
        self.done += 1
        self.found += len(outcome.prediction.boxes)
        self.seconds += outcome.seconds
        self.last = outcome.device, outcome.zoom
        self.bytes += _size(outcome)
        self._outcomes = [*self._outcomes, outcome] if self.bytes <= self.limit else []

    def leave_out(self, place: tuple[int | slice, ...]) -> None:
        self._composer.leave_out(self.request.plane.begins(place))
        self.unread.append(self.done)
        self.done += 1

    def outcome(self, error: Exception | None) -> StackOutcome:
        result = self._composer.result()
        device, zoom = self.last
        return StackOutcome(
            self.request, result, self._outcomes, self.done, self.found, self.unread, device, self.seconds, zoom, error
        )


def _size(outcome: Outcome) -> int:
    p = outcome.prediction
    arrays: list[Array] = [p.boxes, p.scores, p.quality, p.masks, p.semantic]
    return sum(a.nbytes for a in arrays) + int(getattr(outcome.request.plane.pixels, "nbytes", 0))


def _part_of(progress: Progress, number: int, count: int) -> Progress:
    """Return a progress of plane `number` of `count`; it reports that of the whole stack."""
    return lambda done, total: progress(number * total + done, count * total)
