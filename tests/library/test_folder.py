"""Which models there are, and what is known of them."""

import json
import os
import subprocess
import sys

import pytest

from model_files import changed_weight, write_model
from napari_pffnet.library import LibraryError, add, available, entries, find, load_model, user_folder

DEFAULT = ["default"]


def names(only_good=False):
    return [entry.name for entry in entries() if not (only_good and entry.fault)]


def test_the_folder_is_where_the_variable_says_or_the_platform(own_models, monkeypatch):
    assert user_folder() == own_models
    monkeypatch.setenv("NAPARI_PFFNET_MODELS", "~/models")
    assert "~" not in str(user_folder())
    monkeypatch.delenv("NAPARI_PFFNET_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    assert user_folder().parts[-2:] == ("napari-pffnet", "models")


def test_without_a_folder_there_are_the_models_of_the_package(own_models):
    assert names() == list(available()) == DEFAULT
    assert entries()[0].embedded
    assert not own_models.exists()


def test_models_of_the_user_follow_with_note_and_card(own_models, tmp_path):
    for name in ("b", "A"):
        add(write_model(tmp_path / "x.safetensors", {"date": "2026-11-23"}), name, f"note of {name}")
    assert names() == list(available()) == [*DEFAULT, "A", "b"]
    first = entries()[1]
    assert (first.note, first.card, first.embedded, first.fault) == ("note of A", {"date": "2026-11-23"}, False, "")
    assert find("b") == own_models / "b.safetensors"
    assert load_model("b").card == {"date": "2026-11-23"}


def test_damaged_files_are_listed_with_their_fault_and_hide_nothing(own_models, tmp_path):
    good = write_model(tmp_path / "good.safetensors")
    add(good, "good")
    content = good.read_bytes()
    (own_models / "cut.safetensors").write_bytes(content[:-1])
    (own_models / "empty.safetensors").write_bytes(b"")
    (own_models / "list.safetensors").write_bytes(write_model(tmp_path / "list.safetensors", []).read_bytes())
    (own_models / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    (own_models / "folder.safetensors").mkdir()
    (own_models / ".good-0123.safetensors").write_bytes(content[:100])
    (own_models / "notes.txt").write_text("mine")
    assert names() == [*DEFAULT, "cut", "empty", "good", "list"]
    assert names(only_good=True) == [*DEFAULT, "good"]
    faults = {entry.name: entry.fault for entry in entries()}
    assert "get the file again" in faults["cut"]
    assert "no table of facts" in faults["list"]


def test_a_file_that_cannot_be_read_says_so(own_models, tmp_path):
    add(write_model(tmp_path / "x.safetensors"), "mine")
    (own_models / "mine.json").write_text("{")
    [fault] = [entry.fault for entry in entries() if not entry.embedded]
    assert "mine.json cannot be read" in fault
    with pytest.raises(LibraryError, match="delete it: the model stays"):
        load_model("mine")
    (own_models / "mine.json").unlink()
    assert load_model("mine").path == own_models / "mine.safetensors"


def test_a_file_put_there_by_hand_is_a_model(own_models):
    own_models.mkdir(parents=True)
    write_model(own_models / "dropped.safetensors", {"name": "of a colleague"})
    assert entries()[-1].card == {"name": "of a colleague"}
    assert load_model("dropped").card == {"name": "of a colleague"}


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_changed_file_is_not_loaded(own_models, tmp_path, by):
    add(write_model(tmp_path / "x.safetensors"), "mine")
    path = own_models / "mine.safetensors"
    changed_weight(path)
    assert names(only_good=True) == [*DEFAULT, "mine"], "headers are whole: only loading looks at every byte"
    with pytest.raises(LibraryError, match="import it again from where it came from"):
        load_model("mine" if by == "name" else path)


def test_a_name_wins_over_a_file_and_the_package_over_the_user(own_models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "mine")
    assert find("mine").resolve() == tmp_path / "mine"
    add("mine", "mine")
    assert find("mine") == own_models / "mine.safetensors"
    assert find("./mine").resolve() == tmp_path / "mine"
    write_model(own_models / "default.safetensors")
    assert find("default") == available()["default"] != own_models / "default.safetensors"
    assert [(entry.name, bool(entry.fault)) for entry in entries()] == [
        ("default", False),
        ("default", True),
        ("mine", False),
    ]


@pytest.mark.parametrize("name", ["../models/mine", "models/mine", "mine.safetensors", ""])
def test_a_name_is_no_path_into_the_folder(name, tmp_path):
    add(write_model(tmp_path / "x.safetensors"), "mine")
    with pytest.raises(LibraryError, match="one of: default, mine"):
        find(name)


def test_a_card_of_nested_brackets_is_a_fault_and_no_crash(own_models, tmp_path):
    own_models.mkdir(parents=True)
    path = write_model(own_models / "deep.safetensors", {"deep": "HERE"})
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    header["__metadata__"]["card"] = "[" * 100_000
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + path.read_bytes()[8 + size :])
    assert "cannot be used" in entries()[-1].fault


def test_listing_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\nfrom napari_pffnet.library import entries\nprint(entries()[0].fault)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "\n"
