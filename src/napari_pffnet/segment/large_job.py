"""What all runs on a large image have in common: settled and measured by the first, kept on disk for those after it."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.normalize import limits, limits_of
from napari_pffnet.io.atomic import write_atomic
from napari_pffnet.io.errors import Cancelled
from napari_pffnet.io.lazy import LazyPlane
from napari_pffnet.io.lock import InUse, Lock
from napari_pffnet.io.patience import patiently
from napari_pffnet.library import Model
from napari_pffnet.segment.blank import is_blank
from napari_pffnet.segment.large_tiles import KEPT_BELOW_THRESHOLD, Setting
from napari_pffnet.segment.segmenter import MOST_SAMPLES, Segmenter, sample_windows
from napari_pffnet.segment.size import liveliness, sized
from napari_pffnet.segment.steady import Statistics
from napari_pffnet.typing import Array

T = TypeVar("T")
READ_WHOLE = 16_000_000
SAMPLES_ALONG, SAMPLE_SIDE = 64, 32
PLACES_ALONG, PLACE_SIDE, PLACES = 8, 512, 9
RESULT = "result.zarr"
#: What a run makes in its folder, what a kill leaves there too.
MADE = ("job.json", "statistics.npz", "tiles", RESULT, ".job-*.json", ".statistics-*.npz", ".tiles.old")
OF_THE_SYSTEM = (".DS_Store", "._*", "Thumbs.db", "desktop.ini")
MADE_OF_TILES = ("[0-9]*.npz", ".[0-9]*.npz")
#: What tiles depend on; the rest of the configuration may change from run to run.
FIXED = ("diameter", "scale", "tile", "tile_overlap")


class LargeError(ValueError):
    """A large image cannot be segmented this way; the message names the fix."""


class OtherWork(LargeError):
    """What was begun at this place is of another image, model or setting; it can be given up (`restart`).

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


@contextmanager
def only_one(output: Path) -> Iterator[Lock]:
    """Hold the lock of an output; LargeError if another process has it."""
    file = output.with_name(f".{output.name}.lock")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(file)
    except InUse as error:
        raise LargeError(
            f"{output} is being made already, {error}; wait for that, or delete {file} if nobody works on it"
        ) from None
    except OSError as error:
        raise OSError(f"cannot write to {output.parent} ({error.strerror}); choose another folder") from error
    try:
        yield lock
    finally:
        lock.release()


def check_folder(work: Path) -> None:
    """LargeError if a folder holds what no run makes: it is somebody's own, and would be deleted in the end."""
    if work.exists() and not work.is_dir():
        raise LargeError(f"{work} is there and no folder; move it away, or choose another folder or name")
    for folder, made in ((work, MADE), (work / "tiles", MADE_OF_TILES)):
        for path in folder.iterdir() if folder.is_dir() else ():
            if not any(fnmatch(path.name, pattern) for pattern in (*made, *OF_THE_SYSTEM)):
                raise LargeError(f"{path} is not of a segmentation; move it away, or choose another folder or name")


def begin(work: Path, plane: LazyPlane, segmenter: Segmenter, stop: Callable[[], bool]) -> tuple[Segmenter, Setting]:
    """Settle zoom and tiles and measure the image, or take over what an earlier run settled and measured.

    Parameters
    ----------
    work : Path
        Where it is kept; made if missing.
    plane : LazyPlane
        The image.
    segmenter : Segmenter
        As the user wants it.
    stop : callable
        Asked between the steps of measuring.

    Returns
    -------
    segmenter : Segmenter
        With that zoom and these tiles, on the given device, with the given thresholds.
    setting : Setting

    Raises
    ------
    OtherWork
        Another image, model or setting was begun at this place.
    Cancelled
        `stop` returned True.
    """

    def going_on(result: T) -> T:
        if stop():
            raise Cancelled
        return result

    bounds, pixels = sampled_limits(plane, segmenter.model.config.input.percentiles, going_on)
    asked = segmenter.config.model_dump(mode="json")
    now: dict[str, Any] = {
        "image": _digest(np.array(plane.shape), np.array(bounds), pixels),
        "model": _model(segmenter.model),
        **{name: asked[name] for name in FIXED},
    }
    score = segmenter.config.score_threshold
    job, measured = work / "job.json", work / "statistics.npz"
    if job.exists() and zipfile.is_zipfile(measured):
        before = _begun(job)
        other = _other(before, now, score)
        if other:
            raise OtherWork(work, other)
        fitting = _with(segmenter, before["settled"])
        if before["tiles"] != _tiles(fitting, plane):
            raise OtherWork(work, ["version of the program"])
        return fitting, Setting(bounds, _read(measured), before["lowest_score"])
    if (work / "tiles").exists():  # of which nothing is known
        discard(work / "tiles")
    work.mkdir(parents=True, exist_ok=True)
    fitting = going_on(sized(segmenter, liveliest_place(plane, going_on), plane.pixel_size, stop))
    if fitting.device.type != "cpu":
        _find_what_fits(plane, fitting)
    lowest = KEPT_BELOW_THRESHOLD * score
    settled = {"scale": fitting.scale, "tile": fitting.config.tile}
    statistics = going_on(fitting.statistics_of(map(going_on, _places(plane, fitting, bounds)), bounds))
    content: Any = {name: np.stack([part.cpu().numpy() for part in pair]) for name, pair in statistics.items()}
    write_atomic(measured, lambda file: np.savez(file, **content))
    fitting = _with(fitting, settled)
    now |= {"settled": settled, "tiles": _tiles(fitting, plane), "lowest_score": lowest}
    write_atomic(job, json.dumps(now, indent=1).encode())
    return fitting, Setting(bounds, statistics, lowest)


