"""Nuclei as outlines, so that the image under them is seen, or filled. No Qt in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels
from psygnal import Signal

from napari_pffnet._qt.layers.active_labels import ActiveLabels

#: of nuclei, pixels
OUTLINE_WIDTH = 2


class Contours:
    """Switches the layer that is selected between outlines and filled nuclei, and follows whoever else does.

    Parameters
    ----------
    active : ActiveLabels
        The layer; while one of another kind is selected, the last one.
    show : callable
        ``show(outlined)`` is called with how the nuclei are drawn now.
    """

    #: The user has switched here to outlines (True) or filled nuclei.
    changed = Signal(bool)

    def __init__(self, active: ActiveLabels, show: Callable[[bool], None]) -> None:
        self.active, self.show = active, show
        self.layer: Labels | None = None
        active.switched.connect(self._begin)
        self._begin(active.layer)

    def close(self) -> None:
        """Let go of the layers."""
        self.active.switched.disconnect(self._begin)
        if self.layer is not None:
            self.layer.events.contour.disconnect(self._follow)

    def switch(self) -> None:
        """Show outlines instead of filled nuclei, or the other way round."""
        if self.layer is not None:
            self.layer.contour = 0 if self.layer.contour else OUTLINE_WIDTH
            self.changed.emit(self.layer.contour > 0)

    def _begin(self, layer: Labels | None) -> None:
        if layer is None:
            return
        if self.layer is not None:
            self.layer.events.contour.disconnect(self._follow)
        self.layer = layer
        layer.events.contour.connect(self._follow)
        self._follow()

    def _follow(self, _event: Any = None) -> None:
        if self.layer is not None:
            self.show(self.layer.contour > 0)
