"""The dialog that shows and changes the model library."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pffnet._qt.tooltip import plain
from napari_pffnet._qt.widgets import ask
from napari_pffnet.library import Entry, date_of, describe, headline, parent

NAME, QUALITY, PARENT, DATE, NOTE = range(5)
TITLES = ("Name", "Quality", "Made from", "Date", "Note")
FILES = "PFFNet model (*.safetensors)"
#: the library itself refuses to write over a file
KEEPS = QFileDialog.Option.DontConfirmOverwrite
SIZE = (900, 300)
EDITABLE = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable
TIPS = {
    "import": "Check a model file and copy it into the list. The file itself stays where it is.",
    "export": "Copy the selected model to a file, to keep or to pass on.",
    "remove": "Move the selected model's file to the trash. Models that come with the package stay.",
}


class ModelsView(QDialog):
    """One row per model; names and notes of the user's models are changed in place."""

    rename_requested = Signal(str, str)
    note_requested = Signal(str, str)
    remove_requested = Signal(str)
    export_requested = Signal(str, str)
    import_requested = Signal(str)
    selected = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("PFFNet: models")
        self.resize(*SIZE)
        self.table = QTableWidget(0, len(TITLES))
        self.import_button, self.export_button, self.remove_button, self.close_button = (
            QPushButton(title) for title in ("Import…", "Export…", "Delete", "Close")
        )
        self.status = QLabel()
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._models: list[Entry] = []
        self._busy = False
        self._lay_out()
        self._connect()

    def show_models(self, models: list[Entry], selected: str | None) -> None:
        """List models and select one by its name."""
        chosen = selected or self._name()
        self._models = models
        self.table.blockSignals(True)
        self.table.setRowCount(len(models))
        for row, model in enumerate(models):
            self._fill(row, model)
        names = [model.name for model in models]
        self.table.setCurrentCell(names.index(chosen) if chosen in names else 0, NAME)
        self.table.blockSignals(False)
        self._update_buttons()

    def set_status(self, text: str) -> None:
        """Show one line or two."""
        self.status.setText(text)

    def set_busy(self, busy: bool) -> None:
        """Allow no changes while files are copied."""
        self._busy = busy
        self.table.setEnabled(not busy)
        self._update_buttons()
        if busy:
            self.set_status("Checking and copying…")

    def ask(self, question: str) -> bool:
        """Ask yes or no."""
        return ask(self, question)

    def present(self) -> None:
        """Come to the front."""
        self.show()
        self.raise_()
        self.activateWindow()

    def _fill(self, row: int, model: Entry) -> None:
        quality = "damaged" if model.fault else headline(model.card)
        note = "comes with the package" if model.embedded else model.note
        texts = (model.name, quality, parent(model.card), date_of(model), note)
        for column, text in enumerate(texts):
            item = self.table.item(row, column)
            if item is None:  # items stay: the one that is being edited must not be deleted under its editor
                item = QTableWidgetItem()
                self.table.setItem(row, column, item)
            item.setText(text)
            item.setToolTip(plain(describe(model)))
            own = not model.embedded and column in (NAME, NOTE)
            item.setFlags(EDITABLE if own else EDITABLE & ~Qt.ItemFlag.ItemIsEditable)

    def _changed(self, item: QTableWidgetItem) -> None:
        model, text = self._models[item.row()], item.text().strip()
        if item.column() == NAME and text != model.name:
            self.rename_requested.emit(model.name, text)
        elif item.column() == NOTE and text != model.note:
            self.note_requested.emit(model.name, text)

    def _model(self) -> Entry | None:
        row = self.table.currentRow()
        return self._models[row] if 0 <= row < len(self._models) else None

    def _name(self) -> str | None:
        model = self._model()
        return model.name if model else None

    def _select(self) -> None:
        self._update_buttons()
        self.selected.emit(self._name() or "")

    def _update_buttons(self) -> None:
        model = self._model()
        self.import_button.setEnabled(not self._busy)
        self.export_button.setEnabled(model is not None and not model.fault and not self._busy)
        self.remove_button.setEnabled(model is not None and not model.embedded and not self._busy)

    def _ask_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import a model", "", FILES)
        if path:
            self.import_requested.emit(path)

    def _ask_export(self) -> None:
        name = self._name()
        path, _ = QFileDialog.getSaveFileName(self, "Export the model", f"{name}.safetensors", FILES, options=KEEPS)
        if name and path:
            self.export_requested.emit(name, path)

    def _ask_remove(self) -> None:
        if name := self._name():
            self.remove_requested.emit(name)

    def _connect(self) -> None:
        self.table.itemChanged.connect(self._changed)
        self.table.itemSelectionChanged.connect(self._select)
        self.import_button.clicked.connect(self._ask_import)
        self.export_button.clicked.connect(self._ask_export)
        self.remove_button.clicked.connect(self._ask_remove)
        self.close_button.clicked.connect(self.close)

    def _lay_out(self) -> None:
        self.table.setHorizontalHeaderLabels(TITLES)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        numbers, titles = self.table.verticalHeader(), self.table.horizontalHeader()
        if numbers is not None and titles is not None:
            numbers.setVisible(False)
            titles.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            titles.setStretchLastSection(True)
        self.table.setWordWrap(False)
        bottom = QHBoxLayout()
        for name, button in (
            ("import", self.import_button),
            ("export", self.export_button),
            ("remove", self.remove_button),
        ):
            button.setToolTip(TIPS[name])
            bottom.addWidget(button)
        bottom.addStretch(1)
        bottom.addWidget(self.close_button)
        for button in (self.import_button, self.export_button, self.remove_button, self.close_button):
            button.setAutoDefault(False)  # Enter ends the editing of a cell
        layout = QVBoxLayout(self)
        layout.addWidget(self.table)
        layout.addWidget(self.status)
        layout.addLayout(bottom)
