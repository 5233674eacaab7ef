"""The one convention that turns raw intensities into network input, in training, prediction and the widget."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.config import InputConfig
from napari_pffnet.data.sparse import squares_of, widened
from napari_pffnet.wording import dimensions

PERCENTILES = InputConfig().percentiles


def normalize(array: NDArray[Any], percentiles: tuple[float, float] = PERCENTILES) -> NDArray[np.float32]:
    """Scale the intensities between two percentiles to [0, 1].

    Parameters
    ----------
    array : ndarray
        H×W, H×W×1, H×W×3 or H×W×4 (alpha is dropped), bool, integer or float; NaN counts as background.
    percentiles : tuple of float
        Lower and upper percentile, in 0..100.

    Returns
    -------
    ndarray
        float32 3×H×W in [0, 1], contiguous; grey is repeated. A constant image gives zeros.

    Raises
    ------
    ValueError
        The array has another shape, or complex numbers.
    """
    return apply_limits(array, limits(array, percentiles))


def limits(array: NDArray[Any], percentiles: tuple[float, float] = PERCENTILES) -> tuple[float, float]:
    """Return the intensities that become 0 and 1, over all pixels and over all colours jointly (which keeps the hue).

    Where nuclei cover less than the percentiles leave out, the limits are those of the places where they are
    (`data.sparse`); where the two still coincide, minimum and maximum stand in.
    """
    values = _colours(array)
    return limits_of(values, squares_of(values) if values.size else values, percentiles)


def limits_of(values: NDArray[Any], squares: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return the limits of an image of which only some pixels, and squares of it (N×s×s×C), are at hand."""
    if values.dtype.kind == "b":
        values, squares = values.astype(np.uint8), squares.astype(np.uint8)  # true may be stored as 255
    elif values.dtype == np.float16:
        values, squares = values.astype(np.float32), squares.astype(np.float32)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        return 0.0, 0.0
    low, high = map(float, np.percentile(finite, percentiles))
    low, high = widened((low, high), squares, percentiles)
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    return low, high


def apply_limits(array: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float32]:
    """Map `limits` to 0 and 1 and clip: float32 3×H×W as `normalize` gives. For tiles: limits of the whole image."""
    planes = scaled(array, limits)
    return np.ascontiguousarray(np.broadcast_to(planes, (3, *planes.shape[1:])))


def scaled(array: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float32]:
    """Return what `apply_limits` does, with grey as one plane: float32 1×H×W or 3×H×W."""
    values = _colours(array)
    low, high = limits
    exact = np.dtype(np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64)
    planes = np.moveaxis(values, -1, 0).astype(exact)
    if not high > low:
        return np.zeros(planes.shape, np.float32)
    planes -= exact.type(low)
    planes /= exact.type(high - low)
    if values.dtype.kind == "f":
        np.nan_to_num(planes, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    return planes.clip(0, 1, out=planes).astype(np.float32, copy=False)


def as_image(pixels: Any) -> NDArray[Any]:
    """Return pixels as an array of numpy; ValueError if they are no H×W, H×W×1, ×3 or ×4 of real numbers."""
    array = np.asarray(pixels)
    _colours(array)
    return array


def _colours(array: NDArray[Any]) -> NDArray[Any]:
    """H×W×1 or H×W×3 view."""
    if array.dtype.kind not in "buif":
        raise ValueError(f"expected an image of real numbers, given {array.dtype}; save its magnitude as float32")
    if array.ndim == 2:
        return array[..., None]
    if array.ndim == 3 and array.shape[-1] in (1, 3, 4):
        return array[..., :3]
    fix = "; move its colours to the last axis (numpy.moveaxis), or take one plane" if array.ndim == 3 else ""
    raise ValueError(f"expected an image of H×W, H×W×1, H×W×3 or H×W×4, given {dimensions(array.shape)}{fix}")
