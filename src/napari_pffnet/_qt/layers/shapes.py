"""The areas that a Shapes layer shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from napari.layers import Shapes

from napari_pffnet.typing import Array

WITHOUT_AREA = ("line", "path")
CORNERS_OF_AN_ELLIPSE = 48


def outlines(layer: Shapes) -> Iterator[tuple[int, str, Array]]:
    """Yield number, kind and corners (N×D, float64, in the layer's data) of each shape that has an area."""
    for number, (kind, corners) in enumerate(zip(layer.shape_type, layer.data, strict=True)):
        if kind not in WITHOUT_AREA:
            points = np.asarray(corners, float)
            yield number, kind, _ellipse(points) if kind == "ellipse" else points


def _ellipse(corners: Array) -> Array:
    """Return points on the ellipse in a box of four corners."""
    centre, u, v = corners.mean(0), (corners[1] - corners[0]) / 2, (corners[2] - corners[1]) / 2
    turn = np.linspace(0, 2 * np.pi, CORNERS_OF_AN_ELLIPSE, endpoint=False)
    points: Array = centre + np.outer(np.cos(turn), u) + np.outer(np.sin(turn), v)
    return points
