"""Files that make a run wait or end."""

from threading import Timer

from napari_pffnet.train.control import PAUSE_FILE, STOP_FILE, stop_asked


def test_nothing_is_asked_for_without_files(tmp_path):
    assert not stop_asked(tmp_path)


def test_a_stop_file_asks_to_stop(tmp_path):
    (tmp_path / STOP_FILE).touch()
    assert stop_asked(tmp_path)


def test_a_pause_lasts_as_long_as_its_file(tmp_path):
    (tmp_path / PAUSE_FILE).touch()
    Timer(0.1, (tmp_path / PAUSE_FILE).unlink).start()
    assert not stop_asked(tmp_path)
    assert not (tmp_path / PAUSE_FILE).exists()


def test_a_paused_run_can_be_stopped(tmp_path):
    (tmp_path / PAUSE_FILE).touch()
    (tmp_path / STOP_FILE).touch()
    assert stop_asked(tmp_path)
