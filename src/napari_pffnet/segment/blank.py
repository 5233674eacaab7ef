"""Which tiles hold nothing but background."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_pffnet.data.normalize import scaled

Array = np.ndarray[Any, Any]
FLAT = 0.05


def is_blank(pixels: Array, bounds: tuple[float, float], diameter: float) -> bool:
    """Whether a tile is flat: means of squares of a third of a nucleus differ by less than 5 % of the image's range.

    Averaging takes away noise and leaves nuclei. Uneven light, debris or strong noise make a tile not blank, which
    costs time and nothing else.

    Parameters
    ----------
    pixels : ndarray
        H×W or H×W×3, as stored.
    bounds : (float, float)
        The image's limits, see `data.normalize.limits`.
    diameter : float
        Typical nucleus, pixels.
    """
    side = max(1, int(diameter / 3))
    planes = scaled(pixels, bounds)
    height, width = (n // side * side for n in planes.shape[1:])
    if not height or not width:
        return False
    squares = planes[:, :height, :width].reshape(-1, height // side, side, width // side, side).mean((2, 4))
    return bool(np.ptp(squares, axis=(1, 2)).max() < FLAT)
