"""Nuclei found in the project's image in view, or a part of it, become part of its annotation. No Qt in here."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_pffnet._qt.layers.active_labels import ActiveLabels
from napari_pffnet._qt.layers.editable import hindrance
from napari_pffnet._qt.layers.label_plane import LabelPlane
from napari_pffnet._qt.layers.label_rows import rows_by_id
from napari_pffnet._qt.layers.origin import layer_origin, made_of
from napari_pffnet._qt.layers.planes import PLACEMENT, PlaneError
from napari_pffnet._qt.layers.searched import searched_in
from napari_pffnet._qt.layers.selection import remove_if_there
from napari_pffnet._qt.project.layers import OpenImage, plane_of
from napari_pffnet.curate.joining import Joined, join
from napari_pffnet.readers import NUCLEI

PREDICTED = ["score", "quality", "mask_score", "overlap"]


def is_partial(layer: Labels) -> bool:
    """Whether nuclei of a layer were looked for in a part of its image only."""
    return bool(layer.metadata.get("napari-pffnet", {}).get("partial"))


def place_in(image: OpenImage, layer: Labels) -> tuple[slice, slice] | None:
    """Return the rows and columns of an image in which the nuclei of a layer were found; None of what is no result."""
    shown, found = image.layers.get("image"), searched_in(layer)
    if found is None or layer.data.shape[-2:] != (found.part.height, found.part.width):
        return None
    if image.role(layer) or plane_of(layer) != "labels" or not isinstance(shown, Image) or not made_of(layer, shown):
        return None
    part = found.part
    return None if part.level else (slice(part.y, part.y + part.height), slice(part.x, part.x + part.width))


def join_found(active: ActiveLabels, image: OpenImage, layer: Labels) -> Joined | None:
    """Put the nuclei of a result into the annotation, in place of predicted ones; return what came of it.

    Nuclei that were edited, accepted or painted stay, and those that were deleted do not come back. It is one step of
    the annotation's undo history; the layers of the result are removed. None if the layer is no result of the image.

    Raises
    ------
    OperationError, PlaneError
        The annotation cannot be edited now; nothing is changed.
    """
    window, found = place_in(image, layer), searched_in(layer)
    if window is None or found is None:
        return None
    own = _annotation(active.viewer, image, layer)
    if reason := hindrance(own):
        raise PlaneError(reason)
    if own._block_history:
        raise PlaneError(f"something is being painted in '{own.name}'")
    active.viewer.layers.selection.active, own.visible = own, True
    rows = active.rows
    assert rows is not None
    known = rows.table()
    predicted = known.index[(known["state"] == "") & known["score"].notna()] if "score" in known else known.index[:0]
    plane = LabelPlane(own, (*(0,) * (own.ndim - 2), slice(None), slice(None)))
    pixels, deleted = layer.data.reshape(layer.data.shape[-2:]), image.deletions.mask[window]
    joined = join(plane.pixels, pixels, window, found.inside, predicted.tolist(), deleted)
    if len(joined.change.values):
        image.joins = True
        try:
            with rows.made_by(layer_origin(layer)):
                plane.write(joined.change)
        finally:
            image.joins = False
        table = rows_by_id(layer).loc[list(joined.ids)].rename(index=joined.ids)
        rows.describe(table[[name for name in PREDICTED if name in table]])
    image.note_found()
    for each in (layer, found.semantic):
        if image.role(each) is not None:  # the semantic map of an earlier result, which shows this one's now
            continue
        each.visible = False
        remove_if_there(active.viewer, each)
    return joined


def _annotation(viewer: ViewerModel, image: OpenImage, part: Labels) -> Labels:
    """Return the image's annotation; an empty one is made, and taken by the project, if there is none."""
    if "labels" not in image.layers:
        shown = image.layers["image"]
        place = {name: getattr(shown, name) for name in PLACEMENT}
        look = {"opacity": part.opacity, "metadata": {"napari-pffnet": {"image": image.name}}}
        part.name = f"{part.name} of a part"  # its name is free from now on
        layer = viewer.add_labels(np.zeros(image.shape, np.int32), name=NUCLEI, **look, **place)
        layer.contour = part.contour
    own = image.layers["labels"]
    assert isinstance(own, Labels)
    return own
