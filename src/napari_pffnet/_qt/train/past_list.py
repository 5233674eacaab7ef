"""The list of trainings that are over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTreeWidgetItem, QVBoxLayout

from napari_pffnet._qt.fold import Fold
from napari_pffnet._qt.tooltip import plain
from napari_pffnet._qt.train.parts import TIPS, make_row, make_table, old_and_new
from napari_pffnet._qt.train.runs import Past
from napari_pffnet._qt.widgets import make_button

NAME_ROLE = Qt.ItemDataRole.UserRole


class PastList(Fold):
    """A row for each training, the last one first; hidden while there is none.

    Parameters
    ----------
    choose, delete : callable
        Called with the name of a training's folder, when the user wants to see it again, or to delete it.
    """

    def __init__(self, choose: Callable[[str], None], delete: Callable[[str], None]) -> None:
        self.table = make_table("past", 3)
        self.table.setHeaderLabels(["date", "AP50", "became"])
        self.again_button = make_button("Show again", TIPS["again"])
        self.delete_button = make_button("Delete", TIPS["unwanted"])
        body = QVBoxLayout()
        body.addWidget(self.table)
        body.addLayout(make_row(self.again_button, self.delete_button))
        super().__init__("Earlier trainings", body, tip=TIPS["past"])
        self.table.itemSelectionChanged.connect(self._offer)
        self.table.itemDoubleClicked.connect(lambda _item, _column: choose(self._chosen()))
        self.again_button.clicked.connect(lambda: choose(self._chosen()))
        self.delete_button.clicked.connect(lambda: delete(self._chosen()))
        self.set_trainings([])

    def set_trainings(self, trainings: Sequence[Past]) -> None:
        """List trainings."""
        self.table.clear()
        for each in trainings:
            item = QTreeWidgetItem([each.date, old_and_new(each.gate.pooled, "ap50"), each.became])
            item.setData(0, NAME_ROLE, each.output.name)
            for column in range(self.table.columnCount()):
                item.setToolTip(column, plain(each.told))
            self.table.addTopLevelItem(item)
        self.setVisible(bool(trainings))
        self._offer()

    def _chosen(self) -> str:
        return next((item.data(0, NAME_ROLE) for item in self.table.selectedItems()), "")

    def _offer(self) -> None:
        for button in (self.again_button, self.delete_button):
            button.setEnabled(bool(self._chosen()))
