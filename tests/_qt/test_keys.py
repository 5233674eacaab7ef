"""Keys on the layer being corrected."""

import json
from unittest.mock import Mock

import numpy as np
import pytest
from app_model.types import KeyBinding
from napari.components import ViewerModel

from napari_pffnet._qt.correct.keys import Keys, keys_file, napari_has, normal
from napari_pffnet._qt.layers.active_labels import ActiveLabels


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.add_labels(np.zeros((4, 4), int))
    return viewer


def make(viewer, path, **keys):
    keys = keys or {"delete": "D", "merge": "J", "shrink": "Shift-G"}
    result = Keys(ActiveLabels(viewer), path)
    calls = Mock()
    for name, key in keys.items():
        result.add(name, key, name.capitalize(), getattr(calls, name))
    return result, calls


def press(viewer, key):
    """Call what the layer has on a key; None if it has nothing."""
    layer = viewer.layers[0]
    function = layer.keymap.get(KeyBinding.from_str(key))
    return function(layer) if function else None


def test_key_calls_its_action(viewer, tmp_path):
    keys, calls = make(viewer, tmp_path / "keys.json")
    press(viewer, "Shift-G")
    calls.shrink.assert_called_once_with()
    calls.delete.assert_not_called()
    assert keys.titles() == {"delete": "Delete", "merge": "Merge", "shrink": "Shrink"}


def test_changed_key_survives_a_restart(viewer, tmp_path):
    path = tmp_path / "deep" / "keys.json"
    keys, calls = make(viewer, path)
    changed = Mock()
    keys.changed.connect(changed)
    keys.change("delete", "ctrl+shift+k")
    changed.assert_called_once_with("delete")
    assert press(viewer, "D") is None
    press(viewer, "Ctrl-Shift-K")
    calls.delete.assert_called_once_with()
    keys.close()
    again, _ = make(viewer, path)
    assert [again.key(name) for name in again.titles()] == ["Ctrl-Shift-K", "J", "Shift-G"]
    again.reset()
    assert again.key("delete") == "D"
    assert json.loads(path.read_text()) == {"keys": {}}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("J", "the key of 'Merge'"),
        ("M", "napari: 'Set the currently selected label"),
        ("Ctrl-Z", "napari: 'Undo the last paint"),
        ("Ctrl-0", "napari: 'Fit to View"),
        ("Y", "napari: 'What another plugin does.'"),
        ("Foo", "is no key that can be used"),
        ("Shift", "is no key that can be used"),
        ("Ctrl+K Ctrl+S", "press one key"),
        ("Shift+1", "Shift works with letters"),
    ],
)
def test_key_of_another_is_refused_and_named(viewer, tmp_path, key, reason):
    def other(_viewer):
        """What another plugin does."""

    viewer.bind_key("Y", other)
    keys, _ = make(viewer, tmp_path / "keys.json")
    with pytest.raises(ValueError, match=reason):
        keys.change("delete", key)
    assert keys.key("delete") == "D"
    assert not keys.path.exists()


def test_two_keys_are_exchanged_by_way_of_none(viewer, tmp_path):
    keys, calls = make(viewer, tmp_path / "keys.json")
    keys.change("delete", "")
    assert press(viewer, "D") is None
    keys.change("merge", "D")
    keys.change("delete", "J")
    keys.close()
    again, calls = make(viewer, keys.path)
    press(viewer, "D")
    calls.merge.assert_called_once_with()
    assert again.key("delete") == "J"
    again.reset()
    assert (again.key("delete"), again.key("merge")) == ("D", "J")


def test_key_that_the_user_gave_away_stays_there(viewer, tmp_path):
    keys, _ = make(viewer, tmp_path / "keys.json", delete="D")
    keys.change("delete", "J")
    keys.close()
    again, _ = make(viewer, keys.path)
    assert (again.key("delete"), again.key("merge")) == ("J", "")
    again.change("merge", "D")
    assert again.key("merge") == "D"


