"""Telling and asking the user of a project, also when the panel is gone."""

from __future__ import annotations

from typing import Protocol

from napari.utils.notifications import show_warning


class Teller(Protocol):
    """Tells and asks the user."""

    def set_status(self, text: str) -> None:
        """Show one line."""

    def warn(self, text: str) -> None:
        """Tell what the user should not miss."""

    def ask(self, question: str) -> bool:
        """Ask something that is answered with yes or no."""


class AfterThePanel:
    """What is still to be told when the panel closes is told by napari."""

    def set_status(self, text: str) -> None:
        """There is no line any more."""

    def warn(self, text: str) -> None:
        show_warning(text)

    def ask(self, question: str) -> bool:
        return False
