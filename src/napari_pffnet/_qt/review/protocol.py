"""What the step *Review* shows and asks: the face that its controller and its view agree on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pandas as pd

from napari_pffnet._qt.review.rows import Wanted
from napari_pffnet.typing import Array

#: Default key and title of each action, by its name; the keys are those of `Keys`, named ``review_NAME``.
KEYS = {
    "next": ("N", "Next"),
    "previous": ("Shift-N", "Previous"),
    "accept": ("A", "Accept"),
    "remove": ("Shift-D", "Delete"),
    "edit": ("I", "Edit"),
    "candidate": ("C", "Accept candidate"),
    "undo": ("U", "Undo"),
    "outlines": ("Shift-O", "Outlines or filled"),
}


class View(Protocol):
    """What the controller needs of a view; signals have ``connect``."""

    opened: Any
    wanted_changed: Any
    row_chosen: Any
    action_chosen: Any
    overview_requested: Any
    candidates_toggled: Any
    disagreement_toggled: Any

    def wanted(self) -> Wanted:
        """Read what is to be listed, and in which order."""

    def wants_candidates(self) -> bool:
        """Whether candidates are to be outlined."""

    def set_open(self, is_open: bool) -> None:
        """Unfold or fold."""

    def set_rows(self, rows: pd.DataFrame) -> None:
        """List these rows."""

    def set_current(self, row: int | None) -> None:
        """Highlight a row."""

    def set_counts(self, text: str) -> None:
        """Show how far the work is."""

    def set_status(self, text: str) -> None:
        """Show one line."""

    def set_network(self, known: bool) -> None:
        """Whether there are candidates and a semantic map."""

    def set_disagreement(self, shown: bool) -> None:
        """Whether the disagreement layer is there."""

    def set_outlines(self, shown: bool) -> None:
        """Whether nuclei are shown as outlines."""

    def set_values(self, areas: Array, fits: Array) -> None:
        """Show the distributions of areas (pixels) and estimated fits."""

    def set_keys(self, keys: dict[str, str]) -> None:
        """Show the keys of the actions."""

    def call_later(self, action: Callable[[], None]) -> None:
        """Call something once what happens now is done and drawn."""

    def set_theme(self, theme: str) -> None:
        """Take over the colours of a theme of napari."""
