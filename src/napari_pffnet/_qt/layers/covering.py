"""Images that hide another one: of several that are open at one place only the uppermost is seen. No Qt in here."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_pffnet._qt.layers.axes import is_image

SEE_THROUGH = ("additive", "minimum", "multiplicative")


def uncover(viewer: ViewerModel, image: Image) -> list[str]:
    """Show an image, and hide those above it that cover it whole; return their names."""
    canvas = getattr(viewer, "canvas", viewer)  # before napari 0.9 the grid is the viewer's
    if image not in viewer.layers or canvas.grid.enabled:
        return []
    above = list(viewer.layers)[viewer.layers.index(image) + 1 :]
    covering = [layer for layer in above if is_image(layer) and _covers(layer, image)]
    for layer in covering:
        layer.visible = False
    image.visible = True
    return [layer.name for layer in covering]


def _covers(other: Image, image: Image) -> bool:
    if not other.visible or other.opacity < 1 or other.blending in SEE_THROUGH:
        return False
    axes = min(other.ndim, image.ndim)
    (first, last), (least, most) = (layer.extent.world[:, -axes:] for layer in (other, image))
    slack = 0.5 * np.abs(image.scale[-axes:])
    return bool((first <= least + slack).all() and (most <= last + slack).all())
