"""Planes of images that need not fit into memory, read window by window."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import tifffile
import zarr

from napari_pffnet.io.errors import first_line
from napari_pffnet.io.images import (
    TIFF,
    ImageError,
    check_axes,
    fix_axes,
    name_axes,
    pixel_sizes_of,
    read_image,
    tiff_axes,
)
from napari_pffnet.io.ome_zarr import UNPLACED, Placement, describe
from napari_pffnet.io.opened import Opened, are_stains, check_level, name_colours, open_zarr
from napari_pffnet.io.place import place_columns
from napari_pffnet.io.stains import HEMATOXYLIN, Channel, hematoxylin
from napari_pffnet.typing import Array
from napari_pffnet.wording import dimensions

LARGE = 64_000_000
LARGEST_CHUNK = 256 * 2**20


@dataclass(frozen=True)
class FilePlane:
    """Which plane of which file.

    `axes`, `channel` and `plane` as `io.images.to_plane` takes them, `level` of a pyramid.
    """

    path: str
    channel: Channel | None = None
    plane: int | None = None
    level: int = 0
    axes: str | None = None


class LazyPlane:
    """One plane of an array that is read by windows.

    Parameters
    ----------
    array : array-like
        numpy, dask or zarr array.
    axes : str, optional
        One letter per dimension, see `io.images.read_image`; guessed if absent.
    channel, plane : int, optional
        As of `io.images.to_plane`.
    pixel_size : float, optional
        Width of a pixel in µm.
    close : callable, optional
        Closes what the array reads from.
    path : Path or str
        The image; named in errors.
    full : tuple of int, optional
        Shape of the largest level, through whose planes `plane` counts; that of the array if absent.
    placement : Placement, optional
        Of the pixels; from `pixel_size` if absent.

    Attributes
    ----------
    shape : (int, int)
        Height and width.
    colours : bool
        Whether windows are H×W×3.
    place : dict
        Index along each stack axis of the largest level, see `io.place.place_columns`.

    Raises
    ------
    ImageError
        A choice of channel or plane is missing or out of range, or there are no pixels.
    """

    def __init__(
        self,
        array: Any,
        axes: str | None = None,
        channel: Channel | None = None,
        plane: int | None = None,
        pixel_size: float | None = None,
        close: Callable[[], object] | None = None,
        path: Path | str = "the image",
        full: tuple[int, ...] | None = None,
        placement: Placement | None = None,
    ) -> None:
        self._array, self.pixel_size, self.path = array, pixel_size, path
        self.placement = placement or _placed({"X": pixel_size} if pixel_size else {})
        self._close = weakref.finalize(self, close) if close is not None else None  # also where nobody closes it
        index = index_of(channel)
        self._axes = name_axes(tuple(array.shape), axes or "Q" * array.ndim, index, plane is not None)
        sizes = dict(zip(self._axes, array.shape, strict=True))
        if 0 in array.shape:
            raise ImageError(f"{path}: has no pixels (shape {dimensions(array.shape)})")
        self._fixed = fix_axes(tuple(map(int, array.shape)), self._axes, index, plane, full)
        self.place = _place_of(full or array.shape, self._axes, plane or 0)
        self.shape: tuple[int, int] = (int(sizes["Y"]), int(sizes["X"]))
        self.dtype = np.dtype(array.dtype)
        self.colours = sizes.get("S", 1) >= 3
        self._stained = channel == HEMATOXYLIN
        if self._stained and not self.colours:
            raise ImageError(f"{path}: is no colour image; choose one of its channels instead of {HEMATOXYLIN}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._close is not None:
            self._close()

    @property
    def pixel_area(self) -> float | None:
        """Area of a pixel in µm², None if its size is unknown."""
        height, width = self.placement.scale
        return self.pixel_size**2 * height / width if self.pixel_size else None

    def read(self, window: tuple[slice, slice]) -> Array:
        """Return H×W, or H×W×3 of colours, of a window; ImageError if it cannot be read."""
        wanted = {"Y": window[0], "X": window[1], "S": slice(0, 3 if self.colours else 1)}
        places = [self._fixed[p] if p in self._fixed else wanted[axis] for p, axis in enumerate(self._axes)]
        with _readable(self.path):
            part = np.asarray(self._array[tuple(places)])
        left = [axis for p, axis in enumerate(self._axes) if p not in self._fixed]
        part = part.transpose([left.index(axis) for axis in "YXS" if axis in left])
        if self._stained:
            return hematoxylin(part)
        return part if part.ndim == 2 or self.colours else part[..., 0]


class LazyStack:
    """All planes of an image, read one at a time.

    Parameters
    ----------
    path : Path
        The image; named in errors.
    array, axes, close
        As of `LazyPlane`.
    channel : int, optional
        As of `io.images.to_plane`.
    pixel_sizes : mapping, optional
        Sizes of a pixel in µm along X, Y and Z, those that are known.

    Attributes
    ----------
    axes : str
        Letter of each stack axis, those of length 1 too.
    shape : tuple of int
        Lengths of the stack axes, height and width.
    places : list of tuple
        Index of each plane along the stack axes, the last one running fastest.
    """

    def __init__(
        self,
        path: Path,
        array: Any,
        axes: str | None = None,
        channel: Channel | None = None,
        pixel_sizes: Mapping[str, float] | None = None,
        close: Callable[[], object] | None = None,
    ) -> None:
        self.path, self.pixel_sizes = path, pixel_sizes or {}
        self._array, self._channel, self._close = array, channel, close
        self._axes = name_axes(tuple(array.shape), axes or "Q" * array.ndim, index_of(channel), stack=True)
        sizes = list(zip(self._axes, map(int, array.shape), strict=True))
        stacked = [(axis, size) for axis, size in sizes if axis not in "CYXS"]
        self.axes = "".join(axis for axis, _ in stacked)
        self.shape = (*(size for _, size in stacked), dict(sizes)["Y"], dict(sizes)["X"])
        self.places = list(np.ndindex(self.shape[:-2]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        if self._close is not None:
            self._close()

    def begins(self, place: tuple[int, ...]) -> bool:
        """Whether a plane is the first along the last stack axis that is longer than 1."""
        long = [i for i, size in zip(place, self.shape, strict=False) if size > 1]
        return not long or long[-1] == 0

    def columns(self, place: tuple[int, ...]) -> dict[str, int]:
        """Return where a plane is, as tables tell it; see `io.place.place_columns`."""
        return place_columns(self.axes, self.shape[:-2], place)

    def read(self, place: tuple[int, ...]) -> Array:
        """Return a plane, H×W or H×W×3; ImageError if it cannot be read, or the choice of the channel is missing."""
        plane = LazyPlane(self._array, self._axes, self._channel, self.places.index(place), path=self.path)
        return plane.read((slice(None), slice(None)))


def index_of(channel: Channel | None) -> int | None:
    """Return which channel of the file is wanted; None if it is none of them, but a stain of its colours."""
    return channel if isinstance(channel, int) else None


def is_lazy(path: Path, above: int) -> bool:
    """Whether an image is read by windows: a Zarr folder, or a TIFF of more than so many pixels a plane."""
    if is_zarr(path):
        return True
    if path.suffix.lower() not in TIFF or not path.is_file():
        return False
    try:
        with tifffile.TiffFile(path) as file:
            page = file.series[0].levels[0].keyframe
            return int(page.imagelength * page.imagewidth) > above
    except Exception:  # what is wrong with it is said by who reads it
        return False


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zattrs", ".zgroup", ".zarray"))


def open_plane(source: FilePlane) -> LazyPlane:
    """Open a plane of an OME-Zarr (0.4, 0.5), a plain Zarr array, or a TIFF; nothing is read yet.

    Raises
    ------
    ImageError
        It cannot be read, or a choice is missing; the message names the fix.
    """
    path = Path(source.path)
    array, axes, sizes, close, full, placement, colours = _open(source, source.plane is not None)
    if is_zarr(path) and index_of(source.channel) is None and not source.axes and not are_stains(colours):
        axes = name_colours(array, axes)
    return LazyPlane(array, axes, source.channel, source.plane, sizes.get("X"), close, path, full, placement)


def read_plane(
    path: Path, channel: Channel | None = None, plane: int | None = None, axes: str | None = None
) -> tuple[Array, Mapping[str, float]]:
    """Read one plane of an image file, and nothing else of a TIFF; with the sizes of its pixels as of `LazyStack`.

    Raises
    ------
    ImageError
        It cannot be read, or a choice is missing; the message names the fix.
    """
    if path.suffix.lower() in TIFF:
        array, letters, sizes, close, *_ = _open(FilePlane(str(path), channel, plane, axes=axes), plane is not None)
        with LazyPlane(array, letters, channel, plane, close=close, path=path) as opened:
            return opened.read((slice(None), slice(None))), sizes
    pixels, own, _ = read_image(path)
    plane_of = LazyPlane(pixels, own, channel, plane, path=path)
    return plane_of.read((slice(None), slice(None))), {}  # pictures say what their axes are


def open_stack(path: Path, channel: Channel | None = None, axes: str | None = None) -> LazyStack:
    """Open all planes of an image; those of TIFF and Zarr are read one at a time.

    Raises
    ------
    ImageError
        It cannot be read; the message names the fix.
    """
    if is_zarr(path) or path.suffix.lower() in TIFF:
        array, letters, sizes, close, _, _, colours = _open(FilePlane(str(path), channel, axes=axes), stack=True)
        if is_zarr(path) and index_of(channel) is None and not axes and not are_stains(colours):
            letters = name_colours(array, letters)
        return LazyStack(path, array, letters, channel, sizes, close)
    pixels, own, _ = read_image(path)
    return LazyStack(path, pixels, own, channel)


def level_count(path: Path) -> int:
    """Return how many levels an image has; one that is no pyramid has one.

    Raises
    ------
    ImageError
        It cannot be read.
    """
    if not path.exists():
        raise ImageError(f"{path}: no such file")
    with _readable(path):
        if not is_zarr(path):
            with tifffile.TiffFile(path) as file:
                return len(file.series[0].levels)
        node = zarr.open(path, mode="r")
        facts = describe(node) if isinstance(node, zarr.Group) else None
        return len(facts.paths) if facts else 1


def _open(source: FilePlane, stack: bool = False) -> Opened:
    """Open an array; samples that lie one after the other are taken for planes if these are asked for (`stack`)."""
    path = Path(source.path)
    if not path.exists():
        raise ImageError(f"{path}: no such file")
    with _readable(path):
        opened = (open_zarr if is_zarr(path) else _open_tiff)(path, source.level)
    if source.axes:
        return opened._replace(axes=check_axes(opened.array.shape, source.axes))
    if stack and opened.axes == "SYX" and source.channel is None:
        return opened._replace(axes="QYX")
    return opened


@contextmanager
def _readable(path: Path | str) -> Iterator[None]:
    """Say of which file an error is, whatever the library that reads it raises."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        raise ImageError(f"{path}: cannot be read ({first_line(error)})") from error


