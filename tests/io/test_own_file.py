import os

from napari_pffnet.io.own_file import OwnFile


def test_what_others_wrote_is_kept_beside(tmp_path):
    file = OwnFile(tmp_path / "a.txt")
    assert file.read() is None
    assert file.write(b"ours") == ""
    file.path.write_bytes(b"theirs")
    assert file.changed_outside()
    told = file.write(b"ours again")
    [kept] = tmp_path.glob("a.outside-*.txt")
    assert told == f"{file.path} was changed outside of napari; that version is kept as {kept.name}"
    assert (kept.read_bytes(), file.path.read_bytes()) == (b"theirs", b"ours again")
    assert not file.changed_outside()


def test_a_new_date_alone_is_no_change(tmp_path):
    file = OwnFile(tmp_path / "a.txt")
    file.write(b"ours")
    os.utime(file.path, (1, 1))
    assert file.write(b"more") == ""


def test_a_deleted_file_is_noticed_and_written_again(tmp_path):
    file = OwnFile(tmp_path / "a.txt")
    file.write(b"ours")
    file.path.unlink()
    assert file.changed_outside()
    assert file.write(b"more") == ""
    assert file.path.read_bytes() == b"more"
