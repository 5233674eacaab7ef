"""How large the nuclei of an image are, from quick looks at a part of it, and the zoom that suits them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeGuard

import numpy as np
from skimage.segmentation import clear_border

from napari_pffnet.config import SegmentConfig
from napari_pffnet.data.normalize import as_image
from napari_pffnet.data.sizes import diameters, spread, suitable_zoom
from napari_pffnet.io.stains import hematoxylin, is_brown
from napari_pffnet.labels import areas
from napari_pffnet.segment.blank import MEDIAN
from napari_pffnet.segment.segmenter import Segmenter
from napari_pffnet.typing import Array

PART = 512
#: what the user may have set for the sake of time and memory
HOW = ("precision", "tile", "tile_overlap", "tile_batch")
ZOOMS = (0.25, 0.5, 1.0, 2.0)
WELL_SEEN = 12.0
AGREEING = 1.5
FEWEST = 3
#: µm: pixels of light microscopy; what files say beyond that is no pixel size
PIXELS = (0.05, 5.0)
#: µm: from yeast (2) over fibroblasts (10) upwards (Milo, Phillips: Cell Biology by the Numbers, How big are nuclei?)
LEAST, TYPICAL, MOST = 2.0, 8.0, 30.0
#: for `liveliness`: each so many-th pixel counts, so many of them along a cell
THINNED, CELL = 4, 16


class Look(NamedTuple):
    """What one look found: the zoom, the typical diameter as the network saw it, and how much of the part it explains.

    `evidence` is the share of the pixels in nuclei times their mean score; `diameter` is NaN if too few were found.
    """

    zoom: float
    diameter: float
    evidence: float


def sized(
    segmenter: Segmenter,
    image: Array,
    pixel_size: float | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Segmenter:
    """Return a segmenter with the zoom that suits an image, the same one if a zoom or a diameter is set already.

    Parameters
    ----------
    segmenter : Segmenter
        Its model is shared.
    image : ndarray
        H×W or H×W×3/4, as stored; at most 512×512 pixels of it are looked at.
    pixel_size : float, optional
        µm.
    cancelled : callable, optional
        Asked before each look.

    Raises
    ------
    Cancelled
        `cancelled` returned True.

    Notes
    -----
    The zoom is 1 where nuclei have a size that the network knows, where none is found, and where the model does not say
    which sizes it knows.
    """
    config, trained = segmenter.config, segmenter.model.config.diameter
    if config.scale is not None or config.diameter is not None or trained is None:
        return segmenter
    zoom = suitable_zoom(estimate_diameter(segmenter, image, pixel_size, cancelled), trained)
    return segmenter if zoom == 1 else Segmenter(segmenter.model, config.model_copy(update={"scale": zoom}))


def estimate_diameter(
    segmenter: Segmenter,
    image: Array,
    pixel_size: float | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> float | None:
    """Typical diameter of the nuclei, pixels: the median one of the zoom at which nuclei explain most of the image.

    What one zoom sees counts only if another one finds the same diameter, within a factor of 1.5, or if no two agree:
    at a foreign scale a network takes tissue for nuclei, but not twice for the same ones. Small zooms come first;
    larger ones follow until two agree and nuclei are large enough to be seen well. Where the size of a pixel (µm) is
    known, nuclei are 2 to 30 µm large. Where much of the part is brown, its hematoxylin alone is looked at first. If no
    zoom shows three nuclei, they are taken to be 8 µm large, or it is None. `Cancelled` is raised if `cancelled`, asked
    before each look, returns True.
    """
    image = as_image(image)
    part = image[liveliest(image, PART)]
    least, most = (LEAST / pixel_size, MOST / pixel_size) if _is_believable(pixel_size) else (0.0, np.inf)
    for pixels in (hematoxylin(part), part) if is_brown(part) else (part,):
        best = _best_look(_looks(segmenter, pixels, cancelled), least, most)
        if best is not None:
            return best.diameter / best.zoom
    return TYPICAL / pixel_size if _is_believable(pixel_size) else None


def _best_look(every: Iterator[Look], least: float, most: float) -> Look | None:
    """Return what counts of several looks at one part; diameters from `least` to `most` pixels are believed."""
    looks: list[Look] = []
    best: Look | None = None
    for look in every:
        if look.evidence and least <= look.diameter / look.zoom <= most:
            looks.append(look)
        agreed = [each for each in looks if any(_agree(each, other) for other in looks if other is not each)]
        best = max(agreed or looks, key=lambda each: each.evidence, default=None)
        if agreed and best is not None and best.diameter >= WELL_SEEN:
            break
    return best


def _is_believable(pixel_size: float | None) -> TypeGuard[float]:
    return pixel_size is not None and PIXELS[0] <= pixel_size <= PIXELS[1]


def _agree(a: Look, b: Look) -> bool:
    ratio = (a.diameter / a.zoom) / (b.diameter / b.zoom)
    return 1 / AGREEING <= ratio <= AGREEING


def liveliest(image: Array, side: int) -> tuple[slice, slice]:
    """Window of at most `side`×`side` pixels in which intensities vary most, on a grid of such windows."""
    grids = [spread(length, side, max(1, -(-length // side))) for length in image.shape[:2]]
    windows = [(slice(y, y + side), slice(x, x + side)) for y in grids[0] for x in grids[1]]
    return max(windows, key=lambda window: liveliness(image[window]))


def liveliness(pixels: Array) -> float:
    """How much intensities vary within cells of 64×64 pixels, on average and beyond the noise.

    An edge of tissue is in few cells. What is not finite does not count.
    """
    rows, columns = pixels.shape[:2]
    some = pixels[::THINNED, ::THINNED].astype(np.float64).reshape(-(-rows // THINNED), -(-columns // THINNED), -1)
    finite = np.isfinite(some)
    if not finite.any():
        return 0.0
    some = np.where(finite, some, some[finite].mean())
    rows, columns = (max(1, length // CELL) for length in some.shape[:2])
    cells = some[: rows * min(CELL, len(some)), : columns * min(CELL, some.shape[1])]
    cells = cells.reshape(rows, -1, columns, cells.shape[1] // columns, cells.shape[2])
    steps = np.abs(np.diff(pixels[:: 2 * THINNED].astype(np.float64), axis=1))
    steps = steps[np.isfinite(steps)]
    noise = float(np.median(steps)) / MEDIAN if steps.size else 0.0
    return float(np.sqrt((cells.var((1, 3)) - noise**2).clip(0)).mean())


def _looks(segmenter: Segmenter, part: Array, cancelled: Callable[[], bool] | None) -> Iterator[Look]:
    how = {name: getattr(segmenter.config, name) for name in HOW}
    for zoom in ZOOMS:
        config = SegmentConfig(scale=zoom, **how)
        found = Segmenter(segmenter.model, config).predict(part, cancelled=cancelled).compose(config)
        seen = diameters(_whole_ones(found.labels)) * zoom
        enough = len(seen) >= FEWEST
        share = float((found.labels > 0).mean()) if enough else 0.0
        yield Look(
            zoom,
            float(np.median(seen)) if enough else np.nan,
            share * float(found.table["mask_score"].mean()) if enough else 0.0,
        )


def _whole_ones(labels: Array) -> Array:
    """Areas of nuclei that the border does not cut, or of all if few are whole."""
    every = areas(labels)
    whole = np.bincount(clear_border(labels).ravel(), minlength=len(every) + 1)[1:]
    return whole[whole > 0] if np.count_nonzero(whole) >= FEWEST else every[every > 0]
