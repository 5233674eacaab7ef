"""No test reads or changes the keys of the person who runs it."""

import pytest


@pytest.fixture(autouse=True)
def own_keys(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_pffnet._qt.correct.keys.keys_file", lambda: tmp_path / "settings" / "keys.json")
