"""Images that do not fit into memory: tile by tile, then block by block, resumed where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from napari_pffnet.data.normalize import limits
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.lazy import LazyPlane
from napari_pffnet.io.lock import InUse, Lock
from napari_pffnet.io.ome_zarr import LabelPyramid
from napari_pffnet.io.results import write_table
from napari_pffnet.segment.blank import is_blank
from napari_pffnet.segment.features import Window
from napari_pffnet.segment.large_blocks import Blocks
from napari_pffnet.segment.large_tiles import TYPICAL_DIAMETER, Setting, TileFiles, compute, read
from napari_pffnet.segment.segmenter import MOST_SAMPLES, Cancelled, Segmenter, sample_windows
from napari_pffnet.segment.tiles import Tile, batches

Array = np.ndarray[Any, Any]
T = TypeVar("T")
R = TypeVar("R")
READ_WHOLE = 16_000_000
SAMPLES_ALONG, SAMPLE_SIDE = 16, 128
PLACES_ALONG, PLACES = 8, 9


class LargeError(ValueError):
    """A large image cannot be segmented this way; the message names the fix."""


class OtherWork(LargeError):
    """What was begun at this place is of another image, model or configuration; it can be given up (`restart`).

    Parameters
    ----------
    work : Path
        The place.
    other : list of str
        What of it is another.
    """

    def __init__(self, work: Path, other: list[str]) -> None:
        self.reason = f"{work}: was begun with another {' and '.join(other)}"
        super().__init__(f"{self.reason}; go on with that, or start anew (--restart)")


class Spread(Protocol):
    """Computes tiles elsewhere."""

    def __call__(self, plane: LazyPlane, setting: Setting, tiles: dict[int, Tile]) -> Generator[tuple[int, bytes]]:
        """Yield number and file content of each tile, in any order."""


@dataclass(frozen=True)
class Shown:
    """What became visible: the window of a block and the pyramids that hold it, largest level first."""

    window: Window
    nuclei: LabelPyramid
    semantic: LabelPyramid


@dataclass(frozen=True)
class Done:
    """Where the results are: Zarr group with ``labels/nuclei`` and ``labels/semantic``, table, number of nuclei."""

    labels: Path
    table: Path
    count: int


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
    version: str = "0.5",
) -> Done:
    """Segment a plane of any size; memory is that of a tile and of a block.

    What is done lies in ``OUTPUT.partial``. After a crash or a cancellation, the same call goes on there.

    Parameters
    ----------
    plane : LazyPlane
        See `io.lazy.open_plane`.
    segmenter : Segmenter
        Model, scale, tiles and thresholds.
    output : Path
        Without suffix: ``OUTPUT.zarr`` and ``OUTPUT.csv`` are written, older ones replaced.
    progress : callable, optional
        Called with (tiles done, tiles in all).
    cancelled : callable, optional
        Asked before each tile.
    shown : callable, optional
        Called after each block that is drawn, with its window and where to read it.
    spread : callable, optional
        Computes tiles in other processes, see `segment.cluster`.
    restart : bool
        Whether to forget what was done before.
    version : str
        OME-Zarr version of the result, 0.4 or 0.5.

    Raises
    ------
    OtherWork
        Another image, model or configuration was begun at this place.
    LargeError
        Another process is at work there.
    Cancelled
        `cancelled` returned True; what is done is kept.
    """
    with _only_one(output):
        return _segment(plane, segmenter, output, progress, cancelled, shown, spread, restart, version)


def _segment(
    plane: LazyPlane,
    segmenter: Segmenter,
    output: Path,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
    shown: Callable[[Shown], None] | None,
    spread: Spread | None,
    restart: bool,
    version: str,
) -> Done:
    work = output.with_name(f"{output.name}.partial")
    if restart and work.exists():
        shutil.rmtree(work)
    if segmenter.device.type != "cpu":
        _find_what_fits(plane, segmenter)
    tiles = segmenter.tiles(plane.shape)
    setting = _begin(work, plane, segmenter)
    files = TileFiles(work / "tiles")
    result = work / "result.zarr"
    if result.exists():
        shutil.rmtree(result)
    nuclei, semantic = (
        LabelPyramid(result, name, plane.shape, kind, plane.pixel_size, version)
        for name, kind in (("nuclei", "uint32"), ("semantic", "uint8"))
    )
    blocks = Blocks(tiles, files, segmenter.config, segmenter.overlap / segmenter.scale, nuclei, semantic)
    done = files.done() & set(range(len(tiles)))
    left = {number: tiles[number] for number in _in_order(tiles) if number not in done}
    computed = (spread or _Here(segmenter))(plane, setting, left)
    stop, tell, show = cancelled or (lambda: False), progress or _ignore, shown or _ignore
    for finished in _with_files(computed, files, done, stop):
        tell(len(finished), len(tiles))
        while blocks.next < len(blocks.windows) and blocks.needed() <= finished:
            if stop():
                raise Cancelled
            show(Shown(blocks.draw(), nuclei, semantic))
    table = output.with_name(f"{output.name}.csv")
    rows = blocks.table()
    write_table(table, rows)
    target = output.with_name(f"{output.name}.zarr")
    _replace(result, target)
    shutil.rmtree(work)
    return Done(target, table, len(rows))


def _find_what_fits(plane: LazyPlane, segmenter: Segmenter) -> None:
    """Let the segmenter find the tiles that the device has memory for, on a part with as many places as `_places`."""
    segmenter.predict(plane.read(sample_windows(plane.shape, MOST_SAMPLES * segmenter.side)[0]))


@contextmanager
def _only_one(output: Path) -> Iterator[None]:
    """Hold the lock of an output."""
    output.parent.mkdir(parents=True, exist_ok=True)
    file = output.with_name(f".{output.name}.lock")
    try:
        lock = Lock(file)
    except InUse as error:
        raise LargeError(
            f"{output} is being made already, {error}; wait for that, or delete {file} if nobody works on it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def sampled_limits(plane: LazyPlane, percentiles: tuple[float, float]) -> tuple[tuple[float, float], Array]:
    """Return the image's limits of intensity, and the pixels that they were measured on.

    All pixels up to 16 Mpx, beyond that 256 squares of 128 pixels spread evenly: the share of nuclei stays that of the
    image, and only these squares are read.
    """
    height, width = plane.shape
    if height * width <= READ_WHOLE:
        places = [(slice(0, height), slice(0, width))]
    else:
        places = sample_windows(plane.shape, SAMPLE_SIDE, SAMPLES_ALONG)
    parts = [plane.read(place) for place in places]
    pixels = np.concatenate([part.reshape(-1, 1, *part.shape[2:]) for part in parts])
    return limits(pixels, percentiles), pixels


def liveliest_place(plane: LazyPlane, side: int = 512) -> Array:
    """Return the square, of 64 spread evenly over the image, in which intensities vary most; for `sized`."""
    places = (plane.read(window) for window in sample_windows(plane.shape, side, PLACES_ALONG))
    return max(places, key=lambda pixels: float(np.std(pixels[::8, ::8], dtype=np.float64)))


class _Here:
    """Computes tiles in this process; those that come next are read meanwhile."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def __call__(self, plane: LazyPlane, setting: Setting, tiles: dict[int, Tile]) -> Generator[tuple[int, bytes]]:
        numbers = {tile: number for number, tile in tiles.items()}

        def load(batch: list[Tile]) -> list[Array | None]:
            return [read(self.segmenter, plane, tile, setting) for tile in batch]

        for batch, pixels in _ahead(list(batches(numbers, self.segmenter.tiles_at_once)), load):
            contents = compute(self.segmenter, batch, pixels, setting)
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
    computed: Generator[tuple[int, bytes]], files: TileFiles, done: set[int], stop: Callable[[], bool]
) -> Iterator[set[int]]:
    """Write each tile as it comes; the numbers of all that are there, at first and after each."""
    finished = set(done)
    yield finished
    with closing(computed):
        if stop():
            raise Cancelled
        for number, content in computed:
            files.write(number, content)
            finished.add(number)
            yield finished
            if stop():
                raise Cancelled


