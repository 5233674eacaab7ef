"""Adding what is open in napari to a project. No Qt in here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Labels

from napari_pffnet._qt.layers.planes import Array
from napari_pffnet._qt.project.layers import all_rows
from napari_pffnet._qt.project.pairing import Pair, name_of, place_of, sizes_of
from napari_pffnet.curate.project import Project
from napari_pffnet.curate.work import Annotation
from napari_pffnet.io.regions import Regions

SLICE = "The slice {} of '{}' is in the project; its other slices, and its layers, are not changed by what you do here."
DRAWN = "Complete is what you had drawn; mark what else is."


def add_pair(project: Project, pair: Pair, order: Sequence[int]) -> str:
    """Add an image, or the part that was segmented, and what is annotated there; return its name.

    `order` is that of the viewer's axes.

    Raises
    ------
    ProjectError, PlaneError, OSError
        It cannot be read or written, or is in the project already.
    """
    image, plane = pair.image, pair.plane
    pixels = plane.read()[..., :3] if len(plane.pixels.shape) == 3 else plane.read()
    sizes, place = sizes_of(image, order, plane.part), place_of(image, order, plane.part)
    name = project.add_pixels(name_of(image, order, plane), pixels, sizes, place)
    if pair.layer is not None and pair.labels is not None:
        _annotate(project, name, pair.layer, pair.labels)
    if pair.areas:
        project.write_regions(name, Regions(areas=pair.areas))
    return name


def about(pair: Pair) -> str:
    """Say what of an image is in the project now, if that is not all of it."""
    where = ", ".join(f"{axis}: {i}" for axis, i in pair.plane.position.items())
    if where:
        return SLICE.format(where, pair.image.name)
    return DRAWN if pair.areas else ""


def _annotate(project: Project, name: str, layer: Labels, labels: Array) -> None:
    """Save nuclei (H×W, of a layer) as the annotation of a new image; ids under 0 are background."""
    labels = np.maximum(labels, 0)
    work = project.work(name, (labels.shape[0], labels.shape[1]))
    work.save(Annotation(labels, None, all_rows(layer, labels)))
    work.close()
    layer.visible = False
