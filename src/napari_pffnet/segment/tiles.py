"""Overlapping tiles of an image, and which part of the image each one answers for."""

from __future__ import annotations

from itertools import pairwise
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


def make_tiles(shape: tuple[int, int], size: int, overlap: int) -> list[Tile]:
    """Cover an image with as few tiles as possible, all of one shape that is no larger than needed, row by row.

    Parameters
    ----------
    shape : (int, int)
        Height and width, pixels.
    size : int
        Largest side of a tile.
    overlap : int
        Least overlap of neighbours, under `size`. Cores meet in its middle and cover the image exactly once.

    Raises
    ------
    ValueError
        The overlap is not under the size.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"tile overlap {overlap} must be at least 0 and under the tile size {size}")
    rows, columns = (_spans(length, size, overlap) for length in shape)
    return [Tile(y, x) for y in rows for x in columns]


def _spans(length: int, size: int, overlap: int) -> list[Span]:
    if length <= size:
        return [Span(0, length, 0, length)]
    count = _divide_up(length - overlap, size - overlap)
    size = _divide_up(length + (count - 1) * overlap, count)
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    seams = [(start + size + following) // 2 for start, following in pairwise(starts)]
    return [
        Span(start, start + size, first, last)
        for start, first, last in zip(starts, [0, *seams], [*seams, length], strict=True)
    ]


def _divide_up(a: int, b: int) -> int:
    return -(-a // b)
