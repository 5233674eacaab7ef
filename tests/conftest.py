"""No test reads or changes the models of the person who runs it."""

import pytest


@pytest.fixture(autouse=True)
def own_models(tmp_path, monkeypatch):
    """An empty folder of the user's models; it does not exist yet."""
    folder = tmp_path / "data" / "models"
    monkeypatch.setenv("NAPARI_PFFNET_MODELS", str(folder))
    return folder
