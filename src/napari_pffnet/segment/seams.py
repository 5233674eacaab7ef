"""Detections of overlapping tiles become those of one image: each nucleus once, and whole.

Two detections of different tiles are the same nucleus if their masks agree where both tiles could see. Of the two, the
one stays whose tile saw more around it. If every tile cut the nucleus, its parts are joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from napari_pffnet.labels import paste
from napari_pffnet.segment.tiles import Tile
from napari_pffnet.typing import Array

Parts = dict[str, Array]
SAME_IOU = 0.3
EXPLAINED = 0.5
CUT_ROOM = 1.5


class _Drawn(NamedTuple):
    """A mask in the image: bool pixels `inside` from row `y` and column `x` on."""

    inside: Array
    y: int
    x: int


def in_image(result: Parts, tile: Tile, margin: float) -> Parts:
    """Move a tile's detections into the image; keep those centred in its core or at most `margin` pixels beyond.

    The two tiles of a seam place a nucleus slightly differently; without the margin both could leave it to the other.
    """
    boxes = result["boxes"] + np.array([tile.x.start, tile.y.start] * 2, np.float32)
    keep = _beyond_core(boxes, tile) <= margin
    return {name: (boxes if name == "boxes" else values)[keep] for name, values in result.items()}


def merge(found: Sequence[Parts], tiles: Sequence[Tile]) -> Parts:
    """Join the detections of tiles so that each nucleus counts once.

    Parameters
    ----------
    found : list of dict
        Of each tile what `in_image` kept: `boxes` float32 N×4 xyxy in the image, `scores` and `quality` N, `masks`
        N×S×S probabilities; other arrays of N rows are passed on. Within one tile all are different nuclei.
    tiles : list of Tile
        Their tiles.

    Returns
    -------
    dict
        The same arrays for all nuclei, best first.
    """
    parts = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    owner = np.repeat(np.arange(len(tiles)), [len(each["boxes"]) for each in found])
    room, guest = np.zeros(len(owner)), np.zeros(len(owner), bool)
    shape = _extent(tiles)
    for i, tile in enumerate(tiles):
        mine = owner == i
        room[mine] = _room(parts["boxes"][mine], tile, shape)
        guest[mine] = _beyond_core(parts["boxes"][mine], tile) > 0
    partners = _partners(parts, owner, tiles, guest)
    order = np.lexsort((-room, guest, room < CUT_ROOM))
    kept = _choose(order, partners)
    for row, others in kept.items():
        cut = [other for other in others if room[other] < CUT_ROOM]
        if room[row] < CUT_ROOM and cut:
            _join(parts, [row, *cut])
    rows = np.array(sorted(kept), np.int64)
    rows = rows[np.argsort(-(parts["scores"] * parts["quality"])[rows], kind="stable")]
    return {name: values[rows] for name, values in parts.items()}


def _choose(order: Array, partners: dict[int, set[int]]) -> dict[int, list[int]]:
    """Go through the rows in order; a row that is the same as one kept before gives way: kept rows, and who did."""
    kept: dict[int, list[int]] = {}
    for row in order.tolist():
        first = next((other for other in partners.get(row, ()) if other in kept), None)
        if first is None:
            kept[row] = []
        else:
            kept[first].append(row)
    return kept


def _partners(parts: Parts, owner: Array, tiles: Sequence[Tile], guest: Array) -> dict[int, set[int]]:
    """Which rows are the same nucleus as which rows of other tiles."""
    pairs = list(_pairs(parts["boxes"], owner, tiles))
    rows = np.array(sorted({row for a, b, _ in pairs for row in (a, b)}), np.int64)
    drawn = dict(zip(rows.tolist(), _draw(parts["boxes"][rows], parts["masks"][rows]), strict=True))
    partners: dict[int, set[int]] = {}
    for a, b, common in pairs:
        if _same(drawn[a], drawn[b], common, bool(guest[a]), bool(guest[b])):
            partners.setdefault(a, set()).add(b)
            partners.setdefault(b, set()).add(a)
    return partners


def _pairs(boxes: Array, owner: Array, tiles: Sequence[Tile]) -> Iterator[tuple[int, int, Array]]:
    """Rows of two tiles whose boxes meet in what both tiles see, and that area (y0, x0, y1, x1)."""
    rows_of = [np.flatnonzero(owner == i) for i in range(len(tiles))]
    for i, j in combinations(range(len(tiles)), 2):
        a, b = tiles[i], tiles[j]
        area = np.array(
            [
                max(a.y.start, b.y.start),
                max(a.x.start, b.x.start),
                min(a.y.stop, b.y.stop),
                min(a.x.stop, b.x.stop),
            ]
        )
        if (area[:2] >= area[2:]).any():
            continue
        first, second = (rows[_meet(boxes[rows], area)] for rows in (rows_of[i], rows_of[j]))
        low = np.maximum(boxes[first, None, :2], boxes[None, second, :2])
        high = np.minimum(boxes[first, None, 2:], boxes[None, second, 2:])
        for one, other in np.argwhere((high - low > 1).all(2)).tolist():
            yield int(first[one]), int(second[other]), area


def _same(a: _Drawn, b: _Drawn, area: Array, a_guest: bool, b_guest: bool) -> bool:
    """Whether two masks agree within an area; a guest, whose centre another tile answers for, need only lie inside."""
    first, second = (_within(each, area) for each in (a, b))
    sizes = np.count_nonzero(first.inside), np.count_nonzero(second.inside)
    if min(sizes) == 0:
        return False
    common = _common(first, second)
    inside = (a_guest and common >= EXPLAINED * sizes[0]) or (b_guest and common >= EXPLAINED * sizes[1])
    return bool(inside or common >= SAME_IOU * (sum(sizes) - common))


def _within(mask: _Drawn, area: Array) -> _Drawn:
    height, width = mask.inside.shape
    y0, x0 = max(mask.y, int(area[0])), max(mask.x, int(area[1]))
    y1, x1 = min(mask.y + height, int(area[2])), min(mask.x + width, int(area[3]))
    part = mask.inside[max(0, y0 - mask.y) : max(0, y1 - mask.y), max(0, x0 - mask.x) : max(0, x1 - mask.x)]
    return _Drawn(part, y0, x0)


def _common(a: _Drawn, b: _Drawn) -> int:
    """Pixels that two masks share."""
    y0, x0 = max(a.y, b.y), max(a.x, b.x)
    y1 = min(a.y + a.inside.shape[0], b.y + b.inside.shape[0])
    x1 = min(a.x + a.inside.shape[1], b.x + b.inside.shape[1])
    if y0 >= y1 or x0 >= x1:
        return 0
    first, second = (m.inside[y0 - m.y : y1 - m.y, x0 - m.x : x1 - m.x] for m in (a, b))
    return int(np.count_nonzero(first & second))


def _draw(boxes: Array, masks: Array) -> Iterator[_Drawn]:
    extent = tuple(int(np.ceil(n)) + 1 for n in boxes[:, [3, 2]].max(0, initial=0))
    for (y, x), values in paste(boxes, masks, (extent[0], extent[1])):
        yield _Drawn(values >= 0.5, y.start, x.start)


def _join(parts: Parts, rows: list[int]) -> None:
    """Make the first row the union of all of them."""
    boxes, masks = parts["boxes"][rows], parts["masks"][rows]
    corner = np.floor(boxes[:, :2].min(0))
    box = np.concatenate([corner, np.ceil(boxes[:, 2:].max(0))])
    width, height = (box[2:] - corner).astype(int)
    canvas = np.zeros((height, width), np.float32)
    for window, values in paste(boxes - np.tile(corner, 2), masks, (height, width)):
        canvas[window] = np.maximum(canvas[window], values)
    side = list(masks.shape[1:])
    small = F.interpolate(torch.from_numpy(canvas)[None, None], side, mode="bilinear", antialias=True)[0, 0]
    parts["boxes"][rows[0]], parts["masks"][rows[0]] = box, small.numpy()


def _beyond_core(boxes: Array, tile: Tile) -> Array:
    """How far outside the tile's core the centre of each box lies, pixels; 0 inside."""
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
    outside = [_outside(y, tile.y.core_start, tile.y.core_stop), _outside(x, tile.x.core_start, tile.x.core_stop)]
    return np.maximum(*outside)


