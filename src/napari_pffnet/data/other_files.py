"""Annotation that other programs keep in files which are no images: outlines, and Cellpose's ``NAME_seg.npy``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.data import cellpose, outlines
from napari_pffnet.io.regions import Area


def holds_annotation(path: Path) -> bool:
    """Whether a file, by its name, is one of these."""
    return path.suffix.lower() in outlines.SUFFIXES or is_seg(path)


def is_seg(path: Path) -> bool:
    """Whether a file, by its name, is one of Cellpose's."""
    return path.name.lower().endswith(cellpose.END)


def image_name(path: Path) -> str:
    """Return the name of the image whose annotation a file holds."""
    return path.stem.removesuffix("_seg" if is_seg(path) else "_rois")


def read_other(path: Path, shape: tuple[int, int]) -> tuple[NDArray[np.int32], tuple[Area, ...]]:
    """Read the annotation of an image of H×W = `shape`: labels (int32) and regions, as `outlines.read_outlines`.

    Raises
    ------
    DataError
        The file cannot be read, or is of another image.
    """
    return (cellpose.read_seg(path, shape), ()) if is_seg(path) else outlines.read_outlines(path, shape)
