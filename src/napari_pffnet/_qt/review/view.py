"""The controls of the step *Review*."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_pffnet._qt.fold import Fold
from napari_pffnet._qt.review.protocol import KEYS
from napari_pffnet._qt.review.rows import ALL, CANDIDATES, EDITED, OPEN, Wanted
from napari_pffnet._qt.review.table import ReviewTable
from napari_pffnet._qt.theme import plot_colours
from napari_pffnet._qt.widgets import make_label
from napari_pffnet.typing import Array

if TYPE_CHECKING:
    from napari_pffnet._qt.review.plots import ReviewPlots

#: by then napari has drawn a change
DRAWN_MS = 100
SHOW = (("to do", OPEN), ("all", ALL), ("candidates", CANDIDATES), ("edited, new", EDITED))
TIPS = {
    "review": "List the nuclei, those that most likely need correction first.",
    "text": "List only rows that hold these words, such as: border, size, 17.",
    "show": "Which rows are listed. 'to do': neither accepted nor edited.",
    "range": "Only nuclei in this range are listed. Click to list all again.",
    "next": "Go to the next row; the camera and, in a stack, the slider follow.",
    "previous": "Go to the row before.",
    "overview": "Bring back the view from before the first nucleus.",
    "accept": "Right as it is, in a stack on all its planes: go on to the next row.\n"
    "Of a candidate: paint it as a new nucleus. Again on an accepted nucleus: take it back.",
    "remove": "Delete the nucleus, in a stack on this plane only, and go on. A candidate is set aside. Undo: U.",
    "edit": "Paint on this nucleus with napari's brush, not over its neighbours; until you go on, or Esc.\n"
    "A candidate is accepted first.",
    "counts": "Nuclei, of those that were there at first. In a stack a nucleus has a row on each of its planes.",
    "candidates": "Outline what the network may have missed.\n"
    "Key {key}: accept the one under the cursor, or the next one.",
    "disagreement": "Show where the network's semantic map and the nuclei differ.\n"
    "Orange: looks like nucleus, but none is there; blue: nucleus that looks like background.",
    "outlines": "Show nuclei as outlines, to see the image under them. Key {key}: outlines or filled.",
    "statistics": "Areas and predicted fits of all nuclei.",
}
BUTTONS = ("previous", "next", "accept", "remove", "edit")


class ReviewView(QWidget):
    """A list, worst first, with what can be done to its rows; folded until it is wanted."""

    opened = Signal(bool)
    wanted_changed = Signal()
    row_chosen = Signal(int)
    action_chosen = Signal(str)
    overview_requested = Signal()
    candidates_toggled = Signal()
    disagreement_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.body = QWidget()
        self._plots_place = QVBoxLayout()
        self.step = Fold("Review", self.body, "step", tip="Go through nuclei and likely misses, the worst first.")
        self.statistics = Fold("Statistics", self._plots_place, tip="Distributions of scores and sizes.")
        self.counts, self.status = make_label(wraps=False), make_label()
        self.text, self.show_box, self.range_button = QLineEdit(), QComboBox(), QPushButton()
        self.table = ReviewTable()
        self.buttons = {name: QPushButton() for name in BUTTONS}
        self.overview_button = QPushButton("Overview")
        self.candidates, self.disagreement = QCheckBox("Candidates"), QCheckBox("Disagreement")
        self.outlines = QCheckBox("Outlines")
        self.plots: ReviewPlots | None = None
        self._range: tuple[str, float, float] | None = None
        self._values = (np.zeros(0), np.zeros(0))
        self._theme = "dark"
        self._fill()
        self._lay_out()
        self._connect()
        self.set_open(False)

    def wanted(self) -> Wanted:
        """Read what is to be listed, and in which order."""
        column, ascending = self.table.sorted_by
        return Wanted(self.text.text(), self.show_box.currentData(), self._range, column, ascending)

    def wants_candidates(self) -> bool:
        """Whether candidates are to be outlined."""
        return bool(self.candidates.isChecked())

    def set_open(self, is_open: bool) -> None:
        """Unfold or fold."""
        self.step.set_open(is_open)
        policy = QSizePolicy.Policy
        self.setSizePolicy(policy.Preferred, policy.Expanding if is_open else policy.Fixed)

    def set_rows(self, rows: pd.DataFrame) -> None:
        """List these rows."""
        self.table.set_rows(rows)

    def set_current(self, row: int | None) -> None:
        """Highlight a row."""
        self.table.set_current(row)

    def set_counts(self, text: str) -> None:
        """Show how far the work is."""
        self.counts.setText(text)

    def set_status(self, text: str) -> None:
        """Show one line."""
        self.status.setText(text)

    def call_later(self, action: Callable[[], None]) -> None:
        """Call something once what happens now is done and drawn."""
        QTimer.singleShot(DRAWN_MS, action)

    def set_network(self, known: bool) -> None:
        """Whether there are candidates and a semantic map."""
        self.candidates.setEnabled(known)
        self.disagreement.setEnabled(known)

    def set_disagreement(self, shown: bool) -> None:
        """Whether the disagreement layer is there."""
        self.disagreement.setChecked(shown)

    def set_outlines(self, shown: bool) -> None:
        """Whether nuclei are shown as outlines."""
        self.outlines.setChecked(shown)

    def set_values(self, areas: Array, fits: Array) -> None:
        """Show the distributions of areas (pixels) and estimated fits."""
        self._values = (areas, fits)
        if self.plots is not None and self.statistics.is_open():
            self.plots.set_values(areas, fits)

    def set_keys(self, keys: dict[str, str]) -> None:
        """Show the keys of the actions."""
        for name, button in self.buttons.items():
            button.setText(f"{KEYS[name][1]}  {keys[name].replace('Shift-', '⇧')}".strip())
        for box, tip, action in ((self.candidates, "candidates", "candidate"), (self.outlines, "outlines", "outlines")):
            box.setToolTip(TIPS[tip].format(key=keys[action] or "(none)"))

    def set_theme(self, theme: str) -> None:
        """Take over the colours of a theme of napari."""
        self._theme = theme
        if self.plots is not None:
            self.plots.set_colours(*plot_colours(theme))

    def set_range(self, column: str, low: float, high: float) -> None:
        """List only nuclei in a range; the same range again lists all."""
        chosen = (column, low, high)
        self._range = None if chosen == self._range else chosen
        unit, digits = (" px", 0) if column == "area" else ("", 2)
        upper = f" to {high:.{digits}f}" if high < float("inf") else " and more"
        self.range_button.setText(f"✕  {low:.{digits}f}{upper}{unit}")
        self.range_button.setVisible(self._range is not None)
        if self._range is not None:
            self.show_box.setCurrentIndex([value for _, value in SHOW].index(ALL))
        self.wanted_changed.emit()

    def _fill(self) -> None:
        for title, value in SHOW:
            self.show_box.addItem(title, value)
        self.text.setPlaceholderText("filter…")
        self.text.setClearButtonEnabled(True)
        self.candidates.setChecked(True)
        self.range_button.setVisible(False)
        for name, button in self.buttons.items():
            button.setToolTip(TIPS[name])
            button.setObjectName("pffnet_tool")
        self.overview_button.setObjectName("pffnet_tool")
        for widget, name in (
            (self.text, "text"),
            (self.show_box, "show"),
            (self.range_button, "range"),
            (self.overview_button, "overview"),
            (self.disagreement, "disagreement"),
            (self.counts, "counts"),
            (self.step.button, "review"),
            (self.statistics.button, "statistics"),
        ):
            widget.setToolTip(TIPS[name])

    def _lay_out(self) -> None:
        filters = QHBoxLayout()
        filters.setSpacing(4)
        for widget, stretch in ((self.text, 1), (self.range_button, 0), (self.show_box, 0)):
            filters.addWidget(widget, stretch)
        grid = QGridLayout()
        grid.setSpacing(4)
        order = [*(self.buttons[name] for name in BUTTONS[:2]), self.overview_button]
        order += [self.buttons[name] for name in BUTTONS[2:]]
        for place, button in enumerate(order):
            grid.addWidget(button, *divmod(place, 3))
        layers = QHBoxLayout()
        for box in (self.candidates, self.disagreement, self.outlines):
            layers.addWidget(box)
        layers.addStretch(1)
        inner = QVBoxLayout(self.body)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(5)
        inner.addWidget(self.counts)
        inner.addLayout(filters)
        inner.addWidget(self.table, 1)
        inner.addWidget(self.status)
        inner.addLayout(grid)
        inner.addLayout(layers)
        inner.addWidget(self.statistics)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.step)

    def _connect(self) -> None:
        self.step.opened.connect(self.opened)
        self.text.textChanged.connect(lambda _text: self.wanted_changed.emit())
        self.show_box.currentIndexChanged.connect(lambda _index: self.wanted_changed.emit())
        self.range_button.clicked.connect(lambda: self.set_range(*(self._range or ("area", 0.0, 0.0))))
        self.table.row_chosen.connect(self.row_chosen)
        self.table.sort_changed.connect(self.wanted_changed)
        for name, button in self.buttons.items():
            button.clicked.connect(lambda _checked, name=name: self.action_chosen.emit(name))
        self.overview_button.clicked.connect(lambda: self.overview_requested.emit())
        self.candidates.toggled.connect(lambda _on: self.candidates_toggled.emit())
        self.disagreement.clicked.connect(self.disagreement_toggled)
        self.outlines.clicked.connect(lambda _on: self.action_chosen.emit("outlines"))
        self.statistics.opened.connect(self._show_statistics)

    def _show_statistics(self, shown: bool) -> None:
        """Build the plots when they are first wanted; their library is imported then."""
        if self.plots is None:
            from napari_pffnet._qt.review.plots import ReviewPlots

            self.plots = ReviewPlots()
            self.plots.chosen.connect(self.set_range)
            self.plots.set_colours(*plot_colours(self._theme))
            self._plots_place.addWidget(self.plots)
        self.set_values(*self._values)
