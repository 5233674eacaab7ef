"""From the tiles of a large image to labels, block by block: memory is that of a block, not of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from napari_pffnet.config import SegmentConfig
from napari_pffnet.io.ome_zarr import LabelPyramid, blocks
from napari_pffnet.labels import compose
from napari_pffnet.segment.features import Window
from napari_pffnet.segment.large_tiles import KEPT_BELOW_THRESHOLD, TileFiles, promising
from napari_pffnet.segment.seams import Parts, merge
from napari_pffnet.segment.tiles import Tile
from napari_pffnet.typing import Array

ROWS_PER_TILE = 100_000
FACTS = ("score", "quality", "mask_score", "overlap")


class Blocks:
    """Draws blocks, one after the other, as soon as all tiles around them are there.

    A block is drawn with everything near it, so that two neighbours draw a nucleus between them alike. A nucleus has
    one number in all blocks, given when it is first drawn; its area and centre are counted from what is written.

    Parameters
    ----------
    tiles : list of Tile
        All tiles of the image.
    files : TileFiles
        What was found in them.
    config : SegmentConfig
        Thresholds.
    reach : float
        How far a nucleus may extend from a block that it touches, pixels: the overlap of tiles.
    nuclei, semantic : LabelPyramid
        Where blocks are written.
    """

    def __init__(
        self,
        tiles: Sequence[Tile],
        files: TileFiles,
        config: SegmentConfig,
        reach: float,
        nuclei: LabelPyramid,
        semantic: LabelPyramid,
    ) -> None:
        self.tiles, self.files, self.config, self.reach = tiles, files, config, int(np.ceil(reach))
        self.nuclei, self.semantic = nuclei, semantic
        self.windows = blocks(nuclei.shape)
        self.next = 0
        self._cores = np.array(
            [(t.y.core_start, t.x.core_start, t.y.core_stop, t.x.core_stop) for t in tiles], np.int64
        )
        self._ids: dict[int, int] = {}
        self._facts: list[tuple[float, ...]] = []
        self._sums: Array = np.zeros((1024, 3))

    def needed(self) -> set[int]:
        """Return the tiles that the next block needs."""
        return set(self._around(self.windows[self.next], 2 * self.reach).tolist())

    def draw(self) -> Window:
        """Draw and write the next block; return its window."""
        window = self.windows[self.next]
        y, x = window[0].start, window[1].start
        self.nuclei.write(y, x, self._labels(window))
        self.semantic.write(y, x, self._semantic(window))
        self.next += 1
        return window

    def table(self) -> pd.DataFrame:
        """Return one row per nucleus, as `Segmentation.table`; ordered by number, which runs from block to block."""
        count = len(self._facts)
        area, y, x = self._sums[1 : count + 1].T
        with np.errstate(invalid="ignore"):
            places = {"index": np.arange(1, count + 1), "y": y / area, "x": x / area, "area": area.astype(np.int64)}
        facts = np.array(self._facts, np.float64).reshape(-1, len(FACTS)).T
        return pd.DataFrame(places | dict(zip(FACTS, facts, strict=True)))

    def _around(self, window: Window, reach: int) -> Array:
        """Numbers of the tiles that answer for a place in a window or near it."""
        (y, x), cores = window, self._cores
        near = (cores[:, 0] < y.stop + reach) & (cores[:, 2] > y.start - reach)
        return np.flatnonzero(near & (cores[:, 1] < x.stop + reach) & (cores[:, 3] > x.start - reach))

    def _found(self, window: Window) -> Parts:
        """Nuclei whose boxes meet a window or its surroundings, each once; `key` names one in the whole image."""
        near, parts = self._around(window, 2 * self.reach), []
        for number in near:
            found, _ = self.files.read(int(number))
            x0, y0, x1, y1 = found["boxes"].T
            low, high = (np.array([part.start for part in window]), np.array([part.stop for part in window]))
            (top, left), (bottom, right) = low - 2 * self.reach, high + 2 * self.reach
            rows = np.flatnonzero((x0 < right) & (x1 > left) & (y0 < bottom) & (y1 > top))
            part = {name: values[rows] for name, values in found.items()} | {"key": number * ROWS_PER_TILE + rows}
            parts.append(promising(part, KEPT_BELOW_THRESHOLD * self.config.score_threshold))
        return merge(parts, [self.tiles[number] for number in near])

    def _labels(self, window: Window) -> Array:
        found, shape = self._found(window), self.nuclei.shape
        starts = [max(0, part.start - self.reach) for part in window]
        stops = [min(length, part.stop + self.reach) for part, length in zip(window, shape, strict=True)]
        scores = found["scores"] * found["quality"]
        labels, kept, overlaps = compose(
            found["boxes"] - np.array(starts[::-1] * 2, np.float32),
            found["masks"],
            scores,
            (stops[0] - starts[0], stops[1] - starts[1]),
            self.config,
        )
        inner = tuple(slice(part.start - s, part.stop - s) for part, s in zip(window, starts, strict=True))
        part = labels[inner]
        facts = np.stack([found["scores"][kept], found["quality"][kept], scores[kept], overlaps], 1)
        return self._numbered(part, found["key"][kept], facts, window)

    def _numbered(self, labels: Array, keys: Array, facts: Array, window: Window) -> Array:
        """Give the objects of a block their numbers in the image, and count their pixels."""
        place = np.flatnonzero(labels)
        local = labels.ravel()[place]
        numbers = np.zeros(len(keys) + 1, np.uint32)
        for row in np.flatnonzero(np.bincount(local, minlength=1)).tolist():
            key = int(keys[row - 1])
            if key not in self._ids:
                self._ids[key] = len(self._ids) + 1
                self._facts.append(tuple(facts[row - 1].tolist()))
            numbers[row] = self._ids[key]
        while len(self._ids) >= len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
        rows, columns = np.divmod(place, labels.shape[1])
        for column, weights in enumerate((None, rows + window[0].start, columns + window[1].start)):
            sums = np.bincount(local, weights, len(numbers))
            self._sums[numbers[sums > 0], column] += sums[sums > 0]
        return numbers[labels]

    def _semantic(self, window: Window) -> Array:
        result = np.zeros([part.stop - part.start for part in window], np.uint8)
        for number in self._around(window, 0):
            tile, (_, inside) = self.tiles[number], self.files.read(int(number))
            here, there = zip(*(_cut(*pair) for pair in zip(window, tile.core, strict=True)), strict=True)
            result[here] = inside[there]
        return result


def _cut(window: slice, core: slice) -> tuple[slice, slice]:
    """The common part of two intervals, counted from the start of each."""
    start, stop = max(window.start, core.start), min(window.stop, core.stop)
    return slice(start - window.start, stop - window.start), slice(start - core.start, stop - core.start)
