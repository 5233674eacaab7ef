"""What the step *Segment* needs of its view. No Qt in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from napari_pffnet._qt.engine import Choices
from napari_pffnet._qt.layers.axes import Channel
from napari_pffnet._qt.layers.parts import Where
from napari_pffnet.config import SegmentConfig

#: Names in SegmentConfig of what re-applies without the network.
THRESHOLDS = ("score_threshold", "mask_threshold", "overlap_threshold", "min_area")


@dataclass(frozen=True)
class SegmentOptions:
    """What the user has set.

    `linked` matters where all planes of a stack are segmented; `level` is of an image's pyramid, None to choose one.
    """

    model: str
    device: str
    channel: Channel
    config: SegmentConfig
    outlines: bool
    all_planes: bool = False
    linked: bool = False
    where: Where = "whole"
    level: int | None = None


class View(Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    run_requested: Any
    cancel_requested: Any
    image_chosen: Any
    thresholds_changed: Any
    outlines_changed: Any

    def options(self) -> SegmentOptions:
        """Read all controls."""

    def set_choices(self, choices: Choices, model: str | None = None) -> None:
        """Offer models and devices; choose a model, or keep those chosen."""

    def set_images(self, names: list[str], chosen: int) -> None:
        """Offer images; `chosen` is -1 if there are none."""

    def set_channels(self, titles: list[tuple[str, Channel]]) -> None:
        """Offer channels; hidden if there are none."""

    def set_planes(self, count: int) -> None:
        """Offer all planes of a stack; hidden if there is only one."""

    def set_levels(self, titles: list[str]) -> None:
        """Offer the levels of a pyramid; hidden if there is only one."""

    def set_facts(self, text: str, pixel_size: float | None) -> None:
        """Tell what was found out about the image; µm per pixel where known."""

    def set_state(self, *, ready: bool, running: bool) -> None:
        """Enable Run, or show progress and Cancel."""

    def set_progress(self, done: int, total: int) -> None:
        """Show how far the run is."""

    def set_status(self, text: str) -> None:
        """Show one line."""

    def ask(self, question: str) -> bool:
        """Ask something that is answered with yes or no."""

    def ask_folder(self, title: str, start: str) -> str:
        """Ask for a folder; "" if there is none."""
