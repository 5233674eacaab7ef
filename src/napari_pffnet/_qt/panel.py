"""The dock widget *Plugins > PFFNet*."""

from __future__ import annotations

from typing import Any

import napari
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_pffnet._qt.active_labels import ActiveLabels
from napari_pffnet._qt.background import in_thread
from napari_pffnet._qt.correct_controller import CorrectController
from napari_pffnet._qt.correct_view import CorrectView
from napari_pffnet._qt.engine import Engine
from napari_pffnet._qt.keys import Keys
from napari_pffnet._qt.segment_controller import SegmentController
from napari_pffnet._qt.segment_view import SegmentView
from napari_pffnet._qt.sketch import Sketch
from napari_pffnet._qt.theme import style_sheet


class Panel(QWidget):
    """The steps of the work, from top to bottom; so far *Segment* and *Correct*.

    Parameters
    ----------
    napari_viewer : Viewer
        Given by napari.
    engine : Engine, optional
        Finds models and runs the network.
    """

    def __init__(self, napari_viewer: napari.Viewer, engine: Engine | None = None) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.segment = SegmentView()
        self.controller = SegmentController(napari_viewer, self.segment, engine or Engine(), in_thread)
        self.correct = CorrectView()
        self.active = ActiveLabels(napari_viewer)
        self.keys = Keys(self.active)
        self.corrector = CorrectController(self.active, self.correct, self.keys, Sketch(self))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 0)
        layout.setSpacing(0)
        layout.addWidget(self.segment)
        layout.addWidget(self.correct)
        layout.addStretch(1)
        self._follow_theme()
        events = napari_viewer.events
        connections = [(events.theme, self._follow_theme), (events.mouse_over_canvas, self._let_go_of_keys)]
        for signal, slot in connections:
            signal.connect(slot)
        controllers = (self.controller, self.corrector, self.keys, self.active)

        def let_go() -> None:
            for controller in controllers:
                controller.close()
            for signal, slot in connections:
                signal.disconnect(slot)

        self.destroyed.connect(let_go)

    def _let_go_of_keys(self, _event: Any = None) -> None:
        """Keys pressed over the image are meant for the image, not for the control that was used last."""
        focus = QApplication.focusWidget()
        if self._viewer.mouse_over_canvas and focus is not None and self.isAncestorOf(focus):
            focus.clearFocus()

    def _follow_theme(self, _event: Any = None) -> None:
        self.setStyleSheet(style_sheet(self._viewer.theme))
