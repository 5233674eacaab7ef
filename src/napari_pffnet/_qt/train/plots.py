"""Curves of a training run: losses above, figures on the held-out images below."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pffnet._qt.plot import Plot
from napari_pffnet._qt.train.progress import TOTAL, Curve
from napari_pffnet._qt.widgets import make_label

HEIGHTS = {"losses": 100, "metrics": 104, "axis": 20}
#: Okabe and Ito's colours, readable for the colour-blind and on dark and light.
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#b8a800", "#0072b2", "#d55e00", "#cc79a7", "#8c8c8c", "#7f6fd0")
SYMBOLS = {"AP50": "o", "PQ": "s"}


class Curves(Plot):
    """Lines, named under the plot in their colours.

    Parameters
    ----------
    height : int
        In pixels.
    """

    def __init__(self, height: int) -> None:
        super().__init__(height, left=34)
        self.lines: dict[str, Any] = {}
        self.names = make_label()
        self._text = "#f0f1f2"

    def set_curves(self, curves: dict[str, Curve]) -> None:
        """Draw these, and no others."""
        changed = list(curves) != list(self.lines)
        for name in [name for name in self.lines if name not in curves]:
            self.removeItem(self.lines.pop(name))
        for name, (x, y) in curves.items():
            if name not in self.lines:
                self.lines[name] = self.plot(symbol=SYMBOLS.get(name), symbolSize=6)
            self.lines[name].setData(x, y)
        if changed:
            self._paint()

    def set_colours(self, background: str, text: str) -> None:
        """Take over the colours of a theme."""
        self._text = text
        self.colour(background, text)
        self._paint()

    def _paint(self) -> None:
        """Give each line its colour, and name it."""
        named = []
        for place, (name, line) in enumerate(self.lines.items()):
            colour = self._text if name == TOTAL else COLOURS[place % len(COLOURS)]
            line.setPen(pg.mkPen(colour, width={TOTAL: 3}.get(name, 2 if name in SYMBOLS else 1)))
            line.setSymbolBrush(colour)
            named.append(f'<span style="color: {colour}">━</span>&nbsp;{name.replace(" ", "&nbsp;")}')
        self.names.setText(" &nbsp;".join(named))


class TrainPlots(QWidget):
    """Losses and figures, one above the other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.losses, self.metrics = Curves(HEIGHTS["losses"]), Curves(HEIGHTS["metrics"])
        self.losses.setToolTip("Training loss over the steps; lower is better.")
        self.metrics.setToolTip("AP50 and panoptic quality (PQ) on the images held out, 0 to 1; higher is better.")
        self.metrics.setYRange(0, 1)
        self.metrics.setXLink(self.losses)
        self._known: dict[str, Curve] = {}
        self._all = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for part in (self.losses, self.losses.names, self.metrics, self.metrics.names):
            layout.addWidget(part)
        self.show_all(False)

    def set_curves(self, losses: dict[str, Curve], metrics: dict[str, Curve]) -> None:
        """Draw both."""
        self._known = losses
        self._draw_losses()
        self.metrics.set_curves(metrics)

    def show_all(self, on: bool) -> None:
        """Show every loss with its name in place of the figures, or their sum and the figures."""
        self._all = on
        self.losses.names.setVisible(on)
        self.metrics.setVisible(not on)
        self.metrics.names.setVisible(not on)
        self.losses.showAxis("bottom", on)
        self.losses.setFixedHeight(HEIGHTS["losses"] + on * HEIGHTS["axis"])
        self._draw_losses()

    def set_colours(self, background: str, text: str, _bars: str) -> None:
        """Take over the colours of a theme."""
        for plot in (self.losses, self.metrics):
            plot.set_colours(background, text)

    def _draw_losses(self) -> None:
        shown = {name: curve for name, curve in self._known.items() if self._all or name == TOTAL}
        self.losses.set_curves({_plain(name): curve for name, curve in shown.items()})


def _plain(name: str) -> str:
    return name.removeprefix("loss_").replace("_", " ")
