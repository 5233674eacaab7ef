"""Label images to compare: pictures, stacks and Zarr folders, read in parts; every fault names its file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from napari_pffnet.data.cellpose import read_seg
from napari_pffnet.data.checks import as_ids, check_pieces, check_shape, check_signs, check_type
from napari_pffnet.data.other_files import is_seg
from napari_pffnet.data.outlines import SUFFIXES as OUTLINES
from napari_pffnet.data.sources import DataError
from napari_pffnet.evaluate.metrics import Overlaps, overlaps_of_parts
from napari_pffnet.io.images import ImageError, read_image
from napari_pffnet.io.lazy import is_zarr
from napari_pffnet.io.ome_zarr import open_labels
from napari_pffnet.typing import Array

PART = 2**24
DRAW = "napari-pffnet export --to labels makes label images of outlines"


class LabelFile:
    """A label image of two or more dimensions.

    Parameters
    ----------
    path : Path
        TIFF (stacks too) or picture; or a Zarr folder, see `io.ome_zarr.open_labels`.

    Attributes
    ----------
    shape : tuple of int
        Height and width, before them the lengths of other axes that are longer than 1.

    Raises
    ------
    DataError
        It cannot be read, or holds no labels.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._array = _open_zarr(path) if is_zarr(path) else _read(path)
        given = tuple(map(int, self._array.shape))
        check_type(path, np.dtype(self._array.dtype))
        if len(given) < 2 or 0 in given:
            raise DataError(f"{path}: labels have the shape {given}; expected height and width")
        self._kept = [axis for axis, size in enumerate(given) if size > 1 or axis >= len(given) - 2]
        self.shape = tuple(given[axis] for axis in self._kept)

    def parts(self) -> Iterator[Array]:
        """Read one part after the other, whole rows or planes; files of one `shape` have the same parts."""
        size = max(PART // prod(self.shape[1:]), 1)
        for start in range(0, self.shape[0], size):
            index: list[Any] = [slice(None) if axis in self._kept else 0 for axis in range(self._array.ndim)]
            index[self._kept[0]] = slice(start, start + size)
            try:
                part = np.asarray(self._array[tuple(index)])
            except (ValueError, OSError, RuntimeError) as error:  # a damaged chunk
                raise DataError(f"{self.path}: cannot be read ({error})") from error
            check_signs(self.path, part)
            yield part

    def whole(self) -> Array:
        """Read all of it; what is on disk part by part, so that it is in memory once."""
        parts = self.parts()
        first = next(parts)
        if len(first) == self.shape[0]:
            return first
        array, row = np.empty(self.shape, first.dtype), 0
        for part in chain((first,), parts):
            array[row : row + len(part)] = part
            row += len(part)
        return array


def overlaps_of_files(truth: LabelFile, prediction: LabelFile) -> Overlaps:
    """Count shared pixels of all pairs of objects; errors of `check_pair`."""
    check_pair(truth, prediction)
    return overlaps_of_parts(zip(truth.parts(), prediction.parts(), strict=True))


def check_pair(truth: LabelFile, prediction: LabelFile) -> None:
    """Raise DataError if the files differ in size or hold no labels."""
    check_shape(prediction.path, "labels are", prediction.shape, truth.shape, "the truth")
    for file in (truth, prediction):
        planes = (plane for part in file.parts() for plane in part.reshape(-1, *part.shape[-2:]))
        if (first := next((plane for plane in planes if plane.any()), None)) is not None:
            check_pieces(file.path, first)


def _open_zarr(path: Path) -> Any:
    try:
        return open_labels(path)
    except ImageError as error:
        raise DataError(str(error)) from None
    except Exception as error:  # what others write may be anything
        raise DataError(f"{path}: cannot be read ({error})") from error


def _read(path: Path) -> Array:
    if is_seg(path):
        return read_seg(path)
    if path.suffix.lower() in OUTLINES:
        raise DataError(f"{path}: outlines; {DRAW}")
    try:
        array, axes, _ = read_image(path, indices=True)
    except ImageError as error:
        raise DataError(str(error)) from None
    samples = axes.find("S")
    if samples < 0:
        return as_ids(path, array)
    if array.shape[samples] > 1:
        raise DataError(f"{path}: labels are a colour image; save one integer id per nucleus, background 0")
    return as_ids(path, array.squeeze(samples))
