"""The step Train in a viewer, with the mouse: it starts, the viewer stays usable, the new model is chosen."""

import time
from dataclasses import replace

import numpy as np
import pytest
from panel_fakes import FakeEngine, dock
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox
from train_fakes import corrected, fake_command, run_folders

import fake_training
from napari_pffnet._qt.train import controller as train_controller
from napari_pffnet._qt.train.compare_layers import with_difference
from projects import SHAPE

LEFT = Qt.MouseButton.LeftButton
HEIGHT = 768


class Library(FakeEngine):
    """Knows the models that were added to it."""

    def choices(self):
        known = super().choices()
        return replace(known, models=[*known.models, *((name, name) for _file, name in self.added)])


class Trainer:
    """A person who trains: clicks and looks."""

    def __init__(self, viewer, qtbot, folder):
        self.viewer, self.qtbot, self.folder = viewer, qtbot, folder
        viewer.window.resize(1366, HEIGHT)
        self.engine = Library()
        self.panel = dock(viewer, self.engine)
        self.panel.keeper.open(str(folder))
        self.view, self.controller = self.panel.train, self.panel.trainer

    def click(self, button):
        assert button.isVisible()
        assert button.isEnabled()
        QTest.mouseClick(button, LEFT)

    def unfold(self):
        self.click(self.panel.train_step.button)
        self.see(lambda: self.view.images.topLevelItemCount() == 3)

    def tick(self, row, column):
        item = self.view.images.topLevelItem(row)
        box = self.view.images.visualItemRect(item)
        left = self.view.images.header().sectionViewportPosition(column)
        place = box.center()
        place.setX(left + 10)
        QTest.mouseClick(self.view.images.viewport(), LEFT, pos=place)

    def choose(self, table, row):
        self.qtbot.wait(200)  # the list may be read anew
        QTest.mouseClick(table.viewport(), LEFT, pos=table.visualItemRect(table.topLevelItem(row)).center())

    def see(self, condition):
        self.qtbot.waitUntil(condition, timeout=20_000)


