"""Overlapping tiles of an image, and which part of the image each one answers for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """Pixels `start` to `stop` along one axis; the tile answers for `core_start` to `core_stop`."""

    start: int
    stop: int
    core_start: int
    core_stop: int


class Tile(NamedTuple):
    """A window of the image."""

    y: Span
    x: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """The whole tile."""
        return slice(self.y.start, self.y.stop), slice(self.x.start, self.x.stop)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.y.stop - self.y.start, self.x.stop - self.x.start

    @property
    def core(self) -> tuple[slice, slice]:
        """The part the tile answers for, in image coordinates."""
        return slice(self.y.core_start, self.y.core_stop), slice(self.x.core_start, self.x.core_stop)

    @property
    def core_in_tile(self) -> tuple[slice, slice]:
        """The part the tile answers for, in its own coordinates."""
        return (
            slice(self.y.core_start - self.y.start, self.y.core_stop - self.y.start),
            slice(self.x.core_start - self.x.start, self.x.core_stop - self.x.start),
        )


def make_tiles(shape: tuple[int, int], size: int, overlap: int, step: float = 1) -> list[Tile]:
    """Cover an image with as few tiles as possible, no larger than needed, row by row.

    All have one shape, save that the image's end may cut off less than one step from the last of a row or column.

    Parameters
    ----------
    shape : (int, int)
        Height and width, pixels.
    size : int
        Largest side of a tile, unless the overlap and one step need more.
    overlap : int
        Least overlap of neighbours, under `size`. Cores meet in its middle and cover the image exactly once.
    step : float
        Tiles start at multiples of it and are whole multiples long: with the network's largest stride, seen in the
        image, it looks at a place through the same grid in every tile.

    Raises
    ------
    ValueError
        The overlap is not under the size.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"tile overlap {overlap} must be at least 0 and under the tile size {size}")
    rows, columns = (_spans(length, size, overlap, step) for length in shape)
    return [Tile(y, x) for y in rows for x in columns]


def _spans(length: int, size: int, overlap: int, step: float) -> list[Span]:
    if length <= size:
        return [Span(0, length, 0, length)]
    steps, common = _steps_up(length, step), _steps_up(overlap, step)
    most = max(int(size // step), common + 1)
    count = max(2, _divide_up(steps - common, most - common))
    each = _divide_up(steps + (count - 1) * common, count)
    firsts = [i * (steps - each) // (count - 1) for i in range(count)]
    ends = [(round(first * step), min(length, round((first + each) * step))) for first in firsts]
    seams = [(stop + start) // 2 for (_, stop), (start, _) in pairwise(ends)]
    return [Span(*end, *core) for end, core in zip(ends, zip([0, *seams], [*seams, length], strict=True), strict=True)]


def _steps_up(length: int, step: float) -> int:
    return int(-(-length // step))


def _divide_up(a: int, b: int) -> int:
    return -(-a // b)


def batches(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    """Yield so many tiles at once, all of one shape; tiles of one shape must follow each other."""
    for _, alike in groupby(tiles, key=lambda tile: tile.shape):
        group = list(alike)
        for start in range(0, len(group), size):
            yield group[start : start + size]
