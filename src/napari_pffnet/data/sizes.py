"""Which zoom suits nuclei of a size; the same rule for the crops of training and for segmentation."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SMALL_FROM, SMALL_TO = 0.625, 0.75
LARGE_FROM, LARGE_TO = 2.1, 1.7


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


def typical_diameter(areas: Array) -> float | None:
    """Median diameter of discs with these areas (pixels; those of 0 do not count), pixels; None without any."""
    areas = areas[areas > 0]
    return float(np.median(diameters(areas))) if len(areas) else None


def diameters(areas: Array) -> Array:
    """Diameters of discs with these areas, float64."""
    return np.asarray(2 * np.sqrt(areas / np.pi))
