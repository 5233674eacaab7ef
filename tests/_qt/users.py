"""A user of the panel in a viewer: points, clicks, drags, drops, presses keys."""

import time

import numpy as np
from panel_fakes import FakeEngine, dock
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest

PATIENCE_S = 5
LEFT = Qt.MouseButton.LeftButton
NOTHING = Qt.KeyboardModifier.NoModifier
SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


class User:
    """Points, clicks, drags and presses keys over pixels of a layer."""

    def __init__(self, viewer, layer):
        self.viewer, self.layer = viewer, layer
        self.canvas = viewer.window._qt_viewer.canvas.native

    @property
    def camera(self):
        return getattr(self.viewer, "scene", self.viewer).camera

    def world(self, place):
        return np.asarray(self.layer.data_to_world(place))[-2:]

    def pixel(self, place):
        size = np.array([self.canvas.height(), self.canvas.width()])
        y, x = size / 2 + (self.world(place) - np.asarray(self.camera.center[-2:])) * self.camera.zoom
        return QPoint(round(x), round(y))

    def move(self, *place):
        """Move the mouse, and wait until the viewer has noticed and nothing of an earlier move comes in any more."""
        end, quiet = time.monotonic() + PATIENCE_S, 0
        while quiet < 2 and time.monotonic() < end:
            if not quiet:
                QTest.mouseMove(self.canvas, self.pixel(place) + QPoint(2, 2))
                QTest.qWait(15)
                QTest.mouseMove(self.canvas, self.pixel(place))
            QTest.qWait(15)
            away = np.asarray(self.viewer.cursor.position[-2:]) - self.world(place)
            quiet = quiet + 1 if np.abs(away).max() * self.camera.zoom < 4 else 0

    def press(self, key, modifier=NOTHING):
        QTest.keyClick(self.canvas, key, modifier)
        QTest.qWait(5)

    def click(self, *place):
        self.drag(place)

    def drag(self, *places):
        self.move(*places[0])
        QTest.mousePress(self.canvas, LEFT, NOTHING, self.pixel(places[0]))
        for place in places[1:]:
            self.move(*place)
        QTest.mouseRelease(self.canvas, LEFT, NOTHING, self.pixel(places[-1]))
        QTest.qWait(5)


def settle(canvas):
    """Wait until the window has found its layout."""
    end, quiet, size = time.monotonic() + PATIENCE_S, 0, None
    while quiet < 5 and time.monotonic() < end:
        quiet, size = (quiet + 1 if canvas.size() == size else 0), canvas.size()
        QTest.qWait(20)


def start(make_napari_viewer, qtbot, data, **arguments):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    panel = dock(viewer, FakeEngine())
    layer = viewer.add_labels(data, **arguments)
    user = User(viewer, layer)
    settle(user.canvas)
    viewer.reset_view()
    QTest.qWait(50)
    return user, panel


def click(button):
    QTest.mouseClick(button, LEFT)


def drop(images_list, *paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    place = QPointF(images_list.rect().center())
    event = QDropEvent(place, Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    images_list.dropEvent(event)
