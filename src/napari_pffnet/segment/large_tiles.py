"""What the network found in one tile of a large image, as a small file."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.lazy import LazyPlane
from napari_pffnet.segment.blank import is_blank, nothing
from napari_pffnet.segment.seams import Parts, in_image
from napari_pffnet.segment.segmenter import Segmenter
from napari_pffnet.segment.steady import Statistics, steady
from napari_pffnet.segment.tiles import Tile
from napari_pffnet.typing import Array

TILES_KEPT = 64
#: of the threshold of score: what is lower is never drawn, nor does it take a nucleus' place at a seam
KEPT_BELOW_THRESHOLD = 0.5


@dataclass(frozen=True)
class Setting:
    """What all tiles of an image have in common: limits of intensity, the norms' statistics, least score kept."""

    bounds: tuple[float, float]
    statistics: Statistics
    lowest_score: float


def read(segmenter: Segmenter, plane: LazyPlane, tile: Tile, setting: Setting) -> Array | None:
    """Return the pixels of a tile; None if it is blank."""
    pixels = plane.read(tile.window)
    return None if is_blank(pixels, setting.bounds, segmenter.typical_diameter) else pixels


def compute(
    segmenter: Segmenter, tiles: Sequence[Tile], pixels: Sequence[Array | None], setting: Setting
) -> list[bytes]:
    """Run the network on tiles of one shape; return the content of their files."""
    seen = [part for part in pixels if part is not None]
    with steady(segmenter.model.network, setting.statistics):
        results = iter(segmenter.look(seen, setting.bounds) if seen else ())
    return [
        _blank(tile) if part is None else _file(segmenter, tile, next(results), setting)
        for tile, part in zip(tiles, pixels, strict=True)
    ]


def _blank(tile: Tile) -> bytes:
    return _pack(nothing(), np.zeros([part.stop - part.start for part in tile.core], bool))


def _file(segmenter: Segmenter, tile: Tile, result: Parts, setting: Setting) -> bytes:
    semantic = result.pop("semantic")[tile.core_in_tile] >= 0.5
    found = in_image(result, tile, segmenter.margin)
    return _pack(promising(found, setting.lowest_score), semantic)


def promising(found: Parts, lowest_score: float) -> Parts:
    """Leave out what has a low score."""
    keep = found["scores"] * found["quality"] >= lowest_score
    return {name: values[keep] for name, values in found.items()}


def _pack(found: Parts, semantic: Array) -> bytes:
    file = BytesIO()
    masks = (found["masks"].astype(np.float32) * 255).round().astype(np.uint8)
    content: Any = {**found, "masks": masks, "semantic": np.packbits(semantic), "shape": np.array(semantic.shape)}
    np.savez(file, **content)
    return file.getvalue()


class TileFiles:
    """The files of all tiles, in a folder; the ones read last are kept in memory.

    Parameters
    ----------
    folder : Path
        Made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._kept: OrderedDict[int, tuple[Parts, Array]] = OrderedDict()

    def done(self) -> set[int]:
        """Return the numbers of the tiles that are there; damaged files count as missing."""
        return {int(file.stem) for file in self.folder.glob("[0-9]*.npz") if zipfile.is_zipfile(file)}

    def write(self, number: int, content: bytes) -> None:
        """Keep a tile; it is there whole or not at all."""
        write_atomic(self.folder / f"{number:06d}.npz", content)

    def read(self, number: int) -> tuple[Parts, Array]:
        """Return detections (in the image's pixels) and semantic map (bool, the tile's core)."""
        if number not in self._kept:
            self._kept[number] = self._load(number)
            while len(self._kept) > TILES_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def _load(self, number: int) -> tuple[Parts, Array]:
        path = self.folder / f"{number:06d}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                content = {name: file[name] for name in file.files}
        except (zipfile.BadZipFile, ValueError, EOFError) as error:
            path.unlink()
            raise OSError(f"{path} was damaged and has been removed ({error}); run again, the rest is kept") from None
        height, width = content.pop("shape")
        semantic = np.unpackbits(content.pop("semantic"), count=height * width).reshape(height, width).astype(bool)
        content["masks"] = (content["masks"].astype(np.float32) / 255).astype(np.float16)
        return content, semantic
