"""Adding, renaming, noting, removing and exporting models; nothing is ever overwritten."""

import errno
import os

import pytest
import torch

from model_files import changed_weight, write_model
from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.library import (
    LibraryError,
    add,
    annotate,
    available,
    entries,
    export,
    free_name,
    load_model,
    remove,
    rename,
)
from napari_pffnet.library import changes as library_changes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors", {"name": "tiny"})


def mine():
    return {entry.name: entry for entry in entries() if not entry.embedded}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_add_copies_the_file_and_remembers_hash_note_and_day(model, own_models):
    entry = add(model, " My cells ", "  20 images \n")
    assert entry == mine()["My cells"]
    assert (entry.path, entry.note) == (own_models / "My cells.safetensors", "20 images")
    assert entry.sha256 == fingerprint(entry.path) == fingerprint(model)
    assert entry.path.read_bytes() == model.read_bytes()
    assert len(entry.added) == len("2026-11-23")


def test_import_takes_the_name_of_the_file_or_another(model):
    assert add(model).name == "tiny"
    assert add(model, "other", "twice").note == "twice"
    assert list(mine()) == ["other", "tiny"]


@pytest.mark.parametrize("name", ["mine", "MINE", "default", "Default"])
def test_a_taken_name_is_refused_and_nothing_changes(model, own_models, tmp_path, name):
    add(model, "mine", "first")
    add(model, "other")
    before = content(own_models)
    other = write_model(tmp_path / "other.safetensors", seed=1)
    for change in (lambda: add(other, name), lambda: rename("other", name)):
        known = "" if name in ("mine", "default") else f", as '{name.lower()}'"
        with pytest.raises(LibraryError, match=f"there is a model '{name}' already{known}; choose another"):
            change()
    assert content(own_models) == before


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a/b",
        "..",
        "a\\b",
        "a:b",
        "a\nb",
        "\u202ea",
        ".a",
        "-a",
        "a.",
        "con",
        "COM1.x",
        "none",
        "a.safetensors",
        "x" * 101,
    ],
)
def test_a_name_that_is_no_file_name_everywhere_is_refused(model, own_models, name):
    with pytest.raises(LibraryError, match=r"cannot be the name of a model: .*choose another name"):
        add(model, name)
    assert content(own_models) == {}


@pytest.mark.parametrize("name", ["nuclei in H&E, 2.5× (Ann's)", "Zellkerne groß", "細胞核"])
def test_names_in_words_of_people_work(model, name):
    add(model, name)
    assert load_model(name).card == {"name": "tiny"}


