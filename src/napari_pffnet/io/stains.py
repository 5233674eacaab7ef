"""Stains of colour images, told apart by their colours (Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23, 2001)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

#: chooses the stain of nuclei in place of a channel
HEMATOXYLIN: Literal["hematoxylin"] = "hematoxylin"
Channel = int | Literal["hematoxylin"]
ROWS_AT_ONCE = 256
#: optical density and share of pixels that `is_brown` wants, and how many it looks at along each side
LEAST_DAB, MUCH, LOOKED_AT = 0.05, 0.05, 256
#: median brightness of an image in transmitted light (scikit-image's immunohistochemistry: 0.60)
BRIGHT = 0.25


def hematoxylin(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a colour image as it would be with hematoxylin alone: without DAB, a brown that hides nuclei, or eosin.

    Parameters
    ----------
    pixels : ndarray
        H×W×3/4, whole numbers of any type, or floats in [0, 1].

    Returns
    -------
    ndarray
        uint8 H×W×3.
    """
    from skimage.color import hed2rgb, rgb2hed

    result = np.empty((*pixels.shape[:2], 3), np.uint8)
    for start in range(0, len(pixels), ROWS_AT_ONCE):
        part = pixels[start : start + ROWS_AT_ONCE, :, :3]
        stains = rgb2hed(_as_fractions(part))
        stains[..., 1:] = 0
        result[start : start + ROWS_AT_ONCE] = (hed2rgb(stains) * 255).round()
    return result


def is_brown(pixels: NDArray[Any]) -> bool:
    """Whether DAB is the strongest stain in much of a bright image (H×W×3/4), as `hematoxylin` takes it.

    That is more than a twentieth of the pixels (at most 256×256 are looked at): half of scikit-image's
    immunohistochemistry, and less than a hundredth of each of 144 training and validation images in other stains
    (counted 2026-11-29).
    """
    if pixels.ndim != 3 or pixels.shape[2] < 3 or not pixels.size:
        return False
    from skimage.color import rgb2hed

    steps = [-(-length // LOOKED_AT) for length in pixels.shape[:2]]
    colours = _as_fractions(pixels[:: steps[0], :: steps[1], :3])
    if np.median(colours.mean(2)) < BRIGHT:  # fluorescence in red or yellow
        return False
    h, e, dab = np.moveaxis(rgb2hed(colours), 2, 0)
    return bool(np.mean((dab > LEAST_DAB) & (dab > h) & (dab > e)) > MUCH)


def _as_fractions(pixels: NDArray[Any]) -> NDArray[np.floating[Any]]:
    from skimage.util import img_as_float

    fractions: NDArray[np.floating[Any]] = np.nan_to_num(img_as_float(pixels)).clip(0, 1)
    return fractions


class Hematoxylin:
    """An array of H×W×3/4 whose parts are computed by `hematoxylin` when they are read."""

    def __init__(self, pixels: Any) -> None:
        self._pixels = pixels
        self.shape = (*map(int, pixels.shape[:2]), 3)
        self.ndim, self.dtype = 3, np.dtype(np.uint8)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Return the part of a window (rows, columns, and colours that are not looked at)."""
        rows, columns, *_ = index
        return hematoxylin(np.asarray(self._pixels[rows, columns]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it."""
        return np.asarray(hematoxylin(np.asarray(self._pixels)), dtype)
