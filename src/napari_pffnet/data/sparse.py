"""Limits of intensity for images in which nuclei cover less than the percentiles leave out.

Percentiles of a whole image lie in its background if nuclei cover too little of it, and then cut the nuclei off. They
show as squares that go beyond a limit, with next to nothing that looks like nuclei in the others. The numbers were
chosen on synthetic images like those of the tests; of 607 training and validation images one changes.
"""

from __future__ import annotations

import numpy as np

from napari_pffnet.data.sizes import spread
from napari_pffnet.typing import Array

SIDE, ALONG, CELL = 32, 64, 8
#: share of a square that lies beyond a limit if a nucleus does
BEYOND_HIGH, BEYOND_LOW = 0.01, 0.02
#: of the squares' own limits, the one that counts: most nuclei are within it, and debris in some squares has no say
QUARTER = 0.25
#: times the range between the limits that it must become
MUCH = 2.0
#: difference of means of 8×8 pixels within a square, of the range, that nuclei make and noise does not
STRUCTURE = 0.35
#: so many times more squares must go beyond a limit than look like nuclei otherwise
CLEARLY = 4


def squares_of(values: Array) -> Array:
    """Cut up to 64×64 squares of up to 32 pixels, spread evenly: H×W×C -> N×s×s×C."""
    side = min(SIDE, *values.shape[:2])
    rows, columns = (spread(length, side, min(ALONG, -(-length // side))) for length in values.shape[:2])
    return np.stack([values[y : y + side, x : x + side] for y in rows for x in columns])


def widened(bounds: tuple[float, float], squares: Array, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return limits that nuclei in few places lie within, or the given ones where nuclei are everywhere or nowhere.

    Parameters
    ----------
    bounds : tuple of float
        Percentiles of the whole image.
    squares : ndarray
        N×s×s×C, real; what is not finite counts as the limit next to it.
    percentiles : tuple of float
        Those that make a square's own limits.
    """
    low, high = bounds
    flat = squares.reshape(len(squares), -1)
    if flat.dtype.kind == "f":
        flat = np.nan_to_num(flat, nan=low, posinf=high, neginf=low)
    if low > 0:  # zeros are margins, no data
        flat = np.where(flat == 0, low, flat)
    count = flat.shape[1]
    above = np.count_nonzero(flat > high, axis=1) >= count - _place(count, 1 - BEYOND_HIGH)
    below = np.count_nonzero(flat < low, axis=1) > _place(count, BEYOND_LOW)
    if not above.any() and not below.any():
        return bounds
    own = bounds
    if above.any():
        own = own[0], float(np.quantile(_at(flat[above], percentiles[1] / 100), 1 - QUARTER, method="lower"))
    if below.any():
        own = float(np.quantile(_at(flat[below], percentiles[0] / 100), QUARTER, method="higher")), own[1]
    if own[1] - own[0] <= MUCH * (high - low):
        return bounds
    beyond = above | below
    seen = 0 if beyond.all() else _structured(squares[~beyond], *np.percentile(flat[~beyond], percentiles))
    return own if np.count_nonzero(beyond) > CLEARLY * seen else bounds


def _at(flat: Array, share: float) -> Array:
    """Values at a share of each row, if it were sorted."""
    place = _place(flat.shape[1], share)
    values: Array = np.partition(flat, place, axis=1)[:, place]
    return values


def _place(count: int, share: float) -> int:
    return min(count - 1, int(share * count))


def _structured(squares: Array, low: float, high: float) -> int:
    """Return how many squares look like nuclei between these limits."""
    count, side = squares.shape[0], squares.shape[1] // CELL * CELL
    if not side or not low < high:
        return 0
    scaled = ((squares[:, :side, :side].astype(np.float32) - low) / (high - low)).clip(0, 1)
    cells = scaled.reshape(count, side // CELL, CELL, side // CELL, CELL, -1).mean((2, 4))
    return int(np.count_nonzero(np.ptp(cells, axis=(1, 2)).max(1) >= STRUCTURE))
