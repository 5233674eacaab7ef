"""Annotation of QuPath, ImageJ and Cellpose, opened or dropped in napari: nuclei on the image that is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from napari import current_viewer
from napari.components import ViewerModel
from napari.layers import Image

from napari_pffnet._qt.layers.axes import is_image
from napari_pffnet._qt.layers.origin import image_facts
from napari_pffnet._qt.layers.planes import Plane, Stack, plane_count, take_plane, take_stack
from napari_pffnet.data.cellpose import read_seg
from napari_pffnet.data.checks import check_shape
from napari_pffnet.data.other_files import holds_annotation, image_name, is_seg
from napari_pffnet.data.outlines import draw_plane, draw_planes, read_objects
from napari_pffnet.readers import NUCLEI, NUCLEI_OPACITY, Layer
from napari_pffnet.typing import Array


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Layer]] | None:
    """Return the reader of such files; None for anything else."""
    if not isinstance(path, str) or not holds_annotation(Path(path)):
        return None
    return None if path.lower().endswith(".zip") and not is_zipfile(path) else read_layer


def read_layer(path: str | list[str]) -> list[Layer]:
    """Return the nuclei as a Labels layer on the image that is open, on its plane in view.

    Where outlines of a stack name their planes, or Cellpose had a stack, the layer has all of them.

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
            f"{file.name} is no image but annotation of one: open that first, and select it if there are several"
        )
    labels, on = _draw(file, image, viewer)
    facts: dict[str, Any] = {**image_facts(image), "position": on.position, "place": on.place.note(on.shape)}
    look = {"name": f"{NUCLEI} of {file.stem}", "opacity": NUCLEI_OPACITY, "metadata": {"napari-pffnet": facts}}
    return [(labels.reshape(on.shape), {**on.placement, **look}, "labels")]


def _draw(file: Path, image: Image, viewer: ViewerModel) -> tuple[Array, Plane | Stack]:
    """Draw the outlines of a file: on the plane in view, or on all if they name theirs."""
    if is_seg(file):
        return _masks(file, image, viewer)
    objects, point = read_objects(file), viewer.dims.point
    order = range(viewer.dims.ndim)  # z and t are planes, whatever is on the screen
    if not any(each.where for each in objects) or plane_count(image, order) < 2:
        plane = take_plane(image, point, viewer.dims.order)
        return draw_plane(file, objects, (plane.part.height, plane.part.width))[0], plane
    stack, plane = take_stack(image, point, order), take_plane(image, point, order)
    [(_, here)] = plane.place.planes(plane.shape)
    return draw_planes(file, objects, stack.shape, stack.place, here), stack


def _masks(file: Path, image: Image, viewer: ViewerModel) -> tuple[Array, Plane | Stack]:
    """Read Cellpose's masks: on the plane in view, or on all if they are of a stack."""
    masks, point = read_seg(file), viewer.dims.point
    on: Plane | Stack
    if masks.ndim > 2:
        on = take_stack(image, point, range(viewer.dims.ndim))
    else:
        on = take_plane(image, point, viewer.dims.order)
    check_shape(file, "masks are", masks.shape, tuple(size for size in on.shape[:-2] if size > 1) + on.shape[-2:])
    return masks, on


def find_image(viewer: ViewerModel, name: str) -> Image | None:
    """Return the image of that name or file, else the only one that is selected, visible or open; None if unclear."""
    images = [layer for layer in viewer.layers if is_image(layer)]
    named = [layer for layer in images if name in (layer.name, Path(layer.source.path or "").stem)]
    selected = [layer for layer in images if layer in viewer.layers.selection]
    for choice in (named, selected, [layer for layer in images if layer.visible], images):
        if len(choice) == 1:
            return choice[0]
    return None
