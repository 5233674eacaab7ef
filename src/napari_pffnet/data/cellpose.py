"""Cellpose's ``NAME_seg.npy``: what its window saves beside an image, a pickled dictionary with label images in it.

A pickle can run any code when it is read, and a forged NumPy array can corrupt memory. Here neither happens: arrays are
taken apart, and of everything else only plain values are made.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.data.checks import check_shape, check_signs
from napari_pffnet.data.sources import DataError

END = "_seg.npy"
IDS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")


class _Left:
    """Takes the place of whatever is not needed; keeps what it was to be made of."""

    def __init__(self, *arguments: Any, **_named: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Left]:
        """Return what makes nothing."""
        return _Left


def read_seg(path: Path, shape: tuple[int, ...] | None = None) -> NDArray[np.int32]:
    """Read the masks of a ``NAME_seg.npy``, int32 H×W or Z×H×W, 0 is background; of `shape` unless that is None.

    Raises
    ------
    DataError
        The file is damaged, not of Cellpose, or of an image of another size.
    """
    try:
        with path.open("rb") as file:
            major, _ = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            read_header(file)
            masks = _array(_Unpickler(file).load().state[-1][0]["masks"])
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise DataError(
            f"{path}: not a file of Cellpose, or damaged; in Cellpose save the masks as PNG or TIFF"
        ) from error
    masks = masks[0] if masks.ndim > 2 and len(masks) == 1 else masks
    check_signs(path, masks)
    if shape is not None:
        check_shape(path, "masks are", masks.shape, shape)
    return masks.astype(np.int32)


def _array(stored: _Left) -> NDArray[Any]:
    """Return an array of ids of what NumPy stores: shape, type, whether columns come first, bytes."""
    shape, kind, by_columns, content = stored.state[1:5]
    if kind.arguments[0] not in IDS or len(shape) not in (2, 3):
        raise ValueError("no label image")
    values = np.frombuffer(content, np.dtype(kind.arguments[0]).newbyteorder(kind.state[1]))
    return values.reshape(shape, order="F" if by_columns else "C")
