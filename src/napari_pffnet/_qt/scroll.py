"""Room for a panel that is taller than the window."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QFrame, QScrollArea, QScrollBar, QSlider, QWidget

TURNED_BY_WHEEL = (QComboBox, QAbstractSpinBox, QSlider)


class Shrinking(QWidget):
    """Lets a scroll area make it as low as its layout allows before there is anything to scroll."""

    def heightForWidth(self, width: int) -> int:
        """Return the least height; scroll areas ask for this one where texts are broken into lines."""
        layout = self.layout()
        return layout.minimumHeightForWidth(width) if layout is not None else super().heightForWidth(width)


class UpAndDown(QScrollArea):
    """Scrolls up and down where there is too little height, and is never narrower than what it holds.

    The wheel scrolls; it turns a control only after a click on it.

    Parameters
    ----------
    content : Shrinking
        What is shown.
    """

    def __init__(self, content: Shrinking) -> None:
        super().__init__()
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        content.installEventFilter(self)
        self.guard_controls()

    def guard_controls(self) -> None:
        """Keep the wheel from the controls that there are now."""
        for kind in TURNED_BY_WHEEL:
            for control in self.findChildren(kind):
                control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                control.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the content's width; let wheels over controls pass."""
        if watched is None or event is None:
            return False
        if watched is self.widget():
            if event.type() == QEvent.Type.LayoutRequest:
                self.updateGeometry()
            return super().eventFilter(watched, event)
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False

    def minimumSizeHint(self) -> QSize:
        """Width of the content and of the scroll bar, if there is one; hardly any height."""
        bar: QScrollBar | None = self.verticalScrollBar()
        room = bar.width() if bar is not None and bar.isVisible() else 0
        content = self.widget()
        width = content.minimumSizeHint().width() if content is not None else 0
        return QSize(width + room, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        """Size of the content."""
        content = self.widget()
        return content.sizeHint() if content is not None else super().sizeHint()
