import errno
import os

import pytest

from napari_pffnet.io import patience
from napari_pffnet.io.atomic import write_atomic


def test_bytes_and_functions_replace_the_file(tmp_path):
    file = tmp_path / "a.txt"
    write_atomic(file, b"one")
    write_atomic(file, lambda path: path.write_text(f"two{path.suffix}"))
    assert file.read_text() == "two.txt"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"old")

    def half(path):
        path.write_bytes(b"ne")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_atomic(file, half)
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_stays_one(tmp_path):
    (tmp_path / "kept").mkdir()
    link, file = tmp_path / "a.txt", tmp_path / "kept" / "b.txt"
    file.write_bytes(b"old")
    link.symlink_to(file)
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_is_not_to_be_replaced_stays(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    file = tmp_path / "a.txt"
    write_atomic(file, b"first", replace=False)
    with pytest.raises(FileExistsError):
        write_atomic(file, b"second", replace=False)
    assert file.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_others_may_read_the_file(tmp_path):
    write_atomic(tmp_path / "atomic", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_error_names_the_file_that_was_wanted(tmp_path):
    def full(path):
        path.write_bytes(b"a")
        raise OSError(errno.ENOSPC, "No space left on device")

    for path, content in ((tmp_path / "a.txt", full), (tmp_path / "missing" / "a.txt", b"a")):
        with pytest.raises(OSError, match=r"a\.txt") as caught:
            write_atomic(path, content)
        assert caught.value.filename == str(path)
    assert caught.type is FileNotFoundError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_that_is_open_elsewhere_for_a_moment_is_waited_for(tmp_path, monkeypatch, replace):
    refusals = [5, 32, 33]

    def hindered(action):
        def move(*paths):
            if refusals:
                error = PermissionError(errno.EACCES, "used by another process", str(paths[0]))
                error.winerror = refusals.pop()
                raise error
            return action(*paths)

        return move

    for name in ("replace", "link"):
        monkeypatch.setattr(os, name, hindered(getattr(os, name)))
    file = tmp_path / "a.txt"
    write_atomic(file, b"new", replace=replace)
    assert file.read_bytes() == b"new"
    assert not refusals
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_that_stays_open_elsewhere_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    def refuse(*paths):
        error = PermissionError(errno.EACCES, "Access is denied", str(paths[0]))
        error.winerror = 5
        raise error

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    file = tmp_path / "a.csv"
    file.write_bytes(b"old")
    with pytest.raises(PermissionError, match=r"Access is denied; if it is open in another program.*a\.csv"):
        write_atomic(file, b"new")
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.csv"]