def _in_order(tiles: list[Tile]) -> list[int]:
    """Row by row, so that blocks can be drawn early and few tiles are needed at once."""
    return sorted(range(len(tiles)), key=lambda number: (tiles[number].y.start, tiles[number].x.start))


def _begin(work: Path, plane: LazyPlane, segmenter: Segmenter) -> Setting:
    """Return what was measured when the work began, or measure it now."""
    bounds, pixels = sampled_limits(plane, segmenter.model.config.input.percentiles)
    now = {
        "image": _digest(np.array(plane.shape), np.array(bounds), pixels),
        "model": _digest(*(value.cpu().numpy() for value in segmenter.model.network.state_dict().values())),
        "configuration": segmenter.config.model_copy(update={"tile_batch": None}).model_dump_json(),
    }
    job, measured = work / "job.json", work / "statistics.npz"
    if job.exists() and measured.exists():
        before = json.loads(job.read_text())
        other = [name for name in now if before.get(name) != now[name]]
        if other:
            raise OtherWork(work, other)
        with np.load(measured, allow_pickle=False) as file:
            kept = {name: tuple(torch.from_numpy(part).to(segmenter.device) for part in file[name]) for name in file}
        return Setting(bounds, {name: (mean, variance) for name, (mean, variance) in kept.items()})
    work.mkdir(parents=True, exist_ok=True)
    statistics = segmenter.statistics_of(_places(plane, segmenter, bounds), bounds)
    content = {name: np.stack([part.cpu().numpy() for part in pair]) for name, pair in statistics.items()}
    write_atomic(measured, lambda file: np.savez(file, allow_pickle=False, **content))
    write_atomic(job, json.dumps(now, indent=1).encode())
    return Setting(bounds, statistics)


def _places(plane: LazyPlane, segmenter: Segmenter, bounds: tuple[float, float]) -> list[Array]:
    """Return up to nine squares of a tile's size that are not blank, from all over the image."""
    diameter = (segmenter.model.config.diameter or TYPICAL_DIAMETER) / segmenter.scale
    windows = sample_windows(plane.shape, segmenter.side, PLACES_ALONG)
    places: list[Array] = []
    for row in np.random.default_rng(0).permutation(len(windows)):
        pixels = plane.read(windows[row])
        if not is_blank(pixels, bounds, diameter):
            places.append(pixels)
        if len(places) == PLACES:
            break
    return places


def _digest(*arrays: Array) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _replace(new: Path, target: Path) -> None:
    """Move a folder to its place; an older one there goes away only when the new one can take it."""
    old = target.with_name(f".{target.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if target.exists():
        target.rename(old)
    new.rename(target)
    if old.exists():
        shutil.rmtree(old)


def _ignore(*_arguments: object) -> None:
    pass
