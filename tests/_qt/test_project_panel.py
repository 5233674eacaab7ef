"""The step Project in a viewer, with mouse and keys."""

from unittest.mock import Mock

import numpy as np
import pytest
import tifffile
from panel_fakes import FakeEngine, dock
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QMessageBox
from users import LEFT, User, click, drop

from napari_pffnet._qt.panel import Panel
from napari_pffnet.curate.project import Project
from napari_pffnet.curate.work import Work
from projects import SHAPE, images, paint, painted, project


@pytest.fixture
def window(make_napari_viewer):
    """A viewer with the panel, Project unfolded: (viewer, view, controller)."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    panel = dock(viewer, FakeEngine())
    panel.unfold(panel.project_step)
    QTest.qWait(50)
    yield viewer, panel.project, panel.keeper
    panel.keeper.close()


def ancestors(widget):
    while widget := widget.parentWidget():
        yield widget


def two_nuclei(tmp_path):
    """A project whose first image has two nuclei."""
    made = project(tmp_path, ("a", "b"))
    work = made.work("a", SHAPE)
    for edit in (paint(2, 2, 1, size=12), paint(20, 20, 2, size=12)):
        work.record(edit)
    work.save(work.open(made.folder, "a", SHAPE, readonly=True).now)
    work.close()
    made.close()
    return made.folder


def test_from_a_new_project_to_the_next_image(window, qtbot, tmp_path, monkeypatch):
    viewer, view, controller = window
    assert not view.body.isVisible()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    click(view.new_button)
    assert view.name.text() == "mine"
    drop(view.images, images(tmp_path / "raw", ("a", "b")))
    qtbot.waitUntil(lambda: view.images.count() == 2 and "a" in viewer.layers)
    viewer.add_labels(painted(paint(2, 2, 1, size=12)), name="mine")
    user = User(viewer, viewer.layers["mine"])
    user.move(6, 6)
    user.press(Qt.Key.Key_D)
    now = Work.open(tmp_path / "mine", "a", SHAPE, readonly=True).now
    assert not now.labels.any(), "on the disk before anything else is done"
    assert [view.images.item(i).text() for i in range(2)] == ["◐  a", "○  b"]
    user.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    click(view.area_button)
    user.drag((1, 1), (20, 20), (30, 40))
    [area] = controller.project.regions("a").areas
    np.testing.assert_allclose(np.ptp(area.corners, 0), (29, 39), atol=1.5)
    assert viewer.layers.selection.active is user.layer, "the keys work on the nuclei again"
    click(view.done_button)
    click(view.next_button)
    assert "b" in viewer.layers
    assert [view.images.item(i).text() for i in range(2)] == ["●  a", "○  b"]
    assert tifffile.imread(tmp_path / "mine" / "labels" / "a.tif").sum() == 144
    QTest.mouseClick(view.whole_box, LEFT)
    assert controller.project.regions("b").whole


def test_images_are_chosen_in_the_list(window, tmp_path, monkeypatch):
    viewer, view, _ = window
    folder = two_nuclei(tmp_path)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    click(view.open_button)
    assert "a" in viewer.layers
    for row, name in ((1, "b"), (0, "a")):
        place = view.images.visualItemRect(view.images.item(row)).center()
        QTest.mouseClick(view.images.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, place)
        assert name in viewer.layers
        assert view.images.currentRow() == row
    assert viewer.layers["nuclei"].data.max() == 2


def test_work_of_a_crash_comes_back(window, tmp_path, monkeypatch):
    viewer, view, _ = window
    folder = two_nuclei(tmp_path)
    work = Work.open(folder, "a", SHAPE)
    work.record(paint(40, 40, 3))
    work.close()
    asked = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    monkeypatch.setattr(
        QMessageBox, "question", lambda _view, _title, text: asked.append(text) or QMessageBox.StandardButton.Yes
    )
    click(view.open_button)
    assert "Restore 1 edit" in asked[0]
    assert viewer.layers["nuclei"].data.max() == 3


def test_a_folder_opened_in_napari_opens_the_project(window, tmp_path):
    viewer, view, controller = window
    folder = two_nuclei(tmp_path)
    viewer.open(str(folder), plugin="napari-pffnet")
    assert view.name.text() == "project"
    user = User(viewer, viewer.layers["nuclei"])
    assert viewer.layers.selection.active is user.layer
    user.move(6, 6)
    user.press(Qt.Key.Key_D)
    assert set(np.unique(Work.open(folder, "a", SHAPE, readonly=True).now.labels)) == {0, 2}
    viewer.layers.remove("a")
    assert controller.image is None
    assert view.status.text() == "'a' is saved and closed."


def test_the_cross_of_its_frame_closes_the_panel_and_another_goes_on(window, qtbot, tmp_path, monkeypatch):
    viewer, view, controller = window
    controller.open(str(two_nuclei(tmp_path)))
    user = User(viewer, viewer.layers["nuclei"])
    user.move(6, 6)
    user.press(Qt.Key.Key_D)
    now = Work.open(tmp_path / "project", "a", SHAPE, readonly=True).now
    assert set(np.unique(now.labels)) == {0, 2}, "on the disk before anything is saved"
    panel = next(each for each in ancestors(view) if isinstance(each, Panel))
    with qtbot.waitSignal(panel.destroyed):
        panel.parent().destroyOnClose()
    assert set(np.unique(tifffile.imread(tmp_path / "project" / "labels" / "a.tif"))) == {0, 2}
    assert not (tmp_path / "project" / "project.lock").exists()
    monkeypatch.setattr(QMessageBox, "question", Mock(side_effect=AssertionError("asked")))
    again = dock(viewer, FakeEngine())
    assert again.keeper.image.name == "a"
    user.move(26, 26)
    user.press(Qt.Key.Key_D)
    assert not Work.open(tmp_path / "project", "a", SHAPE, readonly=True).now.labels.any()


def test_closing_the_panel_saves_and_lets_others_in(window, qtbot, tmp_path):
    viewer, view, controller = window
    controller.open(str(two_nuclei(tmp_path)))
    viewer.layers["nuclei"].fill((5, 5), 9)
    panel = next(each for each in ancestors(view) if isinstance(each, Panel))
    with qtbot.waitSignal(panel.destroyed):
        viewer.window.remove_dock_widget(panel)
        panel.deleteLater()
    assert "nuclei" in viewer.layers
    again = Project.open(tmp_path / "project")
    work = again.work("a", SHAPE)
    assert (work.recovered, work.now.labels.max()) == (0, 9)


def test_every_control_explains_itself_and_is_small(window):
    _, view, controller = window
    for button in (view.new_button, view.open_button, view.save_as_button, view.add_button, view.next_button):
        assert button.toolTip()
    assert all(action.toolTip() for action in view.add_button.menu().actions() if not action.isSeparator())
    view.set_project("a project")
    assert view.sizeHint().width() <= 330
    assert view.sizeHint().height() <= 300
    assert controller.project is None


def test_keys_go_from_one_new_image_to_the_next(window, qtbot, tmp_path, monkeypatch):
    viewer, view, controller = window
    folder = two_nuclei(tmp_path)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    click(view.open_button)
    assert "Key F6: mark done, open the next." in view.done_button.toolTip()
    click(view.segment_box)
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_F6)
    qtbot.waitUntil(lambda: controller.image.name == "b" and "labels" in controller.image.layers, timeout=30_000)
    assert controller.project.entry("a").state == "done"
    assert controller.image.layers["labels"].data.max() == 1, "segmented without a click, and kept by the project"
    viewer.layers.selection.active = viewer.layers["b"]
    QTest.keyClick(canvas, Qt.Key.Key_F6)
    qtbot.waitUntil(lambda: view.status.text() == "All images are done.", timeout=30_000)
    assert controller.project.entry("b").state == "done"