def _open_tiff(path: Path, level: int) -> Opened:
    with tifffile.TiffFile(path) as file:
        series, sizes = file.series[0], pixel_sizes_of(file)
        axes, full = tiff_axes(series), series.shape
        check_level(path, level, len(series.levels))
        page = series.levels[level].keyframe
        chunk = int(np.prod(page.chunks)) * np.dtype(page.dtype).itemsize
        factor = series.levels[0].keyframe.imagewidth / page.imagewidth
        sizes |= {axis: sizes[axis] * factor for axis in "XY" if axis in sizes}
        if chunk > LARGEST_CHUNK:
            if page.is_memmappable:
                pixels = tifffile.memmap(path, series=0, level=level, mode="r")
                return Opened(pixels, axes, sizes, None, full, _placed(sizes))
            if page.imagelength * page.imagewidth > LARGE:  # smaller ones are read whole anyway
                raise ImageError(f"{path}: is stored in one piece of {chunk / 2**30:.1f} GB; save it as a tiled TIFF")
    store: Any = tifffile.imread(path, aszarr=True, series=0, level=level)
    return Opened(zarr.open(store, mode="r"), axes, sizes, store.close, full, _placed(sizes))


def _place_of(shape: Sequence[int], axes: str, plane: int) -> dict[str, int]:
    stack = [(axis, int(size)) for axis, size in zip(axes, shape, strict=True) if axis not in "CYXS"]
    sizes = [size for _, size in stack]
    place = [int(number) for number in np.unravel_index(plane, sizes)] if stack else []
    return place_columns([axis for axis, _ in stack], sizes, place)


def _placed(sizes: Mapping[str, float]) -> Placement:
    """Placement of pixels that have sizes in µm; they are taken for square where only the width is known."""
    if "X" not in sizes:
        return UNPLACED
    return Placement((sizes.get("Y", sizes["X"]), sizes["X"]), units=("micrometer", "micrometer"))
