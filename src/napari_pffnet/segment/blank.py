"""Which tiles hold nothing but background, and what is found there."""

from __future__ import annotations

import numpy as np

from napari_pffnet.data.normalize import scaled
from napari_pffnet.segment.seams import Parts
from napari_pffnet.typing import Array

#: Of the image's range: what squares of a tile may differ by at most, and at least whatever the noise.
MOST, LEAST = 0.05, 0.005
#: Times the noise that is left in means of squares: thousands of them differ by nine.
NOISE = 10.0
#: So many-th rows tell the noise.
ROWS = 8
#: Squares along each side from which on a slope of light can be told from a nucleus.
FEWEST = 4
#: Median of absolute differences of normal noise, in standard deviations of the noise.
MEDIAN = 0.6745 * np.sqrt(2)


def is_blank(pixels: Array, bounds: tuple[float, float], diameter: float) -> bool:
    """Whether means of squares of a third of a nucleus differ by no more than noise makes them, and a slope of light.

    The noise is that between neighbouring pixels; half a percent of the image's range counts as noise anyway, five
    percent never. Uneven light, debris or strong noise make a tile not blank, which costs time and nothing else.

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
    return all(_is_flat(plane, means, side) for plane, means in zip(planes, squares, strict=True))


def _is_flat(plane: Array, means: Array, side: int) -> bool:
    if np.ptp(means) >= 2 * MOST:
        return False
    noise = float(np.median(np.abs(np.diff(plane[::ROWS], axis=1)))) / MEDIAN if plane.shape[1] > 1 else 0.0
    level = _levelled(means) if min(means.shape) >= FEWEST else means
    return bool(np.ptp(level) < min(MOST, max(LEAST, NOISE * noise / side)))


def nothing() -> Parts:
    """Return the detections of what is blank."""
    none = np.zeros(0, np.float32)
    masks = np.zeros((0, 28, 28), np.float16)
    return {"boxes": none.reshape(0, 4), "scores": none, "quality": none, "masks": masks}


def _levelled(means: Array) -> Array:
    """Take away the plane that fits best."""
    y, x = np.indices(means.shape)
    slopes = np.column_stack([np.ones(means.size), y.ravel(), x.ravel()])
    fit = np.linalg.lstsq(slopes, means.ravel(), rcond=None)[0]
    levelled: Array = means.ravel() - slopes @ fit
    return levelled
