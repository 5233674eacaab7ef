"""The dialog of the model library: real controller, real library, real window; files chosen by the test."""

import pytest
from panel_fakes import at_once
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox

from model_files import write_model
from napari_pffnet._qt.models.controller import ModelsController
from napari_pffnet._qt.models.view import DATE, NAME, NOTE, QUALITY, ModelsView
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.library import add, entries

CARD = {"date": "2026-11-20", "validation": {"ap50": 0.7}}


@pytest.fixture
def mine(tmp_path):
    return add(write_model(tmp_path / "x.safetensors", CARD), "liver", "20 images")


@pytest.fixture
def dialog(mine, qtbot):
    view = ModelsView()
    qtbot.addWidget(view)
    view.controller = ModelsController(view, at_once)
    view.changes = []
    view.controller.changed.connect(lambda old, new: view.changes.append((old, new)))
    view.controller.open()
    return view


def row(dialog, name):
    return next(i for i in range(dialog.table.rowCount()) if dialog.table.item(i, NAME).text() == name)


def text(dialog, name, column):
    return dialog.table.item(row(dialog, name), column).text()


def select(dialog, name):
    dialog.table.setCurrentCell(row(dialog, name), NAME)


def type_into(dialog, name, column, new):
    """Double-click a cell, type and press Enter."""
    item = dialog.table.item(row(dialog, name), column)
    place = dialog.table.visualItemRect(item).center()
    QTest.mouseClick(dialog.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseDClick(dialog.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    editors = dialog.table.viewport().findChildren(QLineEdit)
    if not editors:
        return False
    editor = editors[-1]  # earlier ones are deleted by and by
    editor.selectAll()
    QTest.keyClicks(editor, new)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    QApplication.processEvents()  # Qt takes the text over when the key has been dealt with
    return True


def names():
    return [entry.name for entry in entries()]


def test_each_model_has_a_row(dialog):
    assert dialog.isVisible()
    assert dialog.table.rowCount() == 2
    assert [text(dialog, "liver", column) for column in (QUALITY, DATE, NOTE)] == [
        "AP50 0.70",
        "2026-11-20",
        "20 images",
    ]
    assert text(dialog, "default", NOTE) == "comes with the package"


def test_name_and_note_are_changed_in_place(dialog):
    assert type_into(dialog, "liver", NAME, "zebrafish liver")
    assert names() == ["default", "zebrafish liver"]
    assert type_into(dialog, "zebrafish liver", NOTE, "the good one")
    assert entries()[1].note == text(dialog, "zebrafish liver", NOTE) == "the good one"
    assert dialog.changes == [("liver", "zebrafish liver"), ("zebrafish liver", "zebrafish liver")]


def test_a_name_that_is_taken_goes_back_and_says_why(dialog):
    assert type_into(dialog, "liver", NAME, "Default")
    assert names() == ["default", "liver"]
    assert text(dialog, "liver", NAME) == "liver"
    assert "there is a model 'Default' already" in dialog.status.text()
    assert dialog.changes == []


@pytest.mark.parametrize(("name", "column"), [("default", NAME), ("default", NOTE), ("liver", QUALITY)])
def test_what_is_not_the_user_s_cannot_be_edited(dialog, name, column):
    assert not type_into(dialog, name, column, "other")


@pytest.mark.parametrize("sure", [True, False])
def test_delete_asks(dialog, monkeypatch, sure):
    answer = QMessageBox.StandardButton.Yes if sure else QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda _parent, _title, question: answer)
    select(dialog, "liver")
    dialog.remove_button.click()
    assert names() == (["default"] if sure else ["default", "liver"])
    assert dialog.table.rowCount() == len(names())
    assert dialog.changes == ([("liver", "")] if sure else [])


def test_models_of_the_package_cannot_be_deleted_but_exported(dialog):
    select(dialog, "default")
    assert not dialog.remove_button.isEnabled()
    assert dialog.export_button.isEnabled()


def test_export_and_import(dialog, mine, monkeypatch, tmp_path):
    target = str(tmp_path / "liver.safetensors")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **_named: (target, ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (target, ""))
    select(dialog, "liver")
    dialog.export_button.click()
    assert fingerprint(target) == mine.sha256
    dialog.export_button.click()
    assert "is there already and stays as it is" in dialog.status.text()
    dialog.import_button.click()
    assert names() == ["default", "liver", "liver 2"], "a taken name gets a number"
    assert dialog.changes == [("", "liver 2")]
    assert dialog.table.currentRow() == 2
    assert dialog.import_button.isEnabled()


def test_a_foreign_file_is_refused_with_the_reason(dialog, monkeypatch, tmp_path):
    (tmp_path / "a.safetensors").write_text("no model")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "a.safetensors"), ""))
    dialog.import_button.click()
    assert "get the file again" in dialog.status.text()
    assert names() == ["default", "liver"]
    assert dialog.table.isEnabled()


def test_a_damaged_model_says_what_to_do_and_can_be_deleted(dialog, own_models):
    (own_models / "bad.safetensors").write_bytes(b"")
    dialog.controller.open()
    assert text(dialog, "bad", QUALITY) == "damaged"
    select(dialog, "bad")
    assert "get the file again" in dialog.status.text()
    assert dialog.remove_button.isEnabled()
    assert not dialog.export_button.isEnabled()
