"""Distributions of the nuclei's areas and estimated fits; a click on a bar chooses the nuclei in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_pffnet._qt.plot import Plot
from napari_pffnet.typing import Array

BARS = 20
HEIGHT = 110
MOST = 99.0


class Histogram(Plot):
    """Bars of one value.

    Parameters
    ----------
    title : str
        Named under the bars, with its unit.
    """

    #: The bounds (from, below) of the bar that was clicked.
    chosen = Signal(float, float)

    def __init__(self, title: str) -> None:
        super().__init__(HEIGHT, left=28)
        self.title = title
        self.edges, self.counts = np.array([0.0, 1.0]), np.zeros(1)
        self._bars = pg.BarGraphItem(x=[], height=[], width=[])
        self._colours = ("#262930", "#f0f1f2", "#5a9bd4")
        self.addItem(self._bars)
        self.scene().sigMouseClicked.connect(self._click)

    def set_values(self, values: Array) -> None:
        """Draw these values; the highest percent shares the last bar."""
        known = values[np.isfinite(values)]
        top = float(np.percentile(known, MOST)) if len(known) else 1.0
        low = float(known.min()) if len(known) else 0.0
        self.edges = np.linspace(low, max(top, low + 1e-6), BARS + 1)
        self.counts = np.histogram(known.clip(low, self.edges[-1]), self.edges)[0]
        self._draw()

    def set_colours(self, background: str, text: str, bars: str) -> None:
        """Take over the colours of a theme."""
        self._colours = (background, text, bars)
        self._draw()

    def bounds(self, value: float) -> tuple[float, float]:
        """Return the bounds of the bar at a value; the last one has no upper bound."""
        bar = int(np.clip(np.searchsorted(self.edges, value, side="right") - 1, 0, BARS - 1))
        return float(self.edges[bar]), float("inf") if bar == BARS - 1 else float(self.edges[bar + 1])

    def _draw(self) -> None:
        background, text, bars = self._colours
        self.colour(background, text)
        widths = np.diff(self.edges)
        self._bars.setOpts(x=self.edges[:-1] + widths / 2, height=self.counts, width=widths * 0.9, brush=bars, pen=None)
        self.setLabel("bottom", self.title, color=text)
        self.setXRange(float(self.edges[0]), float(self.edges[-1]), padding=0.02)
        self.setYRange(0, max(float(self.counts.max(initial=0)), 1.0), padding=0.05)

    def _click(self, event: Any) -> None:
        place: QPointF = self.getPlotItem().vb.mapSceneToView(event.scenePos())
        if event.button() == Qt.MouseButton.LeftButton and self.edges[0] <= place.x() <= self.edges[-1]:
            self.chosen.emit(*self.bounds(place.x()))


class ReviewPlots(QWidget):
    """Areas and fits side by side."""

    #: Column of the rows, from, below.
    chosen = Signal(str, float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.areas, self.fits = Histogram("area (px)"), Histogram("predicted fit")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for column, plot in (("area", self.areas), ("mask_score", self.fits)):
            plot.setToolTip("Click a bar to list the nuclei in it.")
            plot.chosen.connect(lambda low, high, column=column: self.chosen.emit(column, low, high))
            layout.addWidget(plot, 1)

    def set_values(self, areas: Array, fits: Array) -> None:
        """Draw both; fits that nobody knows are NaN."""
        self.areas.set_values(np.asarray(areas, float))
        self.fits.set_values(np.asarray(fits, float))
        self.fits.setVisible(bool(np.isfinite(np.asarray(fits, float)).any()))

    def set_colours(self, background: str, text: str, bars: str) -> None:
        """Take over the colours of a theme."""
        for plot in (self.areas, self.fits):
            plot.set_colours(background, text, bars)
