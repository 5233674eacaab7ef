"""Reading image files, and choosing the plane to work on."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from napari_pffnet.io.errors import first_line
from napari_pffnet.wording import dimensions

TIFF = (".tif", ".tiff")
SUFFIXES = (*TIFF, ".png", ".jpg", ".jpeg", ".bmp", ".webp")
COLOURS = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
MICROMETRES = {
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "\\u00B5m": 1.0,
    "pm": 1e-6,
    "Å": 1e-4,
    "\N{ANGSTROM SIGN}": 1e-4,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "in": 25_400.0,
}


class ImageError(ValueError):
    """An image that cannot be used; the message names the file and the fix."""


class ChoiceError(ImageError):
    """An image of several planes or channels of which one must be chosen: `choice` is ``plane`` or ``channel``."""

    def __init__(self, message: str, choice: str) -> None:
        super().__init__(message)
        self.choice = choice


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
        hint = "; convert it to TIFF" if isinstance(error, Image.DecompressionBombError) else hint
        raise ImageError(f"{path}: cannot be read ({first_line(error)}){hint}") from error


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
        Index along C, or of a sample (S) where there is no C; needed if there is more than one channel.
    plane : int, optional
        Counted through all other axes (Z, T, …), the last one running fastest.

    Returns
    -------
    ndarray
        H×W, or H×W×3 for colour of which no channel was chosen; alpha is dropped.

    Raises
    ------
    ImageError
        A choice is missing or out of range; the message says which one.
    """
    axes = name_axes(array.shape, axes or "Q" * array.ndim, channel, plane is not None)
    fixed = fix_axes(array.shape, axes, channel, plane)
    if fixed:  # a copy, so that the rest of a stack can go
        array = array[tuple(fixed.get(position, slice(None)) for position in range(array.ndim))].copy()
    left = [axis for position, axis in enumerate(axes) if position not in fixed]
    array = array.transpose([left.index(axis) for axis in "YXS" if axis in left])
    if array.ndim == 2 or array.shape[-1] >= 3:
        return array[..., :3] if array.ndim == 3 else array
    return array[..., 0]


def fix_axes(
    shape: Sequence[int], axes: str, channel: int | None, plane: int | None, full: Sequence[int] | None = None
) -> dict[int, int]:
    """Return the index along each axis but Y, X and S, by the position of the axis; arguments as of `to_plane`.

    `full` is the shape of the largest level of a pyramid: planes are counted through that one, so that a number means
    the same place at each level.
    """
    stack = [position for position, axis in enumerate(axes) if axis not in "CYXS"]
    sizes = [(full or shape)[position] for position in stack]
    long = "".join(axes[position] for position, size in zip(stack, sizes, strict=True) if size > 1)
    place = np.unravel_index(choose(prod(sizes), long, "plane", plane), sizes)
    fixed = {p: int(number) * shape[p] // size for p, number, size in zip(stack, place, sizes, strict=True)}
    if "C" not in axes:
        choose(1, "", "channel", channel)
    return fixed | {p: choose(shape[p], axis, "channel", channel) for p, axis in enumerate(axes) if axis == "C"}


def choose(size: int, axes: str, name: str, choice: int | None) -> int:
    """Return the index along axes: the choice, or the only one there is; ImageError if that does not exist."""
    if size == 1 and not choice:
        return 0
    if choice is None:
        where = f"{'axis' if len(axes) == 1 else 'axes'} {' and '.join(axes)}"
        raise ChoiceError(f"the image has {size} {name}s ({where}); choose {name} 0 to {size - 1}", name)
    if not 0 <= choice < size:
        there = f"{name} 0 to {size - 1}" if size > 1 else f"one {name} only"
        raise ImageError(f"{name}={choice} does not exist; the image has {there}")
    return choice


def name_axes(shape: tuple[int, ...], axes: str, channel: int | None = None, stack: bool = False) -> str:
    """Name the axes of files that do not say (`axes` of Q, I, …): colour or two channels last, channels first, stacks.

    Colours are channels if a channel is chosen and there are no others. If none is and planes are asked for (`stack`),
    a short first axis is one of planes, not of channels.
    """
    if len(shape) < 2:
        raise ImageError(f"expected an image of at least two dimensions, given the shape {shape}")
    if "S" not in axes and "X" not in axes[:-1] and "Y" not in axes[:-2]:  # otherwise the file says what comes last
        samples = len(shape) > 2 and shape[-1] in (3, 4) and shape[-3] > 4 and not set(axes) & set("CZT")
        two = len(shape) > 2 and shape[-1] == 2 < min(shape[-3:-1]) and not set(axes) & set("CZT")
        axes = axes[: len(shape) - 3] + ("YXS" if samples else "YXC") if samples or two else axes[:-2] + "YX"
    if axes[0] in "QI" and len(axes) == 3 and shape[0] <= 4 and not (stack and channel is None):
        axes = "C" + axes[1:]
    return axes if channel is None or "C" in axes else axes.replace("S", "C")


def _read_tiff(path: Path) -> tuple[NDArray[Any], str, float | None]:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        return np.asarray(series.asarray()), tiff_axes(series), pixel_sizes_of(file).get("X")


def check_axes(shape: Sequence[int], given: str) -> str:
    """Return the axes that were given for an image; ImageError if their number does not fit."""
    if len(given) != len(shape):
        raise ImageError(f"axes={given} names {len(given)} axes, but the image has {len(shape)} ({dimensions(shape)})")
    return given


def tiff_axes(series: tifffile.TiffPageSeries) -> str:
    """Return the axes of a TIFF's pixels; samples are channels (C) unless they are colours, or grey and alpha.

    Four samples are colours and alpha only if they have 8 bits and the file calls them colours.
    """
    page: Any = series.keyframe
    grey_and_alpha = page.samplesperpixel == 2 and page.extrasamples and page.extrasamples[0] in ALPHA
    coloured = page.photometric in COLOURS and (page.samplesperpixel != 4 or page.dtype.itemsize == 1)
    colours = coloured or page.samplesperpixel == 3
    if colours or grey_and_alpha or "C" in series.axes:
        return series.axes
    return series.axes.replace("S", "C")


def tiff_layout(path: str | Path) -> tuple[str, tuple[int, ...]]:
    """Return the axes of a TIFF's pixels and how long they are; no pixels are read."""
    with tifffile.TiffFile(path) as file:
        return tiff_axes(file.series[0]), file.series[0].shape


def pixel_sizes_of(file: tifffile.TiffFile) -> dict[str, float]:
    """Sizes of a pixel in µm along X, Y and Z, those that OME or ImageJ metadata give.

    Plain TIFF resolutions are print sizes, not pixel sizes.
    """
    if file.is_ome and file.ome_metadata:
        images: Any = (tifffile.xml2dict(file.ome_metadata).get("OME") or {}).get("Image") or {}
        pixels = (images[0] if isinstance(images, list) else images).get("Pixels") or {}
        found = {a: (pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "XYZ"}
    elif file.is_imagej and file.imagej_metadata:
        tags, unit = file.pages.first.tags, file.imagej_metadata.get("unit", "")
        counts = {a: tags[f"{a}Resolution"].value for a in "XY" if f"{a}Resolution" in tags}
        found = {a: (length / count if count else None, unit) for a, (count, length) in counts.items()}
        found["Z"] = file.imagej_metadata.get("spacing"), unit
    else:
        return {}
    known = {a: float(size) * MICROMETRES[unit] for a, (size, unit) in found.items() if size and unit in MICROMETRES}
    return {axis: size for axis, size in known.items() if size > 0}


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
