"""Images that do not fit into memory: tile by tile, then block by block, resumed where it stopped."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from napari_pffnet.io.errors import Cancelled
from napari_pffnet.io.lazy import LazyPlane
from napari_pffnet.io.ome_zarr import LabelPyramid, is_result
from napari_pffnet.io.patience import patiently
from napari_pffnet.io.results import write_table
from napari_pffnet.segment.features import Window
from napari_pffnet.segment.large_blocks import Blocks
from napari_pffnet.segment.large_drawing import Drawing
from napari_pffnet.segment.large_job import RESULT, LargeError, begin, check_folder, discard, only_one
from napari_pffnet.segment.large_tiles import Setting, TileFiles, compute, read
from napari_pffnet.segment.segmenter import Segmenter, ignore, never
from napari_pffnet.segment.tiles import Tile, batches
from napari_pffnet.typing import Array

T = TypeVar("T")
R = TypeVar("R")


class Spread(Protocol):
    """Computes tiles elsewhere."""

    def __call__(
        self, plane: LazyPlane, segmenter: Segmenter, setting: Setting, tiles: dict[int, Tile]
    ) -> Generator[tuple[int, bytes]]:
        """Yield number and file content of each tile, in any order."""


@dataclass(frozen=True)
class Shown:
    """What became visible: the window of a block and the pyramids that hold it, largest level first."""

    window: Window
    nuclei: LabelPyramid
    semantic: LabelPyramid


@dataclass(frozen=True)
class LargeResult:
    """What came of it.

    `labels`: Zarr group with ``labels/nuclei`` and ``labels/semantic``; `table`: CSV file; `count` of nuclei; `zoom`
    at which the network saw the image.
    """

    labels: Path
    table: Path
    count: int
    zoom: float


def segment_large(
    plane: LazyPlane,
    segmenter: Segmenter,
    output: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    shown: Callable[[Shown], None] | None = None,
    spread: Spread | None = None,
    restart: bool = False,
) -> LargeResult:
    """Segment a plane of any size; memory is that of a tile and of a block.

    What is done lies in ``OUTPUT.partial``. After a crash or a cancellation, the same call goes on there.

    Parameters
    ----------
    plane : LazyPlane
        See `io.lazy.open_plane`.
    segmenter : Segmenter
        Model, scale, tiles and thresholds; without scale and diameter the zoom is that of `sized`.
    output : Path
        Without suffix: ``OUTPUT.zarr`` and ``OUTPUT.csv`` are written, older ones replaced.
    progress : callable, optional
        Called with (tiles done, tiles in all), again and again while the last blocks are drawn.
    cancelled : callable, optional
        Asked before each tile, and between the steps of measuring the image.
    shown : callable, optional
        Called after each block that is drawn, with its window and where to read it.
    spread : callable, optional
        Computes tiles in other processes, see `segment.cluster`.
    restart : bool
        Whether to forget what was done before.

    Raises
    ------
    OtherWork
        Another image, model or setting was begun at this place. Thresholds may change; see `large_job`.
    LargeError
        Another process is at work there, or there is a Zarr that is no result, or ``OUTPUT.partial`` holds other files.
    Cancelled
        `cancelled` returned True; what is done is kept.
    """
    target, table, work = (output.with_name(f"{output.name}{suffix}") for suffix in (".zarr", ".csv", ".partial"))
    stop, tell, show = cancelled or never, progress or ignore, shown or ignore
    with only_one(output) as lock:
        if target.exists() and not is_result(target):
            raise LargeError(f"{target} is there and no result of a segmentation; choose another folder or name")
        check_folder(work)
        if restart and work.exists():
            discard(work)
        fitting, setting = begin(work, plane, segmenter, stop)
        tiles, files = fitting.tiles(plane.shape), TileFiles(work / "tiles")
        nuclei, semantic = _pyramids(work / RESULT, plane)
        blocks = Blocks(tiles, files, fitting.config, fitting.overlap / fitting.scale, nuclei, semantic)
        done = files.done() & set(range(len(tiles)))
        left = {number: tiles[number] for number in _in_order(tiles) if number not in done}
        computed = (spread or _here)(plane, fitting, setting, left)

        def drawn(window: Window) -> None:
            show(Shown(window, nuclei, semantic))

        def ask() -> None:
            if stop():
                raise Cancelled

        def wait() -> None:
            tell(len(tiles), len(tiles))
            ask()

        with Drawing(blocks, drawn) as drawing:
            for finished in _with_files(computed, files, done, ask):
                tell(len(finished), len(tiles))
                drawing.go_on(finished)
            drawing.finish(finished, wait)
        if not lock.held():
            raise LargeError(f"{output} was taken over by another process; its result counts")
        rows = blocks.table()
        write_table(table, rows, plane.pixel_area, plane.place)
        _replace(work / RESULT, target)
        with suppress(OSError):  # the result is there; what is left is taken up, or discarded, by the next run
            discard(work)
    return LargeResult(target, table, len(rows), fitting.scale)


def _pyramids(folder: Path, plane: LazyPlane) -> tuple[LabelPyramid, LabelPyramid]:
    """Nuclei and semantic map, empty."""
    if folder.exists():
        shutil.rmtree(folder)
    return (
        LabelPyramid(folder, "nuclei", plane.shape, "uint32", plane.placement),
        LabelPyramid(folder, "semantic", plane.shape, "uint8", plane.placement),
    )


def _here(
    plane: LazyPlane, segmenter: Segmenter, setting: Setting, tiles: dict[int, Tile]
) -> Generator[tuple[int, bytes]]:
    """Compute tiles in this process; those that come next are read meanwhile."""
    numbers = {tile: number for number, tile in tiles.items()}

    def load(batch: list[Tile]) -> list[Array | None]:
        return [read(segmenter, plane, tile, setting) for tile in batch]

    for batch, pixels in _ahead(list(batches(numbers, segmenter.tiles_at_once)), load):
        contents = compute(segmenter, batch, pixels, setting)
        yield from zip((numbers[tile] for tile in batch), contents, strict=True)


def _ahead(items: list[T], load: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Yield items with what is loaded for them, each while the one before is worked on."""
    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(load, item) for item in items[:1])
        for number, item in enumerate(items):
            loaded = coming.popleft().result()
            coming.extend(reader.submit(load, following) for following in items[number + 1 : number + 2])
            yield item, loaded


def _with_files(
    computed: Generator[tuple[int, bytes]], files: TileFiles, done: set[int], ask: Callable[[], None]
) -> Iterator[set[int]]:
    """Write each tile as it comes; the numbers of all that are there, at first and after each. `ask` may raise."""
    finished = set(done)
    yield finished
    with closing(computed):
        ask()
        for number, content in computed:
            files.write(number, content)
            finished.add(number)
            yield finished
            ask()


def _in_order(tiles: list[Tile]) -> list[int]:
    """Row by row, so that blocks can be drawn early and few tiles are needed at once."""
    return sorted(range(len(tiles)), key=lambda number: (tiles[number].y.start, tiles[number].x.start))


def _replace(new: Path, target: Path) -> None:
    """Move a folder to its place; an older one there goes away, once the new one is in its place."""
    former = target.with_name(f".{target.name}.former")
    if former.exists() and not target.exists():  # of a run that was killed right here
        former.rename(target)
    if not target.exists():
        patiently(new.rename, target)
        return
    shutil.rmtree(former, ignore_errors=True)
    patiently(target.rename, former)
    try:
        patiently(new.rename, target)
    except OSError:
        patiently(former.rename, target)
        raise
    with suppress(OSError):
        patiently(shutil.rmtree, former)
