"""Label images as TIFF files in memory."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import tifffile

from napari_pffnet.typing import Array

Sizes = float | Mapping[str, float] | None
OME_AXES = "TZCYXS"
CENTIMETRE = 1e4
#: sizes in µm that TIFF's fractions can hold
SMALLEST, LARGEST = 1e-4, 1e7
KINDS = (np.uint16, np.uint32, np.uint64)


def checksum(array: Array) -> str:
    """Return the CRC-32 of an array's bytes, 8 hexadecimal digits."""
    return f"{zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}"


def label_tiff(labels: Array, axes: str = "YX", pixel_size: Sizes = None, software: str | None = None) -> bytes:
    """Return a zlib TIFF of a label image ≥ 0: uint16 up to id 65 535, else uint32, else uint64; rest as of `tiff`."""
    largest = int(labels.max(initial=0))
    kind = next(kind for kind in KINDS if largest <= np.iinfo(kind).max)
    return tiff(labels.astype(kind, copy=False), pixel_size, axes, software)


def tiff(array: Array, pixel_size: Sizes = None, axes: str | None = None, software: str | None = None) -> bytes:
    """Return a zlib TIFF of an array in its own type; an OME-TIFF if the pixels' size in µm is known.

    `pixel_size` is the side of a square pixel, or sizes by axis (X, Y, Z). `axes` has a letter for each dimension;
    without it the array is H×W or H×W×3. `software` and a checksum of the pixels are noted as the writer. OME knows T,
    Z and C only: with other stack axes the size is left out.
    """
    sizes = pixel_size if isinstance(pixel_size, Mapping) else dict.fromkeys("XY", pixel_size)
    file = BytesIO()
    facts: dict[str, Any] = {"axes": axes or "YXS"[: array.ndim]}
    kind = "rgb" if facts["axes"].endswith("S") else "minisblack"
    given = [axis for axis in "XYZ" if sizes.get(axis)]
    known = bool(given) and set(facts["axes"]) <= set(OME_AXES)
    if known:
        facts |= {f"PhysicalSize{axis}": sizes[axis] for axis in given}
        facts |= {f"PhysicalSize{axis}Unit": "µm" for axis in given}
        facts["UUID"] = str(uuid5(NAMESPACE_OID, checksum(array)))  # the same file each time
    more: dict[str, Any] = {"software": f"{software} {checksum(array)}"} if software else {}
    width, height = sizes.get("X"), sizes.get("Y")
    if known and width and height and SMALLEST < min(width, height) <= max(width, height) < LARGEST:
        # for programs that do not read OME
        more |= {"resolution": (CENTIMETRE / width, CENTIMETRE / height), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(file, array, compression="zlib", photometric=kind, metadata=facts, ome=known, **more)
    return file.getvalue()
