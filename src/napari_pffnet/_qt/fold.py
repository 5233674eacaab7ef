"""A part of the panel that can be folded away behind its title."""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget


class Fold(QWidget):
    """A title that shows and hides what belongs to it.

    Parameters
    ----------
    title : str
        Of the part.
    body : QWidget or QLayout
        What is folded away; a layout is indented.
    kind : "step" or "fold"
        A step of the work has a large title.
    beside : QWidget, optional
        Stands to the right of the title and stays in view.
    tip : str
        What it is for.
    """

    #: The user has folded (False) or unfolded (True) it.
    opened = Signal(bool)

    def __init__(
        self,
        title: str,
        body: QWidget | QLayout,
        kind: Literal["step", "fold"] = "fold",
        beside: QWidget | None = None,
        tip: str = "",
    ) -> None:
        super().__init__()
        self.title, self.button = title, QPushButton()
        self.body = _indented(body) if isinstance(body, QLayout) else body
        self.button.setObjectName(f"pffnet_{kind}")
        self.button.setCheckable(True)
        self.button.setToolTip(tip)
        self.button.clicked.connect(self._click)
        head = QHBoxLayout()
        head.addWidget(self.button)
        head.addStretch(1)
        if beside is not None:
            head.addWidget(beside)
        layout = QVBoxLayout(self)
        if kind == "step":
            head.setContentsMargins(8, 6, 0, 0)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self.body, 1)
        self.set_open(False)

    def set_open(self, is_open: bool) -> None:
        """Unfold or fold."""
        self.button.setChecked(is_open)
        self.button.setText(f"{'▾' if is_open else '▸'}  {self.title}")
        self.body.setVisible(is_open)
        policy = QSizePolicy.Policy
        self.setSizePolicy(policy.Preferred, policy.Preferred if is_open else policy.Fixed)

    def is_open(self) -> bool:
        """Whether the body is shown."""
        return bool(self.button.isChecked())

    def _click(self, is_open: bool) -> None:
        self.opened.emit(is_open)  # first: others fold then, and the window does not stretch
        self.set_open(is_open)


def _indented(layout: QLayout) -> QWidget:
    holder = QWidget()
    layout.setContentsMargins(18, 0, 0, 0)
    holder.setLayout(layout)
    return holder
