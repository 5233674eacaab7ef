"""What the button *Segment* does, in one call."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_pffnet.config import SegmentConfig
from napari_pffnet.library import Model
from napari_pffnet.segment.prediction import Segmentation
from napari_pffnet.segment.segmenter import Segmenter
from napari_pffnet.segment.size import sized


def segment_image(
    image: np.ndarray[Any, Any],
    model: Model,
    pixel_size: float | None = None,
    config: SegmentConfig = SegmentConfig(),
) -> Segmentation:
    """Find the nuclei of an image at the zoom that suits them.

    Parameters
    ----------
    image : ndarray
        H×W or H×W×3/4, of real numbers, as stored.
    model : Model
        See `library.load_model`.
    pixel_size : float, optional
        µm; bounds the estimate of the nuclei's diameter.
    config : SegmentConfig
        Thresholds, tiling, and a diameter or zoom where it is not to be estimated.

    Returns
    -------
    Segmentation
        `labels` int32 H×W, `semantic` uint8 H×W and a `table` with one row per nucleus.

    Raises
    ------
    ValueError, MemoryError
        As of `Segmenter` and its `predict`.

    Examples
    --------
    >>> from napari_pffnet.library import load_model
    >>> labels, semantic, table = segment_image(image, load_model(device="auto"))  # doctest: +SKIP
    """
    return sized(Segmenter(model, config), image, pixel_size).predict(image).compose()
