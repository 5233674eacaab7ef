"""The controls of the step *Correct*."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_pffnet._qt.correct_controller import TOOLS, Tool

TIPS = {
    "delete": "Make the nucleus background.",
    "merge": "Give nuclei one id: begin with the one whose id is kept, then the others.",
    "split": "Split every nucleus that the line crosses; no pixel is lost. A line that crosses none is drawn on.\n"
    "A click without a line splits at the waist.",
    "fill_holes": "Fill background that the nucleus encloses.",
    "smooth": "Round the outline: bumps and notches up to about 3 px wide vanish.",
    "grow": "Add a rim of so many pixels; never over neighbours.",
    "shrink": "Take away a rim of so many pixels.",
    "pixels": "Width of the rim for Grow and Shrink, in pixels.",
    "undo": "Undo the last edit of this layer, brush strokes included; Ctrl+Shift+Z does it again.",
}
AT_ONCE = "\nKey {key}: the nucleus under the cursor. Button: each nucleus clicked, until Esc."
CLICKS = "\nKey {key} or button, then on the image, until Esc."
COLUMNS = 3


class CorrectView(QWidget):
    """One button per tool, with its key; Undo; the width for Grow and Shrink."""

    tool_chosen = Signal(str)
    undo_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layer, self.status = QLabel(), QLabel()
        for label in (self.layer, self.status):
            label.setObjectName("pffnet_quiet")
        self.status.setWordWrap(True)
        self.buttons = {tool.name: self._tool_button(tool) for tool in TOOLS}
        self.undo_button = QPushButton("Undo  Ctrl+Z")
        self.undo_button.setToolTip(TIPS["undo"])
        self.undo_button.clicked.connect(lambda: self.undo_requested.emit())
        self.rim = QSpinBox()
        self.rim.setRange(1, 100)
        self.rim.setSuffix(" px")
        self.rim.setToolTip(TIPS["pixels"])
        self._lay_out()

    def pixels(self) -> int:
        """By how much to grow or shrink."""
        return int(self.rim.value())

    def set_layer(self, name: str | None) -> None:
        """Name the layer being corrected; None disables the tools."""
        self.layer.setText(name or "")
        for control in (*self.buttons.values(), self.undo_button, self.rim):
            control.setEnabled(name is not None)

    def set_tool(self, name: str | None) -> None:
        """Show which tool waits for clicks."""
        for tool, button in self.buttons.items():
            button.setChecked(tool == name)

    def set_status(self, text: str) -> None:
        """Show one line."""
        self.status.setText(text)

    def _tool_button(self, tool: Tool) -> QPushButton:
        key = tool.key.replace("Shift-", "⇧")
        button = QPushButton(f"{tool.title}  {key}")
        button.setObjectName("pffnet_tool")
        button.setCheckable(True)
        how = CLICKS if tool.name in ("merge", "split") else AT_ONCE
        button.setToolTip(TIPS[tool.name] + how.format(key=tool.key.replace("-", "+")))
        button.clicked.connect(lambda _checked: self.tool_chosen.emit(tool.name))
        return button

    def _lay_out(self) -> None:
        title = QLabel("Correct")
        title.setObjectName("pffnet_title")
        head = QGridLayout()
        head.addWidget(title, 0, 0)
        head.addWidget(self.layer, 0, 1)
        head.setColumnStretch(1, 1)
        grid = QGridLayout()
        grid.setSpacing(4)
        tools = self.buttons
        order = [
            *(tools[name] for name in ("delete", "merge", "split", "fill_holes", "smooth")),
            self.undo_button,
            *(tools[name] for name in ("grow", "shrink")),
            self.rim,
        ]
        for place, widget in enumerate(order):
            grid.addWidget(widget, *divmod(place, COLUMNS))
        for column in range(COLUMNS):
            grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addLayout(grid)
        layout.addWidget(self.status)
