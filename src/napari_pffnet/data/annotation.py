"""Reading image, label and semantic files of one sample; every fault names its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected

from napari_pffnet.data.sources import DataError
from napari_pffnet.data.targets import IGNORE, renumber
from napari_pffnet.io.images import ImageError, read_image, to_plane

MOST_PIECES = 5


def read_pixels(path: Path, indices: bool = False) -> NDArray[Any]:
    """Read H×W or H×W×3; `indices` keeps the numbers of a palette image."""
    try:
        array, axes, _ = read_image(path, indices)
    except ImageError as error:
        raise DataError(str(error)) from None
    if array.dtype.kind == "c":
        raise DataError(f"{path}: complex numbers; save the magnitude as float32")
    try:
        return to_plane(array, axes)
    except ImageError as error:
        raise DataError(f"{path}: {error}; save the plane to use as an image of its own") from None


def read_labels(path: Path, shape: tuple[int, ...] | None) -> NDArray[np.int32]:
    """Read a label image as int32 with ids 1..N, of H×W = `shape` unless that is None."""
    labels = read_pixels(path, indices=True)
    if labels.ndim != 2:
        raise DataError(f"{path}: labels are a colour image; save one integer id per nucleus, background 0")
    if labels.dtype.kind not in "ui":
        kind = "a yes/no mask" if labels.dtype.kind == "b" else str(labels.dtype)
        raise DataError(f"{path}: labels are {kind}; save integers (uint16), one id per nucleus, background 0")
    if shape is not None:
        _same_shape(path, "labels are", labels, shape)
    if labels.size and labels.min() < 0:
        raise DataError(f"{path}: labels are negative; ids start at 1, background is 0")
    instances, ids = renumber(labels)
    if len(ids) == 1 and connected(instances > 0).max() > MOST_PIECES:
        raise DataError(
            f"{path}: a mask, not labels: {ids[0]} is the only id and lies in many pieces; give each nucleus its own id"
        )
    return instances


def read_semantic(path: Path, shape: tuple[int, ...], nuclei: bool) -> NDArray[np.uint8]:
    """Read a semantic map of H×W = `shape` with values 0, 1 and 255; `nuclei` says that there are some in the image."""
    semantic = read_pixels(path, indices=True)
    if semantic.ndim != 2:
        raise DataError(f"{path}: the semantic map is a colour image; save 0 background, 1 nucleus, {IGNORE} ignore")
    _same_shape(path, "the semantic map is", semantic, shape)
    values = set(np.unique(semantic).tolist())
    if not values <= {0, 1, IGNORE} or (nuclei and values == {0, IGNORE}):
        found = ", ".join(f"{value:g}" for value in sorted(values)[:6])
        raise DataError(f"{path}: the semantic map holds {found}; save 0 background, 1 nucleus, {IGNORE} ignore")
    return semantic.astype(np.uint8)


def _same_shape(path: Path, what: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        given, expected = ("×".join(map(str, s)) for s in (array.shape, shape))
        raise DataError(f"{path}: {what} {given} but the image is {expected} (height×width); save both at one size")
