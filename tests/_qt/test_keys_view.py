"""The dialog of the keys, with real keys."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from users import start

from label_planes import squares
from napari_pffnet._qt.correct.keys_view import KeysDialog


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    user, panel = start(make_napari_viewer, qtbot, squares())
    panel.correct.keys_button.click()
    return user, panel, panel.correct.findChild(KeysDialog)


def give(dialog, name, key, modifier=Qt.KeyboardModifier.NoModifier):
    field = dialog.fields[name]
    QTest.keyClick(field, key, modifier)
    field.editingFinished.emit()  # at the latest when the field loses the focus


def test_new_key_holds_at_once_and_the_button_shows_it(opened):
    user, panel, dialog = opened
    assert list(dialog.fields) == list(panel.keys.titles())
    give(dialog, "delete", Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
    assert panel.keys.key("delete") == "Shift-K"
    assert panel.correct.buttons["delete"].text() == "Delete  ⇧K"
    assert "Shift+K" in panel.correct.buttons["delete"].toolTip()
    give(dialog, "relabel", Qt.Key.Key_F9)
    assert panel.correct.buttons["relabel"].text() == "Relabel 1..N  F9"
    dialog.done_button.click()
    user.move(4, 4)
    user.press(Qt.Key.Key_D)
    assert 1 in user.layer.data
    user.press(Qt.Key.Key_K, Qt.KeyboardModifier.ShiftModifier)
    user.press(Qt.Key.Key_F9)
    assert set(user.layer.data.ravel().tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("key", "reason"),
    [(Qt.Key.Key_J, "the key of 'Merge'"), (Qt.Key.Key_M, "a key of napari"), (Qt.Key.Key_Adiaeresis, "is no key")],
)
def test_refused_key_is_explained_and_the_field_goes_back(opened, key, reason):
    _, panel, dialog = opened
    give(dialog, "delete", key)
    assert reason in dialog.message.text()
    assert dialog.fields["delete"].keySequence().toString() == "D"
    assert panel.keys.key("delete") == "D"


def test_field_is_cleared_and_all_are_reset(opened):
    _, panel, dialog = opened
    dialog.fields["delete"].clear()
    dialog.fields["delete"].editingFinished.emit()
    assert panel.keys.key("delete") == ""
    assert panel.correct.buttons["delete"].text() == "Delete"
    give(dialog, "merge", Qt.Key.Key_D)
    dialog.defaults.click()
    assert (panel.keys.key("delete"), panel.keys.key("merge")) == ("D", "J")
    assert dialog.fields["delete"].keySequence().toString() == "D"
