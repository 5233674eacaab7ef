"""What is said of an image that may be segmented."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

from napari_pffnet._qt.layers.axes import axis_names, level_count, level_factors, level_shape, pixel_size
from napari_pffnet._qt.layers.planes import Plane


def describe(layer: Image, plane: Plane) -> str:
    """Say in a few words what was found out about the image."""
    kind = "colour" if len(plane.pixels.shape) == 3 else "grey"
    dtype = np.dtype(layer.dtype)
    bits = f"{8 * dtype.itemsize}-bit" if dtype.kind in "iu" else "float" if dtype.kind == "f" else dtype.name
    height, width = plane.pixels.shape[:2]
    sizes = dict(zip(axis_names(layer), level_shape(layer), strict=False))
    where = [f"{name}: {index} (0 to {sizes[name] - 1})" for name, index in plane.position.items() if sizes[name] > 1]
    parts = [f"{bits} {kind}", f"{height} × {width}", *where]
    return ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)


def level_titles(layer: Image) -> list[str]:
    """Say what each level of a pyramid is: its size, and that of its pixels where it is known."""
    size, axes = pixel_size(layer), (layer.ndim - 2, layer.ndim - 1)
    titles = []
    for level in range(level_count(layer)):
        height, width = (level_shape(layer, level)[axis] for axis in axes)
        pixel = f", {size * level_factors(layer, level)[axes[0]]:.2g} µm" if size else ""
        titles.append(f"{height} × {width}{pixel}")
    return titles
