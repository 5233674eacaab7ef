"""The dialog that shows and changes keys."""

from __future__ import annotations

from app_model.backends.qt import QKeyBindingSequence, qkeysequence2modelkeybinding
from app_model.types import KeyBinding
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QKeySequenceEdit,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet.wording import CTRL

COLUMNS = 2
HOW = f"Click a field and press the new key; the cross leaves the tool without one. {CTRL}+Z and Esc stay as they are."


class KeysDialog(QDialog):
    """One field per action; each change holds at once.

    Parameters
    ----------
    keys : Keys
        Is shown and changed.
    parent : QWidget
        The panel.
    """

    def __init__(self, keys: Keys, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("PFFNet: keys")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.keys = keys
        self.fields = {name: self._field(name) for name in keys.titles()}
        self.message = QLabel(keys.message or HOW)
        self.message.setWordWrap(True)
        self.defaults, self.done_button = QPushButton("Reset to defaults"), QPushButton("Close")
        self.defaults.clicked.connect(self._reset)
        self.done_button.clicked.connect(self.accept)
        for button in (self.defaults, self.done_button):
            button.setAutoDefault(False)  # Enter is a key like the others here
        self._lay_out()
        for name in self.fields:
            self._show(name)
        keys.changed.connect(self._show)
        self.finished.connect(lambda _result: keys.changed.disconnect(self._show))

    def _field(self, name: str) -> QKeySequenceEdit:
        field = QKeySequenceEdit(self)
        field.setClearButtonEnabled(True)
        field.setMaximumSequenceLength(1)
        field.setToolTip(f"Key of '{self.keys.titles()[name]}'.")
        field.editingFinished.connect(lambda: self._change(name))
        return field

    def _change(self, name: str) -> None:
        pressed = self.fields[name].keySequence()
        key = "" if pressed.isEmpty() else str(qkeysequence2modelkeybinding(pressed)) or pressed.toString()
        if key.replace("+", "-") == self.keys.key(name):  # told a second time when the field loses the focus
            return
        try:
            self.keys.change(name, key)
            self.message.setText(self.keys.message or HOW)
        except ValueError as error:
            self.message.setText(f"{error}.")
        self._show(name)

    def _reset(self) -> None:
        self.keys.reset()
        self.message.setText(self.keys.message or HOW)

    def _show(self, name: str) -> None:
        if key := self.keys.key(name):
            self.fields[name].setKeySequence(QKeyBindingSequence(KeyBinding.from_str(key)))
        else:
            self.fields[name].clear()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        half = -(-len(self.fields) // COLUMNS)
        for place, (name, field) in enumerate(self.fields.items()):
            column, row = divmod(place, half)
            grid.addWidget(QLabel(self.keys.titles()[name]), row, 2 * column)
            grid.addWidget(field, row, 2 * column + 1)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(self.message)
        bottom = QHBoxLayout()
        bottom.addWidget(self.defaults)
        bottom.addStretch(1)
        bottom.addWidget(self.done_button)
        layout.addLayout(bottom)
