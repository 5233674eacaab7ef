"""The step Review in a viewer, with mouse and keys on the canvas and in the list."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QVBoxLayout, QWidget
from review_fakes import features, insight, nuclei
from users import CONTROL, NOTHING, SHIFT, User
from users import start as start_panel

from label_planes import TURNED
from napari_pffnet._qt.correct.keys import Keys
from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.review.controller import ReviewController
from napari_pffnet._qt.review.table import ReviewTable
from napari_pffnet._qt.review.view import ReviewView
from napari_pffnet._qt.theme import style_sheet

NEXT, ACCEPT, CANDIDATE, DELETE, EDIT, UNDO = (getattr(Qt.Key, f"Key_{letter}") for letter in "NACDIU")
ORDER = ["2", "c1", "9", "c2", "1", "3"]


class Dock(QWidget):
    """Holds the step as the panel does."""

    def __init__(self, viewer, known):
        super().__init__()
        self.view, self.active = ReviewView(), ActiveLabels(viewer)
        self.keys = Keys(self.active)
        self.controller = ReviewController(self.active, self.view, self.keys, lambda _layer, _plane: known)
        QVBoxLayout(self).addWidget(self.view)
        self.setStyleSheet(style_sheet(viewer.theme))

        self.parts = [self.controller, self.keys, self.active]


def close(parts, _dock=None):
    while parts:
        parts.pop(0).close()


@pytest.fixture
def start(make_napari_viewer, qtbot):
    docks = []

    def make(known=None, data=None, **arguments):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1366, 768)
        dock = Dock(viewer, known)
        docks.append(dock)
        viewer.window.add_dock_widget(dock, name="PFFNet")
        data = nuclei() if data is None else data
        layer = viewer.add_labels(data, features=features(), **arguments)
        viewer.reset_view()
        QTest.qWait(100)
        return User(viewer, layer), dock.view

    yield make
    for dock in docks:
        close(dock.parts)


def listed(view):
    return [view.table.texts(row)[0] for row in range(view.table.count())]


def chosen(view):
    return view.table.currentIndex().row()


def states(layer):
    return layer.features.set_index("index")["state"].to_dict()


def click_row(view, row):
    place = view.table.visualRect(view.table.model().index(row, 1)).center()
    QTest.mouseClick(view.table.viewport(), Qt.MouseButton.LeftButton, NOTHING, place)
    QTest.qWait(5)


def click_title(view, section):
    header = view.table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(section) + header.sectionSize(section) // 2, header.height() // 2)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, NOTHING, place)
    QTest.qWait(5)


def middle(user):
    """The pixel of the layer in the middle of the canvas."""
    return np.asarray(user.layer.world_to_data(user.camera.center[-user.layer.ndim :]))[-2:]


@pytest.mark.parametrize("arguments", [{}, TURNED])
def test_keys_go_through_the_list(start, arguments):
    user, view = start(insight(), **arguments)
    before = (user.camera.center, user.camera.zoom)
    user.press(NEXT)
    assert view.body.isVisible(), "the first key opens the list"
    assert listed(view) == ORDER
    assert chosen(view) == 0
    np.testing.assert_allclose(middle(user), (14.5, 34.5))
    user.press(ACCEPT)
    assert states(user.layer)[2] == "accepted"
    assert view.counts.text() == "1 accepted · 0 edited · 0 new · 0 deleted of 4"
    user.press(ACCEPT)
    assert user.layer.data[45, 45] == 10
    user.press(NEXT)
    user.press(NEXT, SHIFT)
    np.testing.assert_allclose(middle(user), (44.5, 14.5))
    user.press(DELETE, SHIFT)
    assert 9 not in user.layer.data
    assert view.counts.text() == "1 accepted · 0 edited · 1 new · 1 deleted of 4"
    for _ in range(3):
        user.press(UNDO)
    assert states(user.layer)[2] == ""
    np.testing.assert_array_equal(user.layer.data, nuclei())
    assert listed(view) == ORDER
    view.overview_button.click()
    assert (user.camera.center, user.camera.zoom) == before


def test_candidates_are_accepted_under_the_cursor(start):
    user, view = start(insight())
    view.step.button.click()
    user.move(45, 65)
    user.press(CANDIDATE)
    assert np.all(user.layer.data[40:50, 60:70] == 10)
    assert listed(view) == ["2", "c1", "9", "1", "3"]
    user.press(Qt.Key.Key_Z, CONTROL)
    assert user.viewer.layers.selection.active is user.layer
    view.candidates.click()
    assert not user.viewer.layers["candidates"].data.any()
    view.step.button.click()
    assert list(user.viewer.layers) == [user.layer]


def test_edit_key_gives_the_brush(start):
    user, view = start()
    user.press(NEXT)
    user.press(EDIT)
    user.layer.brush_size = 2
    user.drag((14, 36), (14, 41))
    assert user.layer.data[14, 41] == 2
    assert listed(view) == ["9", "1", "3"]
    assert view.counts.text() == "0 accepted · 1 edited · 0 new · 0 deleted of 4"


def test_rows_are_chosen_by_mouse_and_arrow_keys(start):
    user, view = start(insight())
    view.step.button.click()
    click_row(view, 2)
    np.testing.assert_allclose(middle(user), (44.5, 14.5))
    QTest.keyClick(view.table, Qt.Key.Key_Down)
    np.testing.assert_allclose(middle(user), (44.5, 64.5))
    assert view.status.text() == "Candidate 2: missed? score 0.15."


def test_list_is_filtered_and_sorted(start):
    _, view = start(insight())
    view.step.button.click()
    click_title(view, 0)
    assert listed(view) == ["1", "2", "3", "9", "c1", "c2"]
    click_title(view, 2)
    assert listed(view) == ["c2", "c1", "2", "9", "1", "3"]
    click_title(view, 2)
    assert listed(view) == ["3", "1", "9", "2", "c1", "c2"]
    click_title(view, 2)
    assert listed(view) == ORDER
    QTest.keyClicks(view.text, "border")
    assert listed(view) == ["3"]
    view.text.clear()
    view.show_box.setCurrentText("candidates")
    assert listed(view) == ["c1", "c2"]
    assert view.table.texts(0) == ["c1", "missed? score 0.45", "0.45", "1.00", ""]


def test_slider_of_a_stack_moves(start):
    stack = np.stack([np.zeros_like(nuclei()), nuclei()])
    user, view = start(data=stack)
    user.viewer.dims.set_current_step(0, 0)
    user.press(NEXT)
    assert user.viewer.dims.current_step[0] == 1
    assert listed(view)[0] == "2"


def test_disagreement_comes_and_goes(start):
    user, view = start(insight())
    view.step.button.click()
    view.disagreement.click()
    assert "disagreement" in user.viewer.layers
    assert user.viewer.layers.selection.active is user.layer
    view.disagreement.click()
    assert "disagreement" not in user.viewer.layers


def test_labels_made_elsewhere_have_no_candidates(start):
    _, view = start()
    view.step.button.click()
    assert not view.candidates.isEnabled()
    assert not view.disagreement.isEnabled()


def test_bar_of_the_statistics_filters_the_list(start):
    _, view = start()
    view.step.button.click()
    assert view.plots is None, "built when first wanted"
    view.statistics.button.click()
    QTest.qWait(50)
    plot = view.plots.fits
    assert plot.counts.sum() == 4
    place = plot.mapFromScene(plot.getPlotItem().vb.mapViewToScene(QPointF(0.945, 0.5)))
    QTest.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, NOTHING, place)
    QTest.qWait(50)
    assert listed(view) == ["3"]
    assert view.range_button.isVisible()
    assert plot.getAxis("bottom").autoSIPrefixScale == 1, "fits are not shown in thousandths"
    view.range_button.click()
    assert listed(view) == ["2", "9", "1", "3"]


def test_plots_follow_edits_and_the_theme(start):
    user, view = start()
    view.step.button.click()
    view.statistics.button.click()
    user.press(NEXT)
    user.press(DELETE, SHIFT)
    assert view.plots.areas.counts.sum() == 3
    user.viewer.theme = "light"
    assert view.plots.areas.backgroundBrush().color().lightness() > 200


def test_tells_its_keys_and_fits_the_dock(start):
    _, view = start(insight())
    view.step.button.click()
    assert view.buttons["remove"].text() == "Delete  ⇧D"
    assert "Key C" in view.candidates.toolTip()
    assert all(button.toolTip() for button in view.buttons.values())
    assert view.minimumSizeHint().width() < 340
    assert view.minimumSizeHint().height() < 350


def test_closed_dock_leaves_nothing_behind(start, qtbot):
    user, view = start(insight())
    user.press(NEXT)
    view.disagreement.click()
    dock = view.parentWidget()
    dock.destroyed.connect(partial(close, dock.parts))
    with qtbot.waitSignal(dock.destroyed):
        user.viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
    assert list(user.viewer.layers) == [user.layer]
    assert user.layer.keymap == {}
    user.press(DELETE, SHIFT)
    np.testing.assert_array_equal(user.layer.data, nuclei())


def test_opening_it_by_key_folds_segment(make_napari_viewer, qtbot):
    user, panel = start_panel(make_napari_viewer, qtbot, nuclei())
    assert panel.segment.isVisible()
    user.press(NEXT)
    assert panel.review.body.isVisible()
    assert not panel.segment.isVisible()
    assert user.viewer.window._qt_window.height() <= 768
    panel.segment_step.button.click()
    assert not panel.review.body.isVisible()
    panel.review.step.button.click()
    assert not panel.segment.isVisible()
    assert listed(panel.review) == ["3", "1", "2", "9"]


def test_keys_work_over_the_list_too(start):
    user, view = start()
    view.step.button.click()
    click_row(view, 1)
    QTest.keyClick(view.table, ACCEPT)
    assert states(user.layer)[9] == "accepted"
    assert listed(view) == ["2", "1", "3"]


@pytest.mark.parametrize(("planes", "where"), [([0, 2], ["plane 0: ", "plane 2: "]), ([0, 0], ["", ""])])
def test_rows_of_several_planes_say_which_one(qtbot, planes, where):
    qtbot.addWidget(table := ReviewTable())
    facts = {"kind": "nucleus", "index": 1, "reason": "predicted fit 0.50", "mask_score": 0.5, "size": 1.0, "state": ""}
    table.set_rows(pd.DataFrame([facts] * 2).assign(plane=planes))
    assert [table.texts(row)[1] for row in range(2)] == [f"{text}fit 0.50" for text in where]


def test_ctrl_z_takes_an_acceptance_back_and_goes_there(make_napari_viewer, qtbot):
    user, panel = start_panel(make_napari_viewer, qtbot, nuclei(), features=features())
    user.move(15, 15)
    user.press(Qt.Key.Key_D)
    assert 1 not in user.layer.data
    for key in (NEXT, ACCEPT):
        user.press(key)
    assert states(user.layer)[2] == "accepted"
    user.press(Qt.Key.Key_Z, CONTROL)
    assert panel.correct.status.text() == "Undone: nucleus 2 accepted."
    assert states(user.layer)[2] == ""
    assert 1 not in user.layer.data
    assert panel.review.table.texts(chosen(panel.review))[0] == "2"
    assert panel.review.counts.text() == "0 accepted · 0 edited · 0 new · 0 deleted of 3"
    user.press(Qt.Key.Key_Z, CONTROL)
    np.testing.assert_array_equal(user.layer.data, nuclei())
    assert panel.review.counts.text() == "0 accepted · 0 edited · 0 new · 0 deleted of 4"
    user.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    user.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert states(user.layer)[2] == "accepted"


def test_brush_is_gone_after_going_on(start):
    user, _ = start()
    for key in (NEXT, EDIT):
        user.press(key)
    user.layer.brush_size = 2
    user.drag((14, 36), (14, 41))
    user.press(ACCEPT)
    before, camera = user.layer.data.copy(), user.camera.center
    user.drag(middle(user), middle(user) + 3)
    np.testing.assert_array_equal(user.layer.data, before)
    assert user.camera.center != camera
    user.press(EDIT)
    user.press(Qt.Key.Key_Escape)
    assert user.layer.mode == "pan_zoom"


def test_outlines_by_key_and_box_here_and_in_segment(make_napari_viewer, qtbot):
    user, panel = start_panel(make_napari_viewer, qtbot, nuclei())
    user.press(NEXT)
    user.press(Qt.Key.Key_O, SHIFT)
    assert user.layer.contour > 0
    assert panel.review.outlines.isChecked()
    assert panel.segment.outlines.isChecked()
    panel.review.outlines.click()
    assert user.layer.contour == 0
    assert not panel.segment.outlines.isChecked()
    assert "Key Shift-O" in panel.review.outlines.toolTip()
    assert panel.minimumSizeHint().width() <= 340
