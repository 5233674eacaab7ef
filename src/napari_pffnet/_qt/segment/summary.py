"""What the status line says of a run. No Qt in here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pffnet._qt.engine import Outcome
from napari_pffnet._qt.segment.stack_run import StackOutcome
from napari_pffnet.config import SegmentConfig
from napari_pffnet.io.errors import Cancelled
from napari_pffnet.typing import Array
from napari_pffnet.wording import count_nuclei

#: planes that are named
NAMED = 5


def summary(count: int, outcome: Outcome | StackOutcome, kept: bool) -> str:
    """Return the figures of a result of `count` nuclei; `kept`: it stands beside a layer that the user has edited."""
    kept_by_network = outcome.found if isinstance(outcome, StackOutcome) else len(outcome.prediction.boxes)
    nuclei = "No nuclei: lower the score." if kept_by_network and not count else found(count, outcome.request.config)
    if not count and isinstance(outcome, Outcome) and _is_blank(outcome.pointer.image):
        nuclei = "No nuclei: every pixel has the same value."
    seen = "" if outcome.zoom == 1 else f" · seen at {outcome.zoom:.2g}×"
    text = f"{nuclei} · {short(outcome.request.model)} on {outcome.device}{seen} · {outcome.seconds:.1f} s"
    if isinstance(outcome, StackOutcome):
        text = f"{_planes_done(outcome)}{text}"
    elif outcome.brown:
        text = f"{text} · much is brown: if that hides nuclei, choose Channel › hematoxylin alone"
    return f"{text} · your edited layer is kept below, hidden" if kept else text


def found(count: int, config: SegmentConfig) -> str:
    """Say how many nuclei there are, and what to do if there are none."""
    if count:
        return count_nuclei(count)
    if config.diameter is None:
        return "No nuclei: set their diameter."
    return "No nuclei: try another diameter or model."


def _is_blank(image: Array) -> bool:
    finite = image[np.isfinite(image)]
    return not finite.size or bool(finite.min() == finite.max())


def _planes_done(outcome: StackOutcome) -> str:
    """Say what happened to a stack, before its figures."""
    planes = len(outcome.request.plane.places)
    if outcome.error is None:
        return f"{planes} planes{_unread(outcome)} · "
    why = "Stopped" if isinstance(outcome.error, Cancelled) else f"Not done: {outcome.error}"
    return f"{why} · {outcome.done} of {planes} planes{_unread(outcome)} · "


def _unread(outcome: StackOutcome) -> str:
    if not outcome.unread:
        return ""
    which = ", ".join(map(str, outcome.unread[:NAMED])) + (" …" if len(outcome.unread) > NAMED else "")
    return f", of which {len(outcome.unread)} cannot be read and stay empty (from 0: {which})"


def short(model: str) -> str:
    """Return the name of a model, without the folder of a file."""
    return Path(model).stem
