"""Asking the network from the canvas: the panel with the model of the package, mouse and keys."""

import time

import numpy as np
import pytest
from panel_fakes import dock
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from users import User

from napari_pffnet.synthetic import synthetic_nuclei

IMAGE, TRUTH = synthetic_nuclei((160, 160), count=12, seed=3)
PATIENCE_S = 60


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "the panel did not get there"
        QTest.qWait(10)


@pytest.fixture
def panel(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    viewer.add_image(IMAGE)
    panel = dock(viewer)
    wait_until(panel.segment.run_button.isEnabled)
    return panel


def iou(mask, label):
    return np.count_nonzero(mask & (label == TRUTH)) / np.count_nonzero(mask | (label == TRUTH))


def test_deleted_nuclei_come_back_by_key_and_by_box(panel):
    viewer = panel._viewer
    panel.segment.run_button.click()
    wait_until(lambda: "nuclei" in viewer.layers)
    user = User(viewer, viewer.layers["nuclei"])
    middle = [tuple(np.argwhere(label == TRUTH).mean(0)) for label in (0, 2, 5)]
    for place in middle[1:]:
        user.move(*place)
        user.press(Qt.Key.Key_D)
        assert user.layer.data[tuple(np.round(place).astype(int))] == 0

    user.move(*middle[1])
    user.press(Qt.Key.Key_W)
    label = user.layer.data[tuple(np.round(middle[1]).astype(int))]
    assert iou(user.layer.data == label, 2) > 0.7
    assert panel.correct.status.text().startswith(f"Nucleus {label}: fit ")

    user.press(Qt.Key.Key_Q)
    assert panel.correct.buttons["box"].isChecked()
    places = np.argwhere(TRUTH == 5)
    user.drag(places.min(0) - 0.5, places.mean(0), places.max(0) + 0.5)
    label = user.layer.data[tuple(np.round(middle[2]).astype(int))]
    assert iou(user.layer.data == label, 5) > 0.7
    assert "kept" in panel.segment.status.text()


def test_labels_made_elsewhere_wait_for_the_tile_with_a_busy_cursor(panel):
    viewer = panel._viewer
    layer = viewer.add_labels(np.zeros(IMAGE.shape, np.uint8))
    user = User(viewer, layer)
    user.move(*np.argwhere(TRUTH == 2).mean(0))
    user.press(Qt.Key.Key_W)
    wait_until(lambda: layer.data.any())
    assert iou(layer.data == 1, 2) > 0.7
    wait_until(lambda: not panel.correct._busy)


def test_one_tall_step_is_unfolded_at_a_time(panel):
    assert panel.segment.isVisible()
    assert not panel.review.body.isVisible()
    viewer = panel._viewer
    viewer.add_labels(TRUTH)
    panel.review.step.button.click()
    assert panel.review.body.isVisible()
    assert not panel.segment.isVisible()
    panel.segment_step.button.click()
    assert panel.segment.isVisible()
    assert not panel.review.body.isVisible()
    for button in (panel.project_step.button, panel.review.step.button, panel.segment_step.button):
        button.click()
        QTest.qWait(50)
        assert panel.minimumSizeHint().height() < 700
        assert viewer.window._qt_window.height() == 768
