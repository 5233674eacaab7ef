"""What arrays must be to be labels of an image; every fault names its file and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected

from napari_pffnet.data.sources import DataError
from napari_pffnet.labels import renumber
from napari_pffnet.wording import dimensions

#: of one id, on average: a nucleus lies in one piece
MOST_PIECES = 5
#: more ids than there are classes; pixels that pieces have at least on average, where there are so many
MANY, LEAST_AREA = 50, 4
#: what a mask holds that was saved as a picture
FULL = 255
#: side of what is looked at, pixels
LOOKED_AT = 2048


def as_ids(path: Path, labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels as integers: ImageJ and others save ids as float32 too; DataError if they are no whole numbers."""
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.rint(labels)).all():
        return labels.astype(np.int64)
    check_type(path, labels.dtype)
    return labels


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
        this, that = map(dimensions, (given, expected))
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
