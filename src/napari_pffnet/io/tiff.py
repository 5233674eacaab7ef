"""Label images as TIFF files in memory."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import tifffile

Array = np.ndarray[Any, Any]
KINDS = (np.uint16, np.uint32, np.uint64)


def label_tiff(labels: Array, axes: str = "YX") -> bytes:
    """Return a zlib TIFF of a label image ≥ 0: uint16 up to id 65 535, else uint32, else uint64."""
    largest = int(labels.max(initial=0))
    kind = next(kind for kind in KINDS if largest <= np.iinfo(kind).max)
    return tiff(labels.astype(kind, copy=False), axes=axes)


def tiff(array: Array, pixel_size: float | None = None, axes: str | None = None) -> bytes:
    """Return a zlib TIFF of an array in its own type; an OME-TIFF if the pixels' width in µm is known.

    `axes` has a letter for each dimension; without it the array is H×W or H×W×3.
    """
    file = BytesIO()
    facts: dict[str, Any] = {"axes": axes or "YXS"[: array.ndim]}
    kind = "rgb" if facts["axes"].endswith("S") else "minisblack"
    if pixel_size:
        facts |= {f"PhysicalSize{axis}": pixel_size for axis in "XY"}
        facts |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    tifffile.imwrite(file, array, compression="zlib", photometric=kind, metadata=facts, ome=bool(pixel_size))
    return file.getvalue()
