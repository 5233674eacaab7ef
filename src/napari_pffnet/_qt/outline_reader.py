"""Outlines of QuPath and ImageJ, opened or dropped in napari: nuclei on the image that is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from napari import current_viewer
from napari.components import ViewerModel
from napari.layers import Image

from napari_pffnet._qt.layers.origin import image_facts
from napari_pffnet._qt.layers.planes import is_image, take_plane
from napari_pffnet.data.outlines import SUFFIXES, image_name, read_outlines
from napari_pffnet.readers import NUCLEI, Layer


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Layer]] | None:
    """Return the reader of outlines; None for anything else."""
    if not isinstance(path, str) or Path(path).suffix.lower() not in SUFFIXES:
        return None
    return None if path.lower().endswith(".zip") and not is_zipfile(path) else read_layer


def read_layer(path: str | list[str]) -> list[Layer]:
    """Return the outlines as a Labels layer on the image that is open, on its plane in view.

    Raises
    ------
    RuntimeError
        No viewer, or no image, is open, or one of several would have to be chosen.
    DataError, PlaneError
        The file cannot be used, or is of another image.
    """
    file = Path(path if isinstance(path, str) else path[0])
    viewer = current_viewer()
    image = find_image(viewer, image_name(file)) if viewer else None
    if viewer is None or image is None:
        raise RuntimeError(
            f"{file.name} has outlines, not pixels: open their image first, and select it if there are several"
        )
    plane = take_plane(image, viewer.dims.point, viewer.dims.order)
    labels, _ = read_outlines(file, (plane.part.height, plane.part.width))
    facts: dict[str, Any] = {**image_facts(image), "position": plane.position}
    look = {"name": f"{NUCLEI} of {file.stem}", "opacity": 0.7, "metadata": {"napari-pffnet": facts}}
    return [(labels.reshape(plane.shape), {**plane.placement, **look}, "labels")]


def find_image(viewer: ViewerModel, name: str) -> Image | None:
    """Return the image of that name or file, else the only one that is selected, visible or open; None if unclear."""
    images = [layer for layer in viewer.layers if is_image(layer)]
    named = [layer for layer in images if name in (layer.name, Path(layer.source.path or "").stem)]
    selected = [layer for layer in images if layer in viewer.layers.selection]
    for choice in (named, selected, [layer for layer in images if layer.visible], images):
        if len(choice) == 1:
            return choice[0]
    return None
