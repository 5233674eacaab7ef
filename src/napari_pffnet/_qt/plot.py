"""What the plots of all steps share."""

from __future__ import annotations

import pyqtgraph as pg

AXES = ("left", "bottom")


class Plot(pg.PlotWidget):  # type: ignore[misc]
    """A plot to look at: no menu, no zoom.

    Parameters
    ----------
    height : int
        In pixels.
    left : int
        Room for the numbers of the left axis, in pixels.
    """

    def __init__(self, height: int, left: int) -> None:
        super().__init__()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        self.getAxis("left").setWidth(left)
        for name in AXES:
            self.getAxis(name).enableAutoSIPrefix(False)
        self.setFixedHeight(height)

    def colour(self, background: str, text: str) -> None:
        """Give the background and the axes their colours."""
        self.setBackground(background)
        for name in AXES:
            self.getAxis(name).setPen(text)
            self.getAxis(name).setTextPen(text)
