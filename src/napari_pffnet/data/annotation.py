"""Reading image, label and semantic files of one sample; every fault names its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.data.checks import as_ids, check_pieces, check_shape, check_signs
from napari_pffnet.data.other_files import holds_annotation, read_other
from napari_pffnet.data.sources import DataError
from napari_pffnet.io.images import ImageError, read_image, to_plane
from napari_pffnet.io.regions import Area
from napari_pffnet.labels import IGNORE, renumber


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


def read_annotation(path: Path, shape: tuple[int, int]) -> tuple[NDArray[np.int32], tuple[Area, ...]]:
    """Read labels of any kind: as of `read_labels`, and the regions of which they are; none: the whole image."""
    if not holds_annotation(path):
        return read_labels(path, shape), ()
    labels, regions = read_other(path, shape)
    return renumber(labels)[0], regions


def read_labels(path: Path, shape: tuple[int, ...] | None) -> NDArray[np.int32]:
    """Read a label image as int32 with ids 1..N, of H×W = `shape` unless that is None."""
    labels = read_pixels(path, indices=True)
    if labels.ndim != 2:
        raise DataError(f"{path}: labels are a colour image; save one integer id per nucleus, background 0")
    labels = as_ids(path, labels)
    if shape is not None:
        check_shape(path, "labels are", labels.shape, shape)
    check_signs(path, labels)
    check_pieces(path, labels)
    return renumber(labels)[0]


def read_semantic(path: Path, shape: tuple[int, ...], nuclei: bool) -> NDArray[np.uint8]:
    """Read a semantic map of H×W = `shape` with values 0, 1 and 255; `nuclei` says that there are some in the image."""
    semantic = read_pixels(path, indices=True)
    if semantic.ndim != 2:
        raise DataError(f"{path}: the semantic map is a colour image; save 0 background, 1 nucleus, {IGNORE} ignore")
    check_shape(path, "the semantic map is", semantic.shape, shape)
    values = set(np.unique(semantic).tolist())
    if not values <= {0, 1, IGNORE} or (nuclei and values == {0, IGNORE}):
        found = ", ".join(f"{value:g}" for value in sorted(values)[:6])
        raise DataError(f"{path}: the semantic map holds {found}; save 0 background, 1 nucleus, {IGNORE} ignore")
    return semantic.astype(np.uint8)
