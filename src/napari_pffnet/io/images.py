"""Reading image files, and choosing the plane to work on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

TIFF = (".tif", ".tiff")
SUFFIXES = (*TIFF, ".png", ".jpg", ".jpeg", ".bmp", ".webp")
MICROMETRES = {
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "\\u00B5m": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
}


class ImageError(ValueError):
    """An image that cannot be used; the message names the file and the fix."""


def read_image(path: str | Path, indices: bool = False) -> tuple[NDArray[Any], str, float | None]:
    """Read an image file.

    Parameters
    ----------
    path : str or Path
        TIFF (OME and ImageJ too), PNG, JPEG, BMP or WebP.
    indices : bool
        Return the numbers of a palette image (label maps) rather than its colours.

    Returns
    -------
    array : ndarray
        The pixels, in the file's type.
    axes : str
        One letter per dimension: Y, X, S (colour samples), C (channel), Z, T, or tifffile's letter for others.
    pixel_size : float or None
        Width of a pixel in µm, where the file says so.

    Raises
    ------
    ImageError
        No such file, unknown format, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: no such file")
    if path.suffix.lower() not in SUFFIXES:
        raise ImageError(f"{path}: {path.suffix or 'no suffix'} is not a known image format; convert it to TIFF or PNG")
    try:
        return _read_tiff(path) if path.suffix.lower() in TIFF else _read_picture(path, indices)
    except UnidentifiedImageError:
        raise ImageError(f"{path}: damaged, or not a {path.suffix[1:].upper()} file") from None
    except Exception as error:
        hint = "; install the package imagecodecs" if "imagecodecs" in str(error) else ""
        raise ImageError(
            f"{path}: cannot be read ({str(error).splitlines()[0] if str(error) else error!r}){hint}"
        ) from error


def to_plane(
    array: NDArray[Any], axes: str | None = None, channel: int | None = None, plane: int | None = None
) -> NDArray[Any]:
    """Reduce an image to one plane.

    Parameters
    ----------
    array : ndarray
        As `read_image` gives it.
    axes : str, optional
        One letter per dimension; guessed from the shape if absent.
    channel : int, optional
        Index along C; needed if there is more than one channel.
    plane : int, optional
        Index along the only other long axis (Z, T, …).

    Returns
    -------
    ndarray
        H×W, or H×W×3 for colour; alpha is dropped.

    Raises
    ------
    ImageError
        A choice is missing or out of range; the message says which one.
    """
    axes = name_axes(array.shape, axes or "Q" * array.ndim)
    for axis, name, choice in [
        (a, *(("channel", channel) if a == "C" else ("plane", plane))) for a in axes if a not in "YXS"
    ]:
        position = axes.index(axis)
        array = np.take(array, choose(array.shape[position], axis, name, choice), position)
        axes = axes.replace(axis, "", 1)
    array = array.transpose([axes.index(a) for a in "YXS" if a in axes])
    if array.ndim == 2 or array.shape[-1] >= 3:
        return array[..., :3] if array.ndim == 3 else array
    return array[..., 0]


def choose(size: int, axis: str, name: str, choice: int | None) -> int:
    """Return the index along an axis: the choice, or the only one there is; ImageError if that does not exist."""
    if size == 1:
        return 0
    if choice is None:
        raise ImageError(f"the image has {size} {name}s (axis {axis}); choose {name} 0 to {size - 1}")
    if not 0 <= choice < size:
        raise ImageError(f"{name}={choice} does not exist; the image has {name} 0 to {size - 1}")
    return choice


def name_axes(shape: tuple[int, ...], axes: str) -> str:
    """Name the axes of files that do not say (`axes` of Q, I, …): colour last, channels first, then stacks."""
    if len(shape) < 2:
        raise ImageError(f"expected an image of at least two dimensions, given the shape {shape}")
    samples = "S" in axes or (len(shape) > 2 and shape[-1] in (3, 4) and shape[-3] > 4 and not set(axes) & set("CZT"))
    if "S" not in axes:
        axes = axes[: len(shape) - 3] + "YXS" if samples else axes[:-2] + "YX"
    if axes[0] in "QI" and len(axes) == 3 and shape[0] <= 4:
        axes = "C" + axes[1:]
    return axes


def _read_tiff(path: Path) -> tuple[NDArray[Any], str, float | None]:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        return np.asarray(series.asarray()), series.axes, pixel_size_of(file)


def pixel_size_of(file: tifffile.TiffFile) -> float | None:
    """Width of a pixel in µm, from OME or ImageJ metadata; plain TIFF resolutions are print sizes, not pixel sizes."""
    if file.is_ome and file.ome_metadata:
        pixels: Any = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        pixels = (pixels[0] if isinstance(pixels, list) else pixels)["Pixels"]
        size, unit = pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit", "µm")
    elif file.is_imagej and file.imagej_metadata and "XResolution" in file.pages.first.tags:
        count, length = file.pages.first.tags["XResolution"].value
        size, unit = (length / count if count else None), file.imagej_metadata.get("unit", "")
    else:
        return None
    return float(size) * MICROMETRES[unit] if size and unit in MICROMETRES else None


def _read_picture(path: Path, indices: bool) -> tuple[NDArray[Any], str, float | None]:
    with Image.open(path) as picture:
        mode = picture.mode
        if mode in ("LA", "La"):
            array = np.asarray(picture.convert("L"))
        elif mode in ("CMYK", "YCbCr", "HSV", "LAB", "PA") or (mode == "P" and not indices):
            array = np.asarray(picture.convert("RGB"))
        else:
            array = np.asarray(picture)
    return array, "YXS"[: array.ndim], None
