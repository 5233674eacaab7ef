"""Image files as arrays of which nothing is read yet; those of Zarr folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr

from napari_pffnet.io.images import ImageError, name_axes
from napari_pffnet.io.ome_zarr import UNPLACED, Placement, describe

RED_GREEN_BLUE = ("FF0000", "00FF00", "0000FF")


class Opened(NamedTuple):
    """A level of an image: `sizes` of its pixels as of `io.lazy.LazyStack`, the rest as of `io.lazy.LazyPlane`.

    `channel_colours` as of `io.ome_zarr.Multiscale`.
    """

    array: Any
    axes: str | None
    sizes: Mapping[str, float]
    close: Callable[[], object] | None
    full: tuple[int, ...]
    placement: Placement
    channel_colours: tuple[str, ...] = ()


def name_colours(array: Any, axes: str | None) -> str:
    """Name the axes of a Zarr array, which has no letter for colours: three channels of 8 bits are taken for them."""
    axes = name_axes(tuple(array.shape), axes or "Q" * array.ndim)
    three = "C" in axes and array.shape[axes.index("C")] == 3
    return axes.replace("C", "S") if three and array.dtype == np.uint8 and "S" not in axes else axes


def are_stains(colours: tuple[str, ...]) -> bool:
    """Whether the metadata give three channels different colours, and not red, green and blue."""
    return len(colours) == 3 and all(colours) and len(set(colours)) > 1 and colours != RED_GREEN_BLUE


def check_level(path: Path, level: int, count: int) -> None:
    """Raise ImageError if a pyramid of so many levels has no such one."""
    if not 0 <= level < count:
        known = f"give 0 to {count - 1}" if count > 1 else "it is no pyramid, its only level is 0"
        raise ImageError(f"{path}: has no level {level}; {known}")


def open_zarr(path: Path, level: int) -> Opened:
    """Open a level of an OME-Zarr, or a plain array; ImageError if there is none."""
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        check_level(path, level, 1)
        return Opened(node, None, {}, None, node.shape, UNPLACED)
    facts = describe(node)
    if facts is None:
        raise ImageError(f"{path}: holds no image (no 'multiscales'); give the folder of an OME-Zarr image or an array")
    check_level(path, level, len(facts.paths))
    largest: Any = node[facts.paths[0]]
    width = facts.pixel_sizes[level]
    sizes = {"X": width} if width else {}
    array: Any = node[facts.paths[level]]
    placement = facts.placements[level]
    return Opened(array, facts.axes, sizes, None, largest.shape, placement, facts.channel_colours)
