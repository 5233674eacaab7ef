import os
from pathlib import Path, PureWindowsPath

import pytest

from napari_pffnet.io.paths import portable, relative


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("cells 3 (a+b)", "cells 3 (a+b)"),
        ("Präparat.7", "Präparat.7"),
        ("a:b", "a_b"),
        ("x\\y?", "x_y_"),
        ("field. ", "field"),
        ("nul", "nul_"),
        ("AUX.1", "AUX.1_"),
        ("console", "console"),
    ],
)
def test_names_hold_on_every_system(name, stored):
    assert portable(name) == stored
    assert PureWindowsPath(stored).name == stored


def test_paths_are_seen_from_a_folder(tmp_path):
    assert relative(tmp_path / "images" / "a.tif", tmp_path / "labels") == "../images/a.tif"


def test_a_path_on_another_drive_is_whole(monkeypatch):
    def other_drive(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    assert relative(Path("/d/a.tif"), Path("/c")) == "/d/a.tif"
