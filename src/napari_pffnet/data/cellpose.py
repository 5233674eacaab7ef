"""Cellpose's ``NAME_seg.npy``: what its window saves beside an image, a pickled dictionary with label images in it.

A pickle can run any code when it is read; here nothing but NumPy arrays and plain values is made of it.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pffnet.data.checks import check_shape
from napari_pffnet.data.sources import DataError

END = "_seg.npy"
#: what makes an array, with NumPy before and since version 2
ARRAYS = {(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")} | {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _Left:
    """Takes the place of everything else."""

    def __init__(self, *_arguments: object, **_named: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what makes arrays, and for everything else what makes nothing."""
        return super().find_class(module, name) if (module, name) in ARRAYS else _Left


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
            masks = np.asarray(_Unpickler(file).load().item()["masks"])
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise DataError(
            f"{path}: not a file of Cellpose, or damaged; in Cellpose save the masks as PNG or TIFF"
        ) from error
    if masks.dtype.kind not in "ui" or masks.ndim not in (2, 3):
        raise DataError(f"{path}: its masks have {masks.ndim} axes and the type {masks.dtype}, not one id per nucleus")
    if shape is not None:
        check_shape(path, "masks are", masks.shape, shape)
    return masks.astype(np.int32)