def _outside(place: Array, start: int, stop: int) -> Array:
    return np.asarray(np.maximum(np.maximum(start - place, np.where(place >= stop, place - stop + 1e-3, 0)), 0))


def _room(boxes: Array, tile: Tile, shape: tuple[int, int]) -> Array:
    """Distance of each box to the nearest edge of its tile that is not the image's own."""
    x0, y0, x1, y1 = boxes.T
    edges = [np.full(len(boxes), np.inf)]
    for low, high, span, length in ((y0, y1, tile.y, shape[0]), (x0, x1, tile.x, shape[1])):
        edges += [low - span.start] if span.start > 0 else []
        edges += [span.stop - high] if span.stop < length else []
    return np.asarray(np.min(edges, 0))


def _meet(boxes: Array, area: Array) -> Array:
    """Whether each box (xyxy) meets an area (y0, x0, y1, x1)."""
    x0, y0, x1, y1 = boxes.T
    meeting: Array = (x0 < area[3]) & (x1 > area[1]) & (y0 < area[2]) & (y1 > area[0])
    return meeting


def _extent(tiles: Sequence[Tile]) -> tuple[int, int]:
    """Where the cores of the image's last tiles end; inside an image any tile's edges are inner ones."""
    last_y = [tile.y.stop for tile in tiles if tile.y.stop == tile.y.core_stop]
    last_x = [tile.x.stop for tile in tiles if tile.x.stop == tile.x.core_stop]
    return max(last_y, default=2**62), max(last_x, default=2**62)
