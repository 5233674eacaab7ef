"""Who works on something."""

import json
import shutil

import pytest

from napari_pffnet.io.lock import InUse, Lock


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({}, False),
        ({"started": 1}, True),
        ({"pid": 2**22 - 3, "started": None}, True),
        ({"host": "another", "pid": 2**22 - 3}, False),
        (None, True),
    ],
)
def test_lock_of_an_ended_program_is_no_lock(tmp_path, change, stale):
    file = tmp_path / "work.lock"
    lock = Lock(file)
    content = json.loads(file.read_text())
    file.write_text("" if change is None else json.dumps({**content, **change}))
    if stale:
        assert Lock(file).held()
        assert not lock.held()
    else:
        with pytest.raises(InUse, match=r"^by .* on .* since "):
            Lock(file)


def test_lock_is_given_back(tmp_path):
    Lock(tmp_path / "a").release()
    assert not list(tmp_path.iterdir())
    Lock(tmp_path / "a")


def test_a_lock_whose_folder_is_gone_is_given_back_in_silence(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    lock = Lock(folder / "lock")
    shutil.rmtree(folder)
    lock.release()
    assert not folder.exists()


def test_a_lock_that_was_deleted_is_set_again(tmp_path):
    lock = Lock(tmp_path / "a")
    (tmp_path / "a").unlink()
    assert lock.held()
    with pytest.raises(InUse):
        Lock(tmp_path / "a")