def foreign_files(folder, model):
    whole = model.read_bytes()
    torch.save({"weight": torch.zeros(3)}, folder / "a.pt")
    yield folder / "a.pt", "could run code and is not opened"
    (folder / "b.safetensors").write_bytes((folder / "a.pt").read_bytes())
    yield folder / "b.safetensors", "could run code and is not opened"
    (folder / "c.safetensors").write_bytes(whole[: len(whole) // 2])
    yield folder / "c.safetensors", "get the file again"
    (folder / "d.txt").write_text("no model")
    yield folder / "d.txt", "get the file again"
    (folder / "e.safetensors").write_bytes(b"")
    yield folder / "e.safetensors", "get the file again"
    yield folder / "nowhere.safetensors", "no file"
    yield folder, "no file"


def test_what_is_no_whole_model_is_not_added(model, own_models, tmp_path):
    for path, message in foreign_files(tmp_path, model):
        with pytest.raises(LibraryError, match=message):
            add(path, "new")
    assert content(own_models) == {}


def test_a_crash_while_copying_leaves_nothing(model, own_models, monkeypatch):
    def half(source, target):
        target.write_bytes(source.read_bytes()[:1000])
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(library_changes.shutil, "copyfile", half)
    with pytest.raises(LibraryError, match=r"cannot be written .*no space left.*; make room there, or set NAPARI"):
        add(model, "mine")
    assert content(own_models) == {}


def test_a_disk_that_fills_before_the_note_is_written_leaves_nothing(model, own_models, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(library_changes, "write_sidecar", full)
        with pytest.raises(LibraryError, match=r"cannot be written .*no space left"):
            add(model, "mine")
    assert content(own_models) == {}
    assert add(model, "mine").name == "mine"


def test_what_another_model_of_the_new_name_has_left_is_not_taken_over(model, own_models):
    add(model, "old", "of another")
    (own_models / "old.safetensors").unlink()
    (own_models / "mine.safetensors").write_bytes(model.read_bytes() + b"")
    changed_weight(own_models / "mine.safetensors")
    after = rename("mine", "old")
    assert (after.note, after.fault) == ("", "")
    assert load_model("old").card == {"name": "tiny"}


def test_a_library_that_cannot_be_made_is_said(model, own_models):
    own_models.parent.mkdir(exist_ok=True)
    own_models.write_bytes(b"")
    with pytest.raises(LibraryError, match="the model library cannot be written"):
        add(model, "mine")


def test_a_file_that_changes_while_it_is_copied_is_not_added(model, own_models, monkeypatch):
    monkeypatch.setattr(library_changes.shutil, "copyfile", lambda source, target: target.write_bytes(b"other"))
    with pytest.raises(LibraryError, match="changed while it was copied"):
        add(model, "mine")
    assert content(own_models) == {}


@pytest.mark.parametrize("links", [True, False])
def test_rename_keeps_file_hash_and_note(model, own_models, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    before = add(model, "old", "my note")
    after = rename("old", "new")
    assert list(mine()) == ["new"]
    assert (after.note, after.sha256, after.added) == (before.note, before.sha256, before.added)
    assert set(content(own_models)) == {"new.safetensors", "new.json"}
    assert load_model("new").card == {"name": "tiny"}


def test_a_note_changes_neither_file_nor_hash(model, own_models):
    before = add(model, "mine", "old")
    assert annotate("mine", "new").note == mine()["mine"].note == "new"
    assert annotate("mine", "").note == ""
    assert mine()["mine"].sha256 == before.sha256 == fingerprint(own_models / "mine.safetensors")


def test_a_note_for_a_file_put_there_by_hand_keeps_its_hash_from_then_on(model, own_models):
    own_models.mkdir(parents=True)
    (own_models / "dropped.safetensors").write_bytes(model.read_bytes())
    assert annotate("dropped", "from Ann").sha256 == fingerprint(model)
    changed_weight(own_models / "dropped.safetensors")
    with pytest.raises(LibraryError, match="import it again"):
        load_model("dropped")


def test_remove_moves_one_model_to_the_trash(model, own_models, trash):
    for name in ("mine", "mine 2"):
        add(model, name)
    remove("mine")
    assert list(mine()) == ["mine 2"]
    assert set(content(own_models)) == {"mine 2.safetensors", "mine 2.json"}
    assert (trash / "mine.safetensors").read_bytes() == model.read_bytes()
    assert (trash / "mine.json").exists()


def test_remove_without_a_trash_leaves_the_model(model, own_models, monkeypatch):
    def refuse(_path):
        raise PermissionError("no trash on this drive")

    monkeypatch.setattr("send2trash.send2trash", refuse)
    add(model, "mine")
    with pytest.raises(LibraryError, match=r"cannot be moved to the trash \(no trash on this drive\); delete .*mine"):
        remove("mine")
    assert list(mine()) == ["mine"]


@pytest.mark.parametrize("change", [lambda n: rename(n, "x"), lambda n: annotate(n, "x"), remove])
def test_models_of_the_package_and_unknown_ones_are_not_changed(change):
    before = available()["default"].read_bytes()
    with pytest.raises(LibraryError, match="comes with the package and stays as it is"):
        change("default")
    with pytest.raises(LibraryError, match="no model 'nowhere' in"):
        change("nowhere")
    with pytest.raises(LibraryError, match=r"no model '\.\./weights/default' in"):
        change("../weights/default")
    assert available()["default"].read_bytes() == before


def test_a_file_that_hides_behind_the_package_s_can_be_renamed(model, own_models):
    own_models.mkdir(parents=True)
    (own_models / "default.safetensors").write_bytes(model.read_bytes())
    assert rename("default", "rescued").fault == ""
    assert list(mine()) == ["rescued"]


def test_a_name_can_change_its_case(model, own_models):
    add(model, "mine")
    assert rename("mine", "Mine").name == "Mine"
    assert "mine" not in available()
    with pytest.raises(LibraryError, match="there is a model 'Mine' already"):
        rename("Mine", "Mine")


def test_export_writes_a_model_that_can_be_imported(model, tmp_path):
    add(model, "mine", "a note")
    assert export("mine", tmp_path / "for Ann") == tmp_path / "for Ann.safetensors"
    assert export("mine", tmp_path) == tmp_path / "mine.safetensors"
    assert add(tmp_path / "for Ann.safetensors").sha256 == fingerprint(model)
    assert export("mine", f"{tmp_path}/new folder/") == tmp_path / "new folder" / "mine.safetensors"
    assert fingerprint(export("default", tmp_path / "new" / "d.safetensors")) == fingerprint(available()["default"])


def test_export_never_overwrites_and_exports_nothing_damaged(model, own_models, tmp_path):
    add(model, "mine")
    (tmp_path / "there.safetensors").write_text("precious")
    with pytest.raises(LibraryError, match="is there already"):
        export("mine", tmp_path / "there.safetensors")
    assert (tmp_path / "there.safetensors").read_text() == "precious"
    with pytest.raises(LibraryError, match="no model 'nowhere'"):
        export("nowhere", tmp_path / "out.safetensors")
    changed_weight(own_models / "mine.safetensors")
    with pytest.raises(LibraryError, match="import it again"):
        export("mine", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_free_names_have_a_number_if_need_be(model):
    add(model, "liver")
    assert free_name("new") == "new"
    assert free_name("Liver") == "Liver 2"
    add(model, "liver 2")
    assert free_name("liver") == "liver 3"
