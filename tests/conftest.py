"""No test reads or changes the models of the person who runs it."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_models(tmp_path, monkeypatch):
    """An empty folder of the user's models; it does not exist yet."""
    folder = tmp_path / "data" / "models"
    monkeypatch.setenv("NAPARI_PFFNET_MODELS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def trash(tmp_path, monkeypatch):
    """A folder instead of the trash of the person who runs the tests; it does not exist yet."""
    folder = tmp_path / "trash"

    def throw(path: Path) -> None:
        folder.mkdir(exist_ok=True)
        shutil.move(path, folder)

    monkeypatch.setattr("send2trash.send2trash", throw)
    return folder
