"""The list under review as a table that only draws the rows in sight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_pffnet.curate.queue import CANDIDATE

Role = Qt.ItemDataRole
NO_PARENT = QModelIndex()
#: Title, column of the rows, width in pixels (0: what is left), explanation.
COLUMNS = (
    ("#", "index", 34, "Id of the nucleus; c1, c2, …: candidates, which may be missed nuclei."),
    ("Why", "reason", 0, "Why it may need correction; of several planes which one, as at its slider."),
    ("Fit", "mask_score", 34, "How well the network thinks its outline fits, 0 to 1; of a candidate, its score."),
    ("Size", "size", 36, "Area, times the usual (median) area; in a stack, of its largest plane."),
    ("", "state", 18, "✓ accepted, ✎ edited, + new, ✕ candidate set aside."),
)
SIGNS = {"accepted": "✓", "edited": "✎", "new": "+", "dismissed": "✕"}
MOVES = [getattr(Qt.Key, f"Key_{name}") for name in ("Up", "Down", "PageUp", "PageDown", "Home", "End")]
ROW_HEIGHT = 20
FEWEST_ROWS = 4


class ReviewModel(QAbstractTableModel):
    """Rows of `ReviewList`, as texts."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values: dict[str, list[Any]] = {"kind": []}
        self._several = False

    def set_rows(self, rows: pd.DataFrame) -> None:
        """Show these rows; the view is not reset, only what is in sight is drawn again."""
        before, now = self.rowCount(), len(rows)
        columns = ("kind", "plane", *(name for _, name, _, _ in COLUMNS))
        values = {name: rows[name].tolist() for name in columns}
        self._several = rows["plane"].nunique() > 1
        if now < before:
            self.beginRemoveRows(NO_PARENT, now, before - 1)
            self._values = values
            self.endRemoveRows()
        elif now > before:
            self.beginInsertRows(NO_PARENT, before, now - 1)
            self._values = values
            self.endInsertRows()
        self._values = values
        if now:
            self.dataChanged.emit(self.index(0, 0), self.index(now - 1, len(COLUMNS) - 1))

    def rowCount(self, parent: QModelIndex = NO_PARENT) -> int:
        """Number of rows."""
        return 0 if parent.isValid() else len(self._values["kind"])

    def columnCount(self, parent: QModelIndex = NO_PARENT) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Role.DisplayRole) -> Any:
        """Text of a cell; the whole reason as its tooltip."""
        if role == Role.ToolTipRole:
            return self._values["reason"][index.row()]
        if role == Role.DisplayRole:
            return self._text(index.row(), COLUMNS[index.column()][1])
        if role == Role.TextAlignmentRole and COLUMNS[index.column()][1] in ("mask_score", "size"):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, way: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        """Title and explanation of a column."""
        if way == Qt.Orientation.Horizontal and role in (Role.DisplayRole, Role.ToolTipRole):
            title, _, _, explanation = COLUMNS[section]
            return title if role == Role.DisplayRole else f"{explanation}\nClick to sort; a third click: worst first."
        return None

    def _text(self, row: int, column: str) -> str:
        value = self._values[column][row]
        if column == "index":
            return f"c{value + 1}" if self._values["kind"][row] == CANDIDATE else str(value)
        if column == "state":
            return SIGNS.get(value, "")
        if column == "reason":
            where = f"plane {self._values['plane'][row]}: " if self._several else ""
            return where + str(value).replace("predicted fit", "fit")
        return "–" if np.isnan(value) else f"{value:.2f}" if value < 10 else f"{value:.0f}"


class ReviewTable(QTableView):
    """The table; a click on a title sorts up, then down, then worst first again."""

    #: A row that the user has gone to, by mouse or arrow keys.
    row_chosen = Signal(int)
    sort_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = ReviewModel(self)
        self.setModel(self._model)
        self.sorted_by: tuple[str, bool] = ("priority", False)
        self._told = False
        header, selection = self.horizontalHeader(), self.selectionModel()
        assert header is not None
        assert selection is not None
        self._header: QHeaderView = header
        header.sectionClicked.connect(self._sort)
        selection.currentRowChanged.connect(self._tell)
        self._dress()
        self.clicked.connect(lambda index: self.row_chosen.emit(index.row()))

    def set_rows(self, rows: pd.DataFrame) -> None:
        """Show these rows."""
        self._told = True
        self._model.set_rows(rows)
        self._told = False

    def set_current(self, row: int | None) -> None:
        """Highlight a row and scroll to it."""
        self._told = True
        index = self._model.index(-1 if row is None else row, 0)
        self.setCurrentIndex(index)
        if row is None:
            self.clearSelection()
        self._told = False

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move with the arrow keys; all others are for the viewer."""
        if event is not None and event.key() in MOVES:
            super().keyPressEvent(event)
        elif event is not None:
            event.ignore()

    def texts(self, row: int) -> list[str]:
        """Return what a row shows."""
        return [str(self._model.index(row, column).data()) for column in range(len(COLUMNS))]

    def count(self) -> int:
        """Return how many rows there are."""
        return self._model.rowCount()

    def _tell(self, current: QModelIndex, _before: QModelIndex) -> None:
        if not self._told and current.isValid():
            self.row_chosen.emit(current.row())

    def _sort(self, section: int) -> None:
        column = COLUMNS[section][1]
        following = {(column, True): (column, False), (column, False): ("priority", False)}
        self.sorted_by = following.get(self.sorted_by, (column, True))
        header, order = self._header, Qt.SortOrder
        shown = self.sorted_by[0] != "priority"
        header.setSortIndicatorShown(shown)
        if shown:
            header.setSortIndicator(section, order.AscendingOrder if self.sorted_by[1] else order.DescendingOrder)
        self.sort_changed.emit()

    def _dress(self) -> None:
        header, rows = self._header, self.verticalHeader()
        assert rows is not None
        header.setSectionsClickable(True)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(16)
        for section, (_, _, width, _) in enumerate(COLUMNS):
            header.setSectionResizeMode(
                section, QHeaderView.ResizeMode.Fixed if width else QHeaderView.ResizeMode.Stretch
            )
            if width:
                self.setColumnWidth(section, width)
        rows.setVisible(False)
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ROW_HEIGHT)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight((FEWEST_ROWS + 1) * ROW_HEIGHT + 6)
