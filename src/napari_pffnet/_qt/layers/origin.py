"""Which model and which image a layer's nuclei come from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_pffnet.io.fingerprint import fingerprint
from napari_pffnet.library import LibraryError, find


def layer_origin(layer: Labels) -> str:
    """Return name and hash of the model that made a layer of ours, as they were then; empty for other layers."""
    facts = layer.metadata.get("napari-pffnet", {})
    known, model = facts.get("origin", ""), facts.get("model", "")
    return str(known) or (model_origin(str(model)) if model else "")


def model_origin(model: str) -> str:
    """Return the file's name and the first 8 digits of its SHA-256; the name alone if there is no such file."""
    try:
        file = find(model)
        status = file.stat()
    except (LibraryError, OSError):
        return Path(model).stem
    return f"{file.stem} {_fingerprint(file, status.st_mtime_ns, status.st_size)[:8]}"


def image_facts(image: Image) -> dict[str, str | None]:
    """Return what a layer's metadata say of the image that it was made of (`made_of`)."""
    return {"image": image.name, "image_id": str(image.unique_id), "file": image.source.path}


def made_of(layer: Labels, image: Image) -> bool | None:
    """Whether a layer was made of that image; None if it cannot be known.

    An image that was opened again has its name and file only, one that was renamed its id only.
    """
    facts = layer.metadata.get("napari-pffnet", {})
    same_file = facts.get("file", image.source.path) == image.source.path
    if facts.get("image_id") == str(image.unique_id) or (facts.get("image") == image.name and same_file):
        return True
    return False if "image_id" in facts else None


def nuclei_of(viewer: ViewerModel, image: Image) -> list[Labels]:
    """Return the visible Labels layers that hold nuclei found in an image."""
    found = [layer for layer in viewer.layers if isinstance(layer, Labels) and layer.visible]
    return [layer for layer in found if made_of(layer, image) and not layer.metadata["napari-pffnet"].get("content")]


@cache
def _fingerprint(file: Path, _changed: int, _size: int) -> str:
    """Read a file once, and again when it has changed."""
    return fingerprint(file)
