"""The step Correct in a viewer, with mouse and keys on the canvas."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget
from users import CONTROL, NOTHING, SHIFT, settle, start

from label_planes import TURNED, ids, squares
from napari_pffnet._qt.correct.tools import Tool
from napari_pffnet.readers import semantic_look


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_keys_edit_and_undo_restores(make_napari_viewer, qtbot, arguments):
    user, panel = start(make_napari_viewer, qtbot, squares(np.uint8), **arguments)
    layer = user.layer
    user.move(4, 4)
    user.press(Qt.Key.Key_D)
    assert ids(layer) == {2, 5}
    assert panel.correct.status.text() == "Nucleus 1 deleted."
    user.move(13, 11)
    user.press(Qt.Key.Key_H)
    user.press(Qt.Key.Key_G)
    assert np.count_nonzero(layer.data == 5) == 60
    user.press(Qt.Key.Key_G, SHIFT)
    assert np.count_nonzero(layer.data == 5) == 36
    after = layer.data.copy()
    for _ in range(4):
        user.press(Qt.Key.Key_Z, CONTROL)
    np.testing.assert_array_equal(layer.data, squares())
    for _ in range(4):
        user.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    np.testing.assert_array_equal(layer.data, after)


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_line_is_drawn_and_nuclei_are_clicked_together(make_napari_viewer, qtbot, arguments):
    user, panel = start(make_napari_viewer, qtbot, squares(), **arguments)
    camera = user.camera.center
    user.move(1, 1)
    user.press(Qt.Key.Key_S)
    assert panel.correct.buttons["split"].isChecked()
    user.drag((5, 1), (5, 5), (5, 15))
    assert ids(user.layer) == {1, 2, 5, 6, 7}
    assert user.camera.center == camera, "drawing a line moves nothing"
    panel.correct.buttons["merge"].click()
    for place in [(3, 4), (7, 4), (3, 10), (7, 10)]:
        user.click(*place)
    assert ids(user.layer) == {1, 5}
    user.press(Qt.Key.Key_Escape)
    assert not panel.correct.buttons["merge"].isChecked()
    for _ in range(4):
        panel.correct.undo_button.click()
    np.testing.assert_array_equal(user.layer.data, squares())


AROUND_BOTH = [(0, 0), (0, 15), (5, 16), (9, 15), (9, 0)]
FREE_CORNER = [(11, 1), (11, 6), (17, 6), (17, 1)]


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_outlines_drawn_by_hand(make_napari_viewer, qtbot, arguments):
    user, panel = start(make_napari_viewer, qtbot, squares(np.uint8), **arguments)
    camera = user.camera.center
    user.move(0, 20)
    user.press(Qt.Key.Key_D)
    assert not panel.correct.buttons["delete"].isChecked(), "a key that misses changes no mode"
    panel.correct.buttons["delete"].click()
    user.drag(*AROUND_BOTH)
    assert ids(user.layer) == {5}
    user.press(Qt.Key.Key_Z, CONTROL)
    panel.correct.buttons["merge"].click()
    user.drag(*AROUND_BOTH)
    assert ids(user.layer) == {1, 5}
    user.press(Qt.Key.Key_O)
    user.drag(*FREE_CORNER)
    assert np.count_nonzero(user.layer.data == 6) == pytest.approx(35, abs=8)
    panel.correct.replace.setChecked(True)
    user.drag(*AROUND_BOTH)
    assert ids(user.layer) == {5, 6, 7}
    assert user.camera.center == camera, "drawing moves nothing"
    for _ in range(3):
        user.press(Qt.Key.Key_Z, CONTROL)
    np.testing.assert_array_equal(user.layer.data, squares())


def test_bent_line_and_points_split(make_napari_viewer, qtbot):
    bar = np.zeros((20, 24), np.int32)
    bar[2:18, 2:22] = 4
    user, panel = start(make_napari_viewer, qtbot, bar.copy())
    user.press(Qt.Key.Key_S)
    user.drag((0, 12), (4, 12), (10, 12), (10, 18), (10, 23))
    assert user.layer.data[4, 20] != user.layer.data[4, 4] == user.layer.data[15, 20]
    user.press(Qt.Key.Key_Z, CONTROL)
    user.move(0, 0)
    user.press(Qt.Key.Key_S, SHIFT)
    for place in [(10, 5), (10, 18)]:
        user.click(*place)
    user.press(Qt.Key.Key_Escape)
    for place in [(10, 5), (10, 18)]:
        user.click(*place)
    assert panel.correct.status.text().startswith("2 points")
    np.testing.assert_array_equal(user.layer.data, bar)
    user.press(Qt.Key.Key_Return)
    assert panel.correct.status.text() == "Split: 1 new nucleus."
    assert np.count_nonzero(user.layer.data == 4) == np.count_nonzero(user.layer.data == 5) == 160
    panel.correct.undo_button.click()
    np.testing.assert_array_equal(user.layer.data, bar)


def test_quick_clicks_do_not_zoom(make_napari_viewer, qtbot):
    user, panel = start(make_napari_viewer, qtbot, squares())
    zoom = user.camera.zoom
    panel.correct.buttons["grow"].click()
    user.move(13, 13)
    left = Qt.MouseButton.LeftButton
    QTest.mouseClick(user.canvas, left, NOTHING, user.pixel((13, 13)))
    QTest.mouseDClick(user.canvas, left, NOTHING, user.pixel((13, 13)))
    assert user.camera.zoom == zoom
    assert user.layer.data[13, 17] == 5
    panel.correct.buttons["grow"].click()
    QTest.mouseDClick(user.canvas, left, NOTHING, user.pixel((13, 13)))
    assert user.camera.zoom > zoom


def test_space_moves_the_image_while_a_tool_waits(make_napari_viewer, qtbot):
    user, panel = start(make_napari_viewer, qtbot, squares())
    panel.correct.buttons["split"].click()
    user.move(5, 1)
    QTest.keyPress(user.canvas, Qt.Key.Key_Space)
    center, left = user.camera.center, Qt.MouseButton.LeftButton
    QTest.mousePress(user.canvas, left, NOTHING, user.pixel((5, 1)))
    end = user.pixel((5, 15))
    QTest.mouseMove(user.canvas, end)
    QTest.qWait(50)
    QTest.mouseRelease(user.canvas, left, NOTHING, end)
    assert user.camera.center != center
    np.testing.assert_array_equal(user.layer.data, squares())
    QTest.keyRelease(user.canvas, Qt.Key.Key_Space)
    assert not user.camera.mouse_pan
    user.drag((5, 1), (5, 5), (5, 15))
    assert ids(user.layer) == {1, 2, 5, 6, 7}


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_classes_of_the_semantic_layer_are_painted(make_napari_viewer, qtbot, arguments):
    facts = {"metadata": {"napari-pffnet": {"content": "semantic"}}, "colormap": semantic_look()["colormap"]}
    before = (squares(np.uint8) > 0).astype(np.uint8)
    user, panel = start(make_napari_viewer, qtbot, before.copy(), **facts, **arguments)
    view = panel.correct
    assert view.semantic.isVisible()
    assert not view.nuclei.isVisible()
    for name, value in [("ignore", 255), ("foreground", 1), ("background", 0)]:
        view.buttons[name].click()
        user.drag(*AROUND_BOTH)
        assert np.all(user.layer.data[2:8, 2:14] == value)
        assert view.status.text() == f"{name.capitalize()} painted."
    for _ in range(3):
        view.undo_button.click()
    np.testing.assert_array_equal(user.layer.data, before)
    user.viewer.add_labels(squares())
    assert view.nuclei.isVisible()


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_box_of_a_tool_from_outside_is_shown_while_it_is_dragged(make_napari_viewer, qtbot, arguments):
    user, panel = start(make_napari_viewer, qtbot, squares(), **arguments)
    made = []

    def do(_plane, gesture):
        made.append(gesture)
        return "Seen."

    panel.corrector.add(Tool("frame", "K", "Frame", "Drag a box.", "", ("box",), do))
    user.press(Qt.Key.Key_K)
    assert panel.correct.buttons["frame"].isChecked()
    settle(user.canvas)
    left = Qt.MouseButton.LeftButton
    user.move(17, 3)
    before = user.viewer.screenshot(flash=False)
    QTest.mousePress(user.canvas, left, NOTHING, user.pixel((17, 3)))
    for place in [(12, 9), (9, 20)]:
        user.move(*place)
    during = user.viewer.screenshot(flash=False)
    QTest.mouseRelease(user.canvas, left, NOTHING, user.pixel((9, 20)))
    changed = np.any(before != during, axis=-1)
    edge, inside = user.pixel((13, 3)), user.pixel((13, 12))
    assert changed[edge.y() - 3 : edge.y() + 4, edge.x() - 3 : edge.x() + 4].any()
    assert not changed[inside.y(), inside.x()]
    np.testing.assert_array_equal(user.viewer.screenshot(flash=False), before)
    assert made[0].kind == "box"
    np.testing.assert_allclose(made[0].points, [(9, 3), (17, 20)], atol=0.2)
    assert panel.correct.status.text() == "Seen."


def test_stack_is_edited_plane_by_plane(make_napari_viewer, qtbot):
    stack = np.stack([squares()] * 3)
    user, _ = start(make_napari_viewer, qtbot, stack.copy(), scale=(3, 1, 1))
    user.viewer.dims.set_current_step(0, 2)
    user.move(2, 4, 4)
    user.press(Qt.Key.Key_D)
    assert set(np.unique(user.layer.data[2])) == {0, 2, 5}
    np.testing.assert_array_equal(user.layer.data[:2], stack[:2])
    user.viewer.dims.set_current_step(0, 0)
    user.press(Qt.Key.Key_Z, CONTROL)
    np.testing.assert_array_equal(user.layer.data, stack)


def test_every_tool_shows_its_key_and_explains_itself(make_napari_viewer, qtbot):
    user, panel = start(make_napari_viewer, qtbot, squares())
    for name, tool in panel.corrector.tools.items():
        button = panel.correct.buttons[name]
        assert button.text().endswith(tool.key.replace("Shift-", "⇧"))
        assert tool.tip in button.toolTip()
        assert not tool.key or "Key" in button.toolTip()
    lost = [name for name in panel.keys.titles() if not panel.keys.key(name)]
    assert lost == ["relabel", "link"], "no two actions want the same key"
    panel.correct.rim.setValue(3)
    user.move(12, 11)
    user.press(Qt.Key.Key_G)
    assert panel.correct.status.text() == "Nucleus 5 grown."
    assert user.layer.data[12, 18] == 5
    user.viewer.layers.selection.clear()
    assert not panel.correct.buttons["delete"].isEnabled()


def test_keys_over_the_image_are_for_the_image(make_napari_viewer, qtbot):
    user, panel = start(make_napari_viewer, qtbot, squares())
    window = user.viewer.window._qt_window
    window.activateWindow()
    user.viewer.mouse_over_canvas = False
    panel.correct.more.button.click()
    panel.correct.rim.setFocus()
    qtbot.waitUntil(panel.correct.rim.hasFocus)
    user.move(4, 4)
    user.viewer.mouse_over_canvas = True
    QTest.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_D)
    assert ids(user.layer) == {2, 5}


def test_fits_a_small_laptop(make_napari_viewer, qtbot):
    _, panel = start(make_napari_viewer, qtbot, squares())
    assert panel.sizeHint().height() <= 640
    assert panel.minimumSizeHint().width() < 350


def test_closed_panel_gives_the_keys_back(make_napari_viewer, qtbot):
    user, panel = start(make_napari_viewer, qtbot, squares())
    callbacks = list(user.layer.mouse_drag_callbacks)
    panel.correct.buttons["split"].click()
    with qtbot.waitSignal(panel.destroyed):
        user.viewer.window.remove_dock_widget(panel)
        panel.deleteLater()
    assert user.layer.keymap == {}
    assert user.layer.mouse_drag_callbacks == callbacks
    assert user.layer.mouse_pan
    user.move(4, 4)
    user.press(Qt.Key.Key_D)
    np.testing.assert_array_equal(user.layer.data, squares())


def test_gestures_are_seen_while_the_panel_floats(make_napari_viewer, qtbot):
    user, panel = start(make_napari_viewer, qtbot, squares())
    frame = next(each for each in user.viewer.window._qt_window.findChildren(QDockWidget) if each.isAncestorOf(panel))
    frame.setFloating(True)
    QTest.qWait(50)
    sketch = panel.corrector.gestures.canvas
    sketch.show(np.array([(1.0, 1.0), (10.0, 10.0)]), np.zeros((0, 2)))
    assert all(line.parent is not None for line in sketch._lines)
    sketch.clear()
