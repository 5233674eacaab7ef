"""The list of models in the step Segment."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_pffnet._qt.engine import Choices
from napari_pffnet._qt.segment.view import FROM_FILE, MANAGE, SegmentView

DEVICES = [("automatic (CPU)", "auto"), ("CPU", "cpu")]


@pytest.fixture
def view(qtbot):
    view = SegmentView()
    qtbot.addWidget(view)
    view.set_choices(Choices([("default", "default"), ("mine", "mine")], DEVICES, {"mine": "for <b>my</b>\nstain"}))
    return view


def titles(view):
    return [view.model.itemText(i) for i in range(view.model.count())]


def test_facts_are_shown_as_they_are(view):
    assert titles(view) == ["default", "mine", FROM_FILE]
    tips = [view.model.itemData(i, Qt.ItemDataRole.ToolTipRole) for i in range(2)]
    assert tips[0] == ""
    assert "for &lt;b&gt;my&lt;/b&gt;\nstain" in tips[1]


def test_the_chosen_model_and_device_stay_chosen_when_the_list_is_renewed(view):
    view.model.setCurrentText("mine")
    view.device.setCurrentText("CPU")
    view.set_choices(Choices([(name, name) for name in ("default", "another", "mine")], DEVICES))
    assert titles(view) == ["default", "another", "mine", FROM_FILE]
    assert (view.options().model, view.options().device) == ("mine", "cpu")
    view.set_choices(Choices([("default", "default")], DEVICES))
    assert view.options().model == "default"


def test_a_model_from_a_file_stays_offered(view, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"")
    view.model.insertItem(2, "a", str(tmp_path / "a.safetensors"))
    view.model.setCurrentIndex(2)
    view.set_choices(Choices([("default", "default")], DEVICES))
    assert titles(view) == ["default", "a", FROM_FILE]
    assert view.options().model == str(tmp_path / "a.safetensors")


def test_a_renamed_model_stays_chosen(view):
    view.model.setCurrentText("mine")
    view.set_choices(Choices([("default", "default"), ("ours", "ours")], DEVICES), "ours")
    assert view.options().model == "ours"


def choose(view, title):
    """As a user does: the box changes, then says that it was the user."""
    view.model.setCurrentText(title)
    view.model.activated.emit(view.model.currentIndex())


def test_the_library_is_offered_where_there_is_one_and_the_model_stays_chosen(view):
    assert MANAGE not in titles(view)
    asked = []
    view.offer_library(lambda: asked.append(view.options().model))
    choose(view, "mine")
    choose(view, MANAGE)
    assert asked == ["mine"]
    view.set_choices(Choices([("default", "default"), ("mine", "mine")], DEVICES))
    assert titles(view) == ["default", "mine", FROM_FILE, MANAGE]
    assert view.options().model == "mine"


@pytest.mark.parametrize("chosen", [True, False])
def test_a_file_is_chosen_or_the_model_stays(view, monkeypatch, tmp_path, chosen):
    path = str(tmp_path / "a.safetensors") if chosen else ""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    choose(view, "mine")
    choose(view, FROM_FILE)
    assert view.options().model == (path or "mine")
    assert titles(view) == ["default", "mine", *(["a"] if chosen else []), FROM_FILE]


def test_planes_are_a_choice_of_stacks_only(view, qtbot):
    view.show()
    assert not view.planes.isVisible()
    assert not view.options().all_planes
    view.set_planes(20)
    assert view.planes.isVisible()
    assert not view.linked.isVisible(), "one plane has nothing to link"
    view.planes.setCurrentText("all 20")
    assert view.linked.isVisible()
    assert view.options().all_planes
    assert view.options().linked
    view.set_planes(1)
    assert not view.planes.isVisible()


def test_the_stain_stays_chosen_from_one_colour_image_to_the_next(view):
    colours = [("all colours", "view"), ("hematoxylin alone", "hematoxylin")]
    view.set_channels(colours)
    assert view.options().channel == "view"
    view.channel.setCurrentIndex(1)
    view.set_channels(colours)
    assert view.options().channel == "hematoxylin"
    view.set_channels([("the one in view", "view"), ("1", 0)])
    assert view.options().channel == "view"
    view.set_channels([])
    assert view.options().channel == "view"


def test_linking_applies_at_once(view, qtbot):
    with qtbot.waitSignal(view.thresholds_changed):
        view.linked.click()
    assert not view.options().linked
