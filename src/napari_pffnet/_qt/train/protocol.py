"""What the controller of the step *Train* needs of its view and of the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from napari_pffnet._qt.engine import Choices
from napari_pffnet._qt.train.compare_layers import Difference
from napari_pffnet._qt.train.progress import Curve
from napari_pffnet._qt.train.runs import Page, Past, TrainOptions
from napari_pffnet.curate.material import ProjectMaterial
from napari_pffnet.train.gate import Gate
from napari_pffnet.typing import Array


class View(Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    opened: Any
    ticked: Any
    choice_changed: Any
    base_chosen: Any
    start_requested: Any
    command_requested: Any
    pause_requested: Any
    stop_requested: Any
    stop_others_requested: Any
    discard_requested: Any
    resume_requested: Any
    finish_requested: Any
    accept_requested: Any
    keep_requested: Any
    compare_requested: Any
    past_chosen: Any
    past_unwanted: Any

    def options(self) -> TrainOptions:
        """Read all controls."""

    def set_choices(self, choices: Choices, base: str | None = None) -> None:
        """Offer base models and devices; choose this base model, if one is named."""

    def set_material(self, images: Sequence[ProjectMaterial], used: Sequence[str], held_out: Sequence[str]) -> None:
        """List the images, which are used, and which of these are held out."""

    def set_summary(self, text: str, ready: bool) -> None:
        """Say what is learnt from; allow to start."""

    def set_page(self, page: Page) -> None:
        """Show what belongs to a stage of the work."""

    def set_progress(self, done: int, total: int, text: str) -> None:
        """Show how far training is."""

    def set_paused(self, paused: bool) -> None:
        """Offer to pause or to go on."""

    def set_curves(self, losses: dict[str, Curve], metrics: dict[str, Curve]) -> None:
        """Draw the curves."""

    def end_comparison(self) -> None:
        """Release the button that shows both models side by side."""

    def choose_base(self, model: str) -> None:
        """Choose the model to start from; one that is new is offered from now on."""

    def set_preview(self, picture: Path | None) -> None:
        """Show the latest picture of a held-out image, if any."""

    def copy(self, text: str) -> None:
        """Put a text into the clipboard."""

    def set_gate(self, gate: Gate, name: str, again: bool) -> None:
        """Show old against new, and a name for the new model; `again` if that was decided before."""

    def set_past(self, trainings: Sequence[Past]) -> None:
        """List the trainings that are over."""

    def set_failure(self, text: str, resumable: bool) -> None:
        """Show why training failed, first line first, and the end of its log."""

    def set_status(self, text: str) -> None:
        """Show one line."""

    def set_watching(self, on: bool) -> None:
        """Tick several times a second, or not."""

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question."""


class SideBySide(Protocol):
    """What the controller needs to show two results."""

    def show(self, name: str, image: Array, truth: Array, old: Array, new: Array, difference: Difference) -> None:
        """Show an image, what is right, what both models found, and how that differs."""

    def remove(self) -> None:
        """Take it away."""
