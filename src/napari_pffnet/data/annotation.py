"""Reading image, label and semantic files of one sample; every fault names its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected

from napari_pffnet.data import outlines
from napari_pffnet.data.sources import DataError
from napari_pffnet.io.images import ImageError, read_image, to_plane
from napari_pffnet.io.regions import Area
from napari_pffnet.labels import IGNORE, renumber

#: of one id, on average: a nucleus lies in one piece
MOST_PIECES = 5
#: more ids than there are classes; pixels that pieces have at least on average, where there are so many
MANY, LEAST_AREA = 50, 4
#: what a mask holds that was saved as a picture
FULL = 255
#: side of what is looked at, pixels
LOOKED_AT = 2048


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
    """Read a label image or outlines: as of `read_labels`, and the regions of which they are; none: the whole image."""
    if path.suffix.lower() not in outlines.SUFFIXES:
        return read_labels(path, shape), ()
    labels, regions = outlines.read_outlines(path, shape)
    return renumber(labels)[0], regions


def read_labels(path: Path, shape: tuple[int, ...] | None) -> NDArray[np.int32]:
    """Read a label image as int32 with ids 1..N, of H×W = `shape` unless that is None."""
    labels = read_pixels(path, indices=True)
    if labels.ndim != 2:
        raise DataError(f"{path}: labels are a colour image; save one integer id per nucleus, background 0")
    check_type(path, labels.dtype)
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


def check_type(path: Path, kind: np.dtype[Any]) -> None:
    """Raise DataError if labels of this type have no ids."""
    if kind.kind not in "ui":
        said = "a yes/no mask" if kind.kind == "b" else str(kind)
        raise DataError(f"{path}: labels are {said}; save integers (uint16), one id per nucleus, background 0")


def check_shape(
    path: Path, what: str, given: tuple[int, ...], expected: tuple[int, ...], other: str = "the image"
) -> None:
    """Raise DataError if sizes differ; `what` begins the sentence, "labels are", `other` has the expected size."""
    if given != expected:
        this, that = ("×".join(map(str, shape)) for shape in (given, expected))
        axes = " (height×width)" if len(given) == len(expected) == 2 else ""
        raise DataError(f"{path}: {what} {this} but {other} is {that}{axes}; save both at one size")


def check_signs(path: Path, labels: NDArray[Any]) -> None:
    """Raise DataError if ids are negative."""
    if labels.size and labels.min() < 0:
        raise DataError(f"{path}: labels are negative; ids start at 1, background is 0")


def check_pieces(path: Path, labels: NDArray[Any]) -> None:
    """Raise DataError if a plane (H×W) holds no labels: a mask or classes, an image, a background with an id.

    Of a large one only the middle is looked at.
    """
    middle = labels[tuple(slice(max(size - LOOKED_AT, 0) // 2, (size + LOOKED_AT) // 2) for size in labels.shape)]
    instances, ids = renumber(middle)
    if not len(ids):
        return
    areas, pieces = np.bincount(instances.ravel()), int(connected(instances).max())
    crumbs = pieces > MANY and areas[1:].sum() < LEAST_AREA * pieces
    if pieces > MOST_PIECES * len(ids) or crumbs or (len(ids) == 1 < pieces and ids[0] == FULL):
        what = "an image" if len(ids) > MANY else "a mask"
        lie = f"{ids[0]} is the only id and lies" if len(ids) == 1 else f"its {len(ids)} values lie"
        raise DataError(f"{path}: {what}, not labels: {lie} in many pieces ({pieces}); give each nucleus its own id")
    if not areas[0] and len(ids) > 1 and areas.max() > middle.size / 2:
        raise DataError(f"{path}: {ids[areas.argmax() - 1]} covers most of it, and nothing is 0; make the background 0")
