"""Files that make a run wait or end."""

from napari_pffnet.train.control import PAUSE_FILE, STOP_FILE, asked


def test_files_ask_to_wait_and_to_stop(tmp_path):
    assert asked(tmp_path) == ""
    (tmp_path / PAUSE_FILE).touch()
    assert asked(tmp_path) == "pause"
    (tmp_path / STOP_FILE).touch()
    assert asked(tmp_path) == "stop", "a paused run can be stopped"
