"""Which zoom suits nuclei of a size, and where windows lie; the same rules for training and for segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_pffnet.typing import Array

SMALL_FROM, SMALL_TO = 0.8, 1.0
LARGE_FROM, LARGE_TO = 1.5, 1.3


def suitable_zoom(diameter: float | None, trained: float | None) -> float:
    """Zoom that brings nuclei to a size that the network knows.

    A network knows a range of sizes, and every change of size blurs or costs time: so 1 within the range, else as much
    as brings the nuclei well into it. The limits were chosen on validation images at half and double size
    (``training/benchmarks/sizes.py``).

    Parameters
    ----------
    diameter : float or None
        Typical diameter in the image, pixels; None if unknown.
    trained : float or None
        Typical diameter in training, pixels (``model.diameter``); None if the model does not say.
    """
    if not diameter or not trained:
        return 1.0
    if diameter < SMALL_FROM * trained:
        return SMALL_TO * trained / diameter
    if diameter > LARGE_FROM * trained:
        return LARGE_TO * trained / diameter
    return 1.0


def suitable_level(factors: Sequence[float], diameter: float | None, trained: float | None) -> int:
    """Level of a pyramid that shows nuclei well and holds no more pixels than that needs.

    The smallest level on which nuclei have at least the trained diameter; the full resolution if there is none, or if a
    size is unknown.

    Parameters
    ----------
    factors : sequence of float
        How many pixels of the full resolution a pixel of each level spans, from 1 upwards.
    diameter, trained : float or None
        As of `suitable_zoom`, the former in pixels of the full resolution.
    """
    if not diameter or not trained:
        return 0
    return max((level for level, factor in enumerate(factors) if diameter / factor >= trained), default=0)


def typical_diameter(areas: Array) -> float | None:
    """Median diameter of discs with these areas (pixels; those of 0 do not count), pixels; None without any."""
    areas = areas[areas > 0]
    return float(np.median(diameters(areas))) if len(areas) else None


def diameters(areas: Array) -> Array:
    """Diameters of discs with these areas, float64."""
    return np.asarray(2 * np.sqrt(areas / np.pi))


def spread(length: int, side: int, count: int) -> list[int]:
    """Return where `count` windows of one side begin that are spread evenly over a length, the first one at 0."""
    starts: list[int] = np.linspace(0, max(0, length - side), count).round().astype(int).tolist()
    return starts
