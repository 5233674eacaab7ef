"""Where the semantic branch of the network and the nuclei differ."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_pffnet.typing import Array

#: Within so many pixels of a nucleus' outline against the background, no difference is shown: the map is too coarse.
RIM = 2


def disagreement(labels: Array, semantic: Array) -> Array:
    """Return how far the semantic map is from the nuclei, with its direction.

    Parameters
    ----------
    labels : ndarray
        int H×W, 0 is background.
    semantic : ndarray
        float H×W, probability of nucleus.

    Returns
    -------
    ndarray
        float16 H×W in [-1, 1]: above 0 on background that looks like nucleus (a miss, or a nucleus drawn too small),
        under 0 on nuclei that look like background (false, or drawn too large), 0 where both agree.

    Raises
    ------
    ValueError
        The arrays differ in size.
    """
    if labels.shape != semantic.shape:
        raise ValueError(f"labels are {labels.shape}, the semantic map {semantic.shape}; both must be of one plane")
    inside = (labels != 0).view(np.uint8)
    highest, lowest = (filtered(inside, 2 * RIM + 1) for filtered in (ndimage.maximum_filter, ndimage.minimum_filter))
    return np.where(highest == lowest, np.asarray(semantic, np.float16) - inside, np.float16(0))
