"""The controls of the step *Correct*."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.correct.keys_view import KeysDialog
from napari_pffnet._qt.correct.tools import Tool
from napari_pffnet._qt.fold import Fold
from napari_pffnet._qt.layers.label_plane import Content
from napari_pffnet._qt.widgets import make_button, make_label
from napari_pffnet.wording import CTRL

TIPS = {
    "pixels": "Width of the rim for Grow and Shrink, in pixels.",
    "replace": "New nuclei are painted over their neighbours instead of beside them.",
    "undo": f"Undo what was done last to this layer, brush strokes and acceptances included ({CTRL}+Z), and go there;\n"
    f"{CTRL}+Shift+Z does it again.",
    "copy": "Put a copy into memory that can be corrected, with its table, above this layer. The layer stays as it is.",
    "keys": "Show and change the keys of all tools.",
}
HOW = {
    "do": "Key {key}: what is under the cursor. Button: each click or outline, until Esc.",
    "wait": "Key {key} or button, then on the image, until Esc.",
    "both": "Key {key} begins with the nucleus under the cursor. Key or button, then on the image, until Esc.",
}
COLUMNS = 3


class CorrectView(QWidget):
    """One button per tool, with its key; the rarer ones folded away; Undo; Keys."""

    tool_chosen = Signal(str)
    undo_requested = Signal()
    copy_requested = Signal()
    keys_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: dict[str, QPushButton] = {}
        self._tools: dict[str, Tool] = {}
        self._busy = False
        self.layer, self.status = make_label(wraps=False), make_label()
        self.undo_button = make_button("Undo", TIPS["undo"], "tool")
        self.keys_button = make_button("Keys…", TIPS["keys"], "tool")
        self.undo_button.clicked.connect(lambda: self.undo_requested.emit())
        self.keys_button.clicked.connect(lambda: self.keys_requested.emit())
        self.copy_button = make_button("Edit a copy", TIPS["copy"], "tool")
        self.copy_button.clicked.connect(lambda: self.copy_requested.emit())
        self.replace = QCheckBox("Replace neighbours")
        self.replace.setToolTip(TIPS["replace"])
        self.rim = QSpinBox()
        self.rim.setRange(1, 100)
        self.rim.setSuffix(" px")
        self.rim.setToolTip(TIPS["pixels"])
        self._first, self._more, self._classes = _grid(), _grid(), _grid()
        self.nuclei, self.semantic = QWidget(), QWidget()
        self._lay_out()

    def pixels(self) -> int:
        """By how much to grow or shrink."""
        return int(self.rim.value())

    def replace_neighbours(self) -> bool:
        """Whether new nuclei are painted over their neighbours."""
        return bool(self.replace.isChecked())

    def add_tool(self, tool: Tool) -> None:
        """Show a button for a tool; the rim's width stands behind Grow and Shrink, which use it."""
        grid = self._classes if tool.content == "semantic" else self._first if tool.place == "first" else self._more
        self._tools[tool.name], self.buttons[tool.name] = tool, self._button(tool)
        _append(grid, self.buttons[tool.name])
        if tool.name == "shrink":
            _append(grid, self.rim)

    def set_key(self, tool: str, key: str) -> None:
        """Show a tool's key."""
        facts, button = self._tools[tool], self.buttons[tool]
        button.setText(f"{facts.title}  {key.replace('Shift-', '⇧').replace('-', '+')}".rstrip())
        how = HOW[facts.on_key].format(key=key.replace("-", "+")) if "now" not in facts.gestures and key else ""
        button.setToolTip(f"{facts.tip}\n{how}".rstrip())

    def show_keys(self, keys: Keys) -> None:
        """Let the user change keys."""
        KeysDialog(keys, self).open()

    def set_layer(self, name: str | None, content: Content, editable: bool = True) -> None:
        """Name the layer being corrected and show its tools; None disables them. Offer a copy if it is not editable."""
        self.layer.setText(name or "")
        self.nuclei.setVisible(content == "nuclei")
        self.semantic.setVisible(content == "semantic")
        for control in (self.nuclei, self.semantic, self.undo_button):
            control.setEnabled(name is not None and editable)
        self.copy_button.setVisible(not editable)

    def set_tool(self, name: str | None) -> None:
        """Show which tool waits for gestures."""
        for tool, button in self.buttons.items():
            button.setChecked(tool == name)

    def set_busy(self, busy: bool) -> None:
        """Show whether a tool works in the background, by the cursor."""
        if busy and not self._busy:
            QApplication.setOverrideCursor(Qt.CursorShape.BusyCursor)
        elif self._busy and not busy:
            QApplication.restoreOverrideCursor()
        self._busy = busy

    def set_status(self, text: str) -> None:
        """Show one line."""
        self.status.setText(text)

    def _button(self, tool: Tool) -> QPushButton:
        button = QPushButton(tool.title)
        button.setObjectName("pffnet_tool")
        button.setCheckable("now" not in tool.gestures)
        button.clicked.connect(lambda _checked: self.tool_chosen.emit(tool.name))
        return button

    def _lay_out(self) -> None:
        title = QLabel("Correct")
        title.setObjectName("pffnet_title")
        head = QHBoxLayout()
        head.addWidget(title)
        head.addWidget(self.layer, 1)
        head.addWidget(self.undo_button)
        head.addWidget(self.keys_button)
        nuclei = QVBoxLayout(self.nuclei)
        nuclei.setContentsMargins(0, 0, 0, 0)
        nuclei.setSpacing(4)
        nuclei.addLayout(self._first)
        self.more = Fold("More", self._more, beside=self.replace, tip="Tools that are needed less often.")
        nuclei.addWidget(self.more)
        self.semantic.setLayout(self._classes)
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        layout.addLayout(head)
        for part in (self.nuclei, self.semantic, self.status, self.copy_button):
            layout.addWidget(part)


def _grid() -> QGridLayout:
    grid = QGridLayout()
    grid.setSpacing(4)
    grid.setContentsMargins(0, 0, 0, 0)
    for column in range(COLUMNS):
        grid.setColumnStretch(column, 1)
    return grid


def _append(grid: QGridLayout, widget: QWidget) -> None:
    grid.addWidget(widget, *divmod(grid.count(), COLUMNS))