def test_held_key_goes_before_and_comes_back(viewer, tmp_path):
    keys, calls = make(viewer, tmp_path / "keys.json")
    first, second = Mock(), Mock()
    keys.hold("first", "D", first)
    keys.hold("second", "D", second)
    press(viewer, "D")
    keys.release("second")
    keys.release("second")
    press(viewer, "D")
    keys.release("first")
    press(viewer, "D")
    assert [second.call_count, first.call_count, calls.delete.call_count] == [1, 1, 1]


def test_keys_move_with_the_layer_and_what_was_there_comes_back(viewer, tmp_path):
    own, layer = Mock(), viewer.layers[0]
    layer.bind_key("D", own)
    keys, _ = make(viewer, tmp_path / "keys.json")
    keys.hold("tool", "Escape", Mock())
    second = viewer.add_labels(np.zeros((4, 4), int))
    assert layer.keymap == {KeyBinding.from_str("D"): own}
    assert len(second.keymap) == 4
    keys.close()
    assert second.keymap == {}
    viewer.layers.selection.active = layer
    assert layer.keymap == {KeyBinding.from_str("D"): own}


@pytest.mark.parametrize("content", ["{", "[]", '{"keys": 3}', '{"keys": {"delete": "Foo"}}', "\xff\xfe"])
def test_damaged_file_gives_the_defaults_and_a_message(viewer, tmp_path, content):
    path = tmp_path / "keys.json"
    path.write_bytes(content.encode("latin-1"))
    keys, _ = make(viewer, path)
    assert keys.key("delete") == "D"
    assert str(path) in keys.message
    keys.change("delete", "K")
    assert keys.message == ""
    assert make(viewer, path)[0].key("delete") == "K"


def test_folder_that_cannot_be_written_is_told(viewer, tmp_path):
    (tmp_path / "file").write_text("")
    keys, calls = make(viewer, tmp_path / "file" / "keys.json")
    keys.change("delete", "K")
    assert "could not be saved" in keys.message
    press(viewer, "K")
    calls.delete.assert_called_once_with()


def test_same_name_twice_is_refused(viewer, tmp_path):
    keys, _ = make(viewer, tmp_path / "keys.json")
    with pytest.raises(ValueError, match="already"):
        keys.add("delete", "K", "Delete", Mock())


def test_on_windows_keys_of_earlier_versions_are_kept_in_the_folder_of_the_program(monkeypatch, tmp_path):
    monkeypatch.undo()

    def folder(name, appauthor=None):  # as platformdirs has it there
        return tmp_path / name if appauthor is False else tmp_path / name / name

    monkeypatch.setattr("napari_pffnet._qt.correct.keys.user_config_path", folder)
    before = folder("napari-pffnet") / "keys.json"
    before.parent.mkdir(parents=True)
    before.write_text("mine")
    for _ in range(2):
        assert keys_file() == tmp_path / "napari-pffnet" / "keys.json"
        assert keys_file().read_text() == "mine"
        assert not before.exists()


def test_where_and_how_keys_are_written(viewer, monkeypatch):
    monkeypatch.undo()
    assert keys_file().name == "keys.json"
    assert keys_file().parent.name == "napari-pffnet"
    assert [normal(key) for key in ("d", "shift+g", "Return", "Ctrl--", "F5")] == [
        "D",
        "Shift-G",
        "Enter",
        "Ctrl--",
        "F5",
    ]
    assert napari_has("D", viewer) == napari_has("", viewer) == ""


def test_some_keys_work_whatever_is_selected(viewer, tmp_path):
    def others(_viewer):
        pass

    viewer.bind_key("F5", others)
    keys, calls = make(viewer, tmp_path / "keys.json", delete="D")
    keys.add("segment", "F5", "Segment", calls.segment, anywhere=True)
    viewer.layers.selection.clear()
    f5, f8 = KeyBinding.from_str("F5"), KeyBinding.from_str("F8")
    viewer.keymap[f5](viewer)
    calls.segment.assert_called_once_with()
    keys.change("segment", "F8")
    assert viewer.keymap[f5] is others
    viewer.keymap[f8](viewer)
    assert calls.segment.call_count == 2
    keys.change("segment", "F8")
    with pytest.raises(ValueError, match="the key of 'Segment'"):
        keys.change("delete", "F8")
    keys.close()
    assert f8 not in viewer.keymap