@pytest.fixture
def person(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    """A person with a project of three images, two of them done; trainings last until they are stopped."""
    monkeypatch.setattr(train_controller, "command", fake_command("steps=100000", "seconds=0.01"))
    person = Trainer(make_napari_viewer(show=True), qtbot, corrected(tmp_path))
    yield person
    run = person.controller.run
    person.controller.close()
    person.view.set_page("setup")  # nobody is there to answer
    if run:
        run.kill()
    person.panel.keeper.close()


def longest_gap(qtbot, seconds, work):
    """Longest time in seconds in which the event loop did nothing else, while `work` is called again and again."""
    gaps, last = [], [time.perf_counter()]

    def beat():
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(beat)
    timer.start(5)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        work()
        qtbot.wait(20)
    timer.stop()
    return max(gaps)


def test_from_the_button_to_the_new_model(person):
    view = person.view
    person.unfold()
    assert not person.panel.segment.isVisible()
    assert view.summary.text().startswith("Learns from 1 image")
    person.tick(0, 3)
    assert not view.start_button.isEnabled(), "nothing is held out"
    person.tick(1, 3)
    assert view.options().held_out == ("b",)
    person.click(view.start_button)
    person.see(lambda: person.controller.progress.step > 20)
    assert set(view.plots.losses.lines) == {"total"}
    QTest.mouseClick(view.all_box, LEFT, pos=QPoint(10, view.all_box.height() // 2))
    assert len(view.plots.losses.lines) == 10
    assert view.brief.isVisible()
    assert view.brief.text().endswith("%")
    person.click(view.pause_button)
    person.see(lambda: "paused" in view.told.text())
    assert view.pause_button.text() == "Resume"
    person.click(view.stop_button)
    person.see(lambda: view.accept_button.isVisible())
    assert view.gate.topLevelItem(0).text(1) == ".50→.70▲"
    assert view.brief.text() == "ended: old or new?"
    view.name.setText("mine")
    person.click(view.accept_button)
    person.see(lambda: person.engine.added == [("best.safetensors", "mine")])
    person.see(lambda: person.panel.segment.model.currentText() == "mine")
    assert view.options().base == "mine"
    assert view.start_button.isVisible()
    assert person.viewer.window._qt_window.height() <= HEIGHT


def test_of_the_tall_steps_one_is_unfolded(person):
    person.unfold()
    person.click(person.panel.segment_step.button)
    assert not person.view.isVisible()
    person.unfold()
    assert not person.panel.segment.isVisible()


def test_the_viewer_stays_usable_while_events_flood_in(person, qtbot, monkeypatch):
    """Painting goes on while thousands of events wait; generous, for machines with much else to do."""
    person.unfold()
    person.click(person.view.start_button)
    person.see(lambda: person.controller.progress.step > 5)
    output = person.controller.run.output
    person.controller.run.pause(True)
    fake_training.write(output, *(fake_training.step(number, 9000) for number in range(1, 9001)))
    layer = person.viewer.add_labels(np.zeros((512, 512), np.int32))
    places = iter(range(10_000))
    gap = longest_gap(qtbot, 3, lambda: layer.paint((next(places) % 512, 256), 1))
    assert person.controller.progress.step > 1000
    assert gap < 0.5


def test_napari_stays_open_if_the_user_wants(person, monkeypatch):
    person.unfold()
    person.click(person.view.start_button)
    person.see(lambda: person.controller.progress.step > 5)
    monkeypatch.setattr(person.view, "ask_closing", lambda _others: "stay")
    window = person.viewer.window._qt_window
    window.close()
    assert window.isVisible()
    assert person.controller.run.state == "running"


@pytest.mark.parametrize(("answer", "state"), [("go on", "running"), ("stop", "ended")])
def test_napari_closes_and_the_run_goes_on_or_keeps_its_best(person, monkeypatch, answer, state):
    """What napari asks its filters; the test's viewer itself must not close."""
    person.unfold()
    person.click(person.view.start_button)
    person.see(lambda: person.controller.progress.step > 5)
    run = person.controller.run
    monkeypatch.setattr(person.view, "ask_closing", lambda _others: answer)
    event = QCloseEvent()
    assert not person.view.eventFilter(person.viewer.window._qt_window, event)
    assert event.isAccepted()
    person.see(lambda: run.state == state)


def test_a_run_that_is_paused_goes_on_in_the_background_if_the_user_wants(person, monkeypatch):
    person.unfold()
    person.click(person.view.start_button)
    person.see(lambda: person.controller.progress.step > 5)
    person.click(person.view.pause_button)
    run = person.controller.run
    for answer, state in (("wait", "paused"), ("go on", "running")):
        monkeypatch.setattr(person.view, "ask_closing", lambda _others, answer=answer: answer)
        assert not person.view.eventFilter(person.viewer.window._qt_window, QCloseEvent())
        assert run.state == state


def test_napari_asks_about_the_training_of_another_project_too(person, monkeypatch, tmp_path):
    person.unfold()
    person.click(person.view.start_button)
    run = person.controller.run
    person.see(lambda: person.controller.progress.step > 5)
    person.panel.keeper.open(str(corrected(tmp_path / "other")))
    assert person.controller.run is None
    asked = []
    monkeypatch.setattr(person.view, "ask_closing", lambda others: asked.append(others) or "stop")
    assert not person.view.eventFilter(person.viewer.window._qt_window, QCloseEvent())
    assert asked == [[person.folder.name]]
    person.see(lambda: run.state == "ended")
    assert not person.view.eventFilter(person.viewer.window._qt_window, QCloseEvent())
    assert len(asked) == 1, "nothing goes on any more"


def test_the_model_of_a_project_is_chosen_unless_the_user_has_chosen(person):
    segment = person.panel.segment
    person.see(lambda: segment.model.findData("other") >= 0)
    person.controller.remembered.emit("mine", "default")
    assert segment.options().model == "mine"
    assert segment.status.text() == "'mine', from this project's training, is chosen."
    segment.choose_model("other")
    person.controller.remembered.emit("mine", "default")
    assert segment.options().model == "other"
    segment.choose_model("mine")


def test_a_model_that_has_learnt_from_all_colours_says_so_where_one_stain_is_chosen(person):
    segment = person.panel.segment
    person.controller.accepted.emit("default")
    assert "colours" not in segment.status.text()
    segment.set_channels([("all colours", "view"), ("hematoxylin alone", "hematoxylin")])
    segment.channel.setCurrentIndex(1)
    person.controller.accepted.emit("default")
    assert "'default' has learnt from all colours: choose them" in segment.status.text()


def test_the_next_project_does_not_have_the_model_of_the_one_before(person):
    segment = person.panel.segment
    person.see(lambda: segment.model.findData("other") >= 0)
    person.controller.remembered.emit("mine", "default")
    person.controller.remembered.emit("default", "mine")
    assert segment.options().model == "default"
    assert segment.status.text() == "'default', as this project has brought no model yet, is chosen."


@pytest.mark.parametrize("paused", [False, True])
def test_the_question_has_an_answer_for_everything(person, qtbot, paused):
    person.view.set_page("running")
    person.view.set_paused(paused)
    answers = []
    wait = ["Leave it paused"] if paused else []
    for title in ("Go on in the background", *wait, "Stop training", "Do not close"):

        def choose(title=title):
            [box] = person.view.findChildren(QMessageBox)
            QTest.mouseClick(next(each for each in box.buttons() if each.text() == title), LEFT)
            box.setParent(None)

        QTimer.singleShot(100, choose)
        answers.append(person.view.ask_closing())
    assert answers == ["go on", *(["wait"] if paused else []), "stop", "stay"]


def test_segmenting_takes_a_comparison_away(person, monkeypatch):
    monkeypatch.setattr(train_controller, "command", fake_command("steps=1"))
    person.unfold()
    person.click(person.view.start_button)
    person.see(lambda: person.view.accept_button.isVisible())
    nothing = np.zeros(SHAPE, np.uint8)
    person.controller.comparing.side_by_side.show("a", *with_difference(nothing, nothing, nothing, nothing))
    person.view.side_button.setChecked(True)
    image = person.panel.keeper.image.layers["image"]
    assert not image.visible
    person.see(lambda: person.panel.segment.run_button.isEnabled())
    person.panel.controller.run()
    assert image.visible
    assert not person.view.side_button.isChecked()
    assert person.controller.comparing.side_by_side.layers == {}


def test_an_earlier_training_is_shown_again_and_deleted(person, monkeypatch):
    monkeypatch.setattr(train_controller, "command", fake_command("steps=1"))
    view, past = person.view, person.view.past
    person.unfold()
    assert not past.isVisible()
    person.click(view.start_button)
    person.see(lambda: view.keep_button.isVisible())
    assert view.keep_button.text() == "Keep the old"
    person.click(view.keep_button)
    person.see(past.isVisible)
    person.click(past.button)
    person.see(lambda: not past.again_button.visibleRegion().isEmpty())
    assert not past.again_button.isEnabled()
    row = past.table.topLevelItem(0)
    assert [row.text(column) for column in (1, 2)] == [".50→.70▲", "old kept"]
    person.choose(past.table, 0)
    person.click(past.again_button)
    person.see(lambda: view.keep_button.isVisible())
    assert view.keep_button.text() == "Back"
    person.click(view.keep_button)
    person.choose(past.table, 0)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    person.click(past.delete_button)
    person.see(lambda: not past.isVisible() and run_folders(person.folder) == [])
    assert person.viewer.window._qt_window.height() <= HEIGHT


def test_discard_asks_and_deletes(person, monkeypatch):
    person.unfold()
    person.click(person.view.start_button)
    person.see(lambda: person.controller.progress.step > 5)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    person.click(person.view.discard_buttons[0])
    person.see(lambda: run_folders(person.folder) == [] and person.view.start_button.isVisible())