def discard(folder: Path) -> None:
    """Delete a folder; a kill meanwhile leaves nothing of it under its name."""
    aside = folder.with_name(f".{folder.name}.old")
    if aside.exists():
        patiently(shutil.rmtree, aside)
    patiently(folder.rename, aside)
    patiently(shutil.rmtree, aside)


def _begun(job: Path) -> dict[str, Any]:
    """What was settled; nothing if the file is damaged."""
    try:
        before = json.loads(job.read_bytes())
    except ValueError:
        return {}
    return before if isinstance(before, dict) else {}


def _other(before: dict[str, Any], now: dict[str, Any], score: float) -> list[str]:
    """What of a run is not as it was begun. Thresholds may change, but tiles hold no nuclei of very low scores."""
    if not {"settled", "lowest_score", "tiles", "image", "model", *FIXED} <= before.keys():
        return ["version of the program"]
    other = [name.replace("_", " ") for name in ("image", "model", *FIXED) if before[name] != now[name]]
    lowest = before["lowest_score"]
    return other if score >= lowest else [*other, f"score threshold (at least {lowest:.2g})"]


def _with(segmenter: Segmenter, settled: dict[str, Any]) -> Segmenter:
    config = SegmentConfig.model_validate({**segmenter.config.model_dump(), **settled})
    return Segmenter(segmenter.model, config)


def _read(measured: Path) -> Statistics:
    with np.load(measured, allow_pickle=False) as file:
        return {name: (torch.from_numpy(mean), torch.from_numpy(variance)) for name, (mean, variance) in file.items()}


def _find_what_fits(plane: LazyPlane, segmenter: Segmenter) -> None:
    """Let the segmenter find the tiles that the device has memory for, on a part with as many places as `_places`."""
    segmenter.predict(plane.read(sample_windows(plane.shape, MOST_SAMPLES * segmenter.side, most=1)[0]))


def sampled_limits(
    plane: LazyPlane, percentiles: tuple[float, float], going_on: Callable[[Array], Array] = lambda part: part
) -> tuple[tuple[float, float], Array]:
    """Return the image's limits of intensity, and the pixels that they were measured on.

    All pixels up to 16 Mpx, beyond that 4096 squares of 32 pixels spread evenly: the share of nuclei stays that of the
    image, also where they lie in a few places only, and 64 bands of the image are read. Each part that is read goes
    through `going_on`, which may raise.
    """
    height, width = plane.shape
    if height * width <= READ_WHOLE:
        whole = going_on(plane.read((slice(0, height), slice(0, width))))
        return limits(whole, percentiles), _flat(whole)
    places = sample_windows(plane.shape, SAMPLE_SIDE, SAMPLES_ALONG)
    bands = ((going_on(plane.read((rows, slice(0, width)))), row) for rows, row in groupby(places, itemgetter(0)))
    squares = np.stack([band[:, columns] for band, row in bands for _, columns in row])
    pixels = np.concatenate([_flat(square) for square in squares])
    return limits_of(pixels, squares.reshape(*squares.shape[:3], -1), percentiles), pixels


def _flat(pixels: Array) -> Array:
    """H×W or H×W×3 as one column of pixels."""
    return pixels.reshape(-1, 1, *pixels.shape[2:])


def liveliest_place(plane: LazyPlane, going_on: Callable[[Array], Array] = lambda part: part) -> Array:
    """Return the square, of 64 spread evenly over the image, in which intensities vary most; for `sized`."""
    places = (going_on(plane.read(window)) for window in sample_windows(plane.shape, PLACE_SIDE, PLACES_ALONG))
    return max(places, key=liveliness)


def _places(plane: LazyPlane, segmenter: Segmenter, bounds: tuple[float, float]) -> Iterator[Array]:
    """Read up to nine squares that are not blank, from all over the image."""
    windows = sample_windows(plane.shape, segmenter.sample_side, PLACES_ALONG)
    order = np.random.default_rng(0).permutation(len(windows))
    parts = (plane.read(windows[row]) for row in order)
    return islice((pixels for pixels in parts if not is_blank(pixels, bounds, segmenter.typical_diameter)), PLACES)


def _model(model: Model) -> str:
    weights = [value.cpu().numpy() for value in model.network.state_dict().values()]
    config = model.config.model_dump_json(exclude_defaults=True)  # settings that a newer version adds change nothing
    return _digest(*weights, np.frombuffer(config.encode(), np.uint8))


def _tiles(segmenter: Segmenter, plane: LazyPlane) -> str:
    return _digest(np.frombuffer(repr(segmenter.tiles(plane.shape)).encode(), np.uint8))


def _digest(*arrays: Array) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
