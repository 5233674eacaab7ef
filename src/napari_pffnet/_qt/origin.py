"""Which model a layer's nuclei come from."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from napari.layers import Labels


def layer_origin(layer: Labels) -> str:
    """Return name and hash of the model that made a layer of ours; empty for other layers."""
    model = layer.metadata.get("napari-pffnet", {}).get("model", "")
    return model_origin(str(model)) if model else ""


@cache
def model_origin(model: str) -> str:
    """Return the file's name and the first 8 digits of its SHA-256; the name alone if there is no such file."""
    shipped = Path(str(files("napari_pffnet") / "weights" / f"{model}.safetensors"))
    file = shipped if shipped.is_file() else Path(model)
    if not file.is_file():
        return file.stem
    return f"{file.stem} {hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
